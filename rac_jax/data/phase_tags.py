"""Clips of one exercise with its repetitions marked: a plain CSV, or a project of sense's tools.

The CSV has a line per repetition, `file,start_s,end_s` and, if it is known, `middle_s`, where the
motion turns round. A file without times has no repetition: it shows what is not to be counted.

A project of quic/sense (`tools/sense_studio`) is a folder with `project_config.json`, videos in
`videos_train/LABEL/` and, in `tags_train/LABEL/`, a JSON for each with one tag for every four
frames at 16 per second, 0 for none. Two tags of a label are two positions, home first: a
repetition goes from one to the other and back. One tag is the end of a repetition. Videos of
other labels, and tags that the project does not have any more, are background.
"""

import csv
import dataclasses
import itertools
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from rac_jax import drafts
from rac_jax.data import tables

REQUIRED = ("file", "start_s", "end_s")
PROJECT = "project_config.json"
TAGS, VIDEOS = "tags_train", "videos_train"

Marks = tuple[float, float, float]  # start, middle and end of a repetition, in seconds


@dataclasses.dataclass(frozen=True)
class TaggedClip:
    """A clip with all of its repetitions of one exercise.

    Attributes:
      path: of the video.
      cycles: of its repetitions, in order, in seconds of the file; none in one without.
    """

    path: str
    cycles: tuple[Marks, ...]


def read_tags(
    tags: str | os.PathLike, videos: str | os.PathLike | None, label: str | None = None
) -> list[TaggedClip]:
    """Reads marked clips.

    Args:
      tags: a CSV, or a project of sense or its `project_config.json`.
      videos: folder that file names are relative to; None for the CSV's own, or the project's.
      label: of a project that has several with tags.

    Returns:
      The clips, in the order of their files' names in a project, of the lines in a CSV.

    Raises:
      OSError: if a file cannot be read.
      ValueError: naming the file, and the line or the field, that is wrong.
    """
    path = pathlib.Path(tags)
    if path.is_dir() or path.name == PROJECT:
        folder = path if path.is_dir() else path.parent
        return _read_project(folder, videos, label)
    if label is not None:
        raise ValueError(
            f"{path.name}: a CSV has no labels, but {label!r} was asked for"
        )
    return _read_csv(path, pathlib.Path(videos or path.parent))


def write_tags(path: str | os.PathLike, clips: Iterable[TaggedClip]) -> None:
    """Writes the CSV that `read_tags` reads.

    Args:
      path: the CSV; it is replaced when all is written.
      clips: whose files lie beside it.

    Raises:
      OSError: if it cannot be written.
    """
    with (
        drafts.draft_file(path) as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*REQUIRED, "middle_s"))
        for clip in clips:
            name = pathlib.Path(clip.path).name
            for start_s, middle_s, end_s in clip.cycles:
                times = (start_s, end_s, middle_s)
                writer.writerow((name, *(f"{time:.3f}" for time in times)))
            if not clip.cycles:
                writer.writerow((name, "", "", ""))


def _read_csv(path: pathlib.Path, videos: pathlib.Path) -> list[TaggedClip]:
    found: dict[str, list[Marks]] = {}
    for line, row in tables.read_rows(path, REQUIRED):
        name = row.pop("file").strip()
        if not name:
            raise tables.wrong(path, line, "file is empty")
        cycles = found.setdefault(name, [])
        start_s = tables.number(path, line, row, "start_s")
        end_s = tables.number(path, line, row, "end_s")
        middle_s = tables.number(path, line, row, "middle_s")
        if start_s is None and end_s is None and middle_s is None:
            continue
        if start_s is None or end_s is None:
            raise tables.wrong(
                path, line, "start_s and end_s are needed both or not at all"
            )
        if middle_s is None:
            middle_s = (start_s + end_s) / 2
        if not start_s < middle_s < end_s:
            raise tables.wrong(
                path, line, f"{start_s:g}, {middle_s:g} and {end_s:g} s do not rise"
            )
        cycles.append((start_s, middle_s, end_s))
        cycles.sort()
        for one, other in itertools.pairwise(cycles):
            if other[0] < one[2]:
                raise tables.wrong(
                    path,
                    line,
                    f"begins at {other[0]:g} s, before {one[2]:g} s, where "
                    "another repetition ends",
                )
    return [TaggedClip(str(videos / name), tuple(c)) for name, c in found.items()]


def project_classes(
    folder: pathlib.Path, label: str | None = None
) -> dict[str, list[int]]:
    """The labels of a project, each with the numbers of its tags.

    Args:
      folder: of the project.
      label: whose tags must be among those of the project; None for all labels'.

    Raises:
      OSError: if it cannot be read.
      ValueError: naming the file and the field that is wrong.
    """
    path = folder / PROJECT
    config = _json(path)
    classes = config.get("classes")
    if not isinstance(classes, dict) or not all(
        isinstance(ids, list) and all(isinstance(one, int) for one in ids)
        for ids in classes.values()
    ):
        raise ValueError(f"{path}: classes must be an object of lists of tags' numbers")
    known = config.get("tags")
    if isinstance(known, dict):
        for name, ids in classes.items():
            if label not in (None, name):
                continue
            gone = [one for one in ids if str(one) not in known]
            if gone:
                raise ValueError(f"{path}: tags lacks {gone[0]}, which {name} has")
    return classes


def _read_project(
    folder: pathlib.Path, videos: str | os.PathLike | None, label: str | None
) -> list[TaggedClip]:
    path, classes = folder / PROJECT, project_classes(folder, label)
    tagged = [name for name, ids in classes.items() if ids]
    if label is None and len(tagged) != 1:
        raise ValueError(
            f"{path}: {len(tagged)} labels have tags ({', '.join(tagged) or 'none'}); "
            "say which is taught"
        )
    label = tagged[0] if label is None else label
    if label not in tagged:
        raise ValueError(
            f"{path}: {label!r} is no label with tags (there are {', '.join(tagged)})"
        )
    positions = classes[label]
    if len(positions) > 2:
        raise ValueError(
            f"{path}: {label} has {len(positions)} tags; a repetition is two positions, "
            "or its end alone"
        )
    root = folder / VIDEOS if videos is None else pathlib.Path(videos)
    found = []
    for name in classes:
        for video in sorted(_files(root / name)):
            marks = folder / TAGS / name / f"{video.stem}.json"
            if name == label and not marks.exists():
                continue  # nobody has tagged it yet
            cycles = tagged_cycles(marks, positions) if name == label else ()
            found.append(TaggedClip(str(video), cycles))
    return found


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    if not folder.is_dir():
        return []
    return [one for one in folder.iterdir() if not one.name.startswith(".")]


def tagged_cycles(path: pathlib.Path, positions: list[int]) -> tuple[Marks, ...]:
    """Repetitions of a file of tags.

    Args:
      path: of the file, a tag for every four frames.
      positions: tags of home and of the far position, or of the end of a repetition alone.

    Raises:
      OSError: if it cannot be read.
      ValueError: naming the file and the field that is wrong.
    """
    content = _json(path)
    values, fps = content.get("time_annotation"), content.get("fps")
    if not isinstance(values, list) or not all(isinstance(v, int) for v in values):
        raise ValueError(f"{path}: time_annotation must be a list of tags' numbers")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not fps > 0:
        raise ValueError(f"{path}: fps must be a number above 0, not {fps!r:.40}")

    # Runs of the same tag, each at the middle of its time.
    runs: list[tuple[int, float]] = []
    first = 0
    for value, group in itertools.groupby(values):
        number = len(list(group))
        if value in positions:
            runs.append((value, (first + number / 2) / fps))
        first += number
    if len(positions) == 1:
        ends = [time_s for _, time_s in runs]
        return tuple((a, (a + b) / 2, b) for a, b in itertools.pairwise(ends))
    home, far = positions
    cycles: list[Marks] = []
    begun_s: float | None = None
    turned_s: float | None = None
    for value, time_s in runs:
        if value == far:
            # Twice at the far position without home between is one repetition.
            turned_s = time_s if turned_s is None else turned_s
        elif value == home:
            if turned_s is not None:
                # One whose home was not tagged takes as long there as back.
                start_s = (
                    max(0.0, 2 * turned_s - time_s) if begun_s is None else begun_s
                )
                cycles.append((start_s, turned_s, time_s))
            begun_s, turned_s = time_s, None
    return tuple(cycles)


def _json(path: pathlib.Path) -> dict[str, Any]:
    """The object in a file; raises ValueError naming it if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: must hold an object")  # noqa: TRY004
    return content
