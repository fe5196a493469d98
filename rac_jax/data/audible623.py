"""Audible623 (Wan et al., "Action Dubber", 2025): frames in which an action should be heard.

A CSV per split, `video_id,sound_label,class`, with the labelled frames, counted from 0, between
commas in one cell. The videos are trimmed clips in the authors' archive, named by YouTube id
without a start, so only those fix the frames; ids that begin with `v_` are of UCF50. Its frame
numbers are those of the videos' own rate. A few rows have two more cells without a name, seconds
ten apart, which look like the span of the clip in the whole video; they are kept as a group.
"""

import os
import pathlib
from collections.abc import Mapping

import numpy as np

from rac_jax.data import tables
from rac_jax.data.annotations import Annotation
from rac_jax.data.labels import Labels, Published, Videos, frame_rate, split_of

COLUMNS = ("video_id", "sound_label", "class")
# Paper 4, section 3.
PUBLISHED = {
    split: Published("paper 4, section 3", videos)
    for split, videos in (("train", 497), ("test", 126))
}
SPARE = "span"
OPTIONS: tuple[str, ...] = ()
# Frames per second of a video that is not there: UCF's, and YouTube's most common.
FPS = {True: 25.0, False: 30.0}


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads a CSV.

    Args:
      path: of the CSV.
      videos: folder of the videos, with everything below it; None to read the labels alone.
      options: none.

    Returns:
      The records with every labelled frame as an event, in the order of time. Frames that follow
      one another are one action, which is what `count` counts. Frames out of order, a frame that
      is there twice, and a video that is there twice are doubtful and kept as they are; a row
      without a usable frame has no record.

    Raises:
      OSError: if it cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a wrong table.
    """
    found = Videos(videos)
    records: list[Annotation] = []
    problems: list[str] = []
    missing: set[int] = set()
    seen: dict[str, int] = {}
    for line, row in tables.read_rows(path, COLUMNS, SPARE):
        name = row["video_id"].strip()
        place = f"{path.name}:{line}: {name}"
        try:
            frames = _frames(path, line, row["sound_label"])
        except ValueError as error:
            problems.append(str(error))
            continue
        if name in seen:
            problems.append(f"{place}: is in line {seen[name]} with other frames, too")
        seen.setdefault(name, line)
        steps = np.diff(frames)
        if (steps < 0).any():
            late = frames[1:][steps < 0]
            problems.append(f"{place}: frame {late[0]:g} is out of order")
        rising, times = np.unique(frames, return_counts=True)
        if (times > 1).any():
            twice = rising[times > 1]
            problems.append(f"{place}: frame {twice[0]:g} is there twice")
        files = found.find(name)
        if not files and videos is not None:
            missing.add(len(records))
        fps = frame_rate(files[:1], FPS[name.startswith("v_")])
        records.append(
            Annotation(
                video_id=name,
                path=str(files[0]) if files else found.unfound(name),
                split=split_of(path),
                label=row["class"].strip(),
                count=float(1 + np.sum(np.diff(rising) > 1)),
                events_s=rising / fps,
                fps=fps,
                groups={SPARE: row[SPARE]},
            )
        )
    return Labels(tuple(records), tuple(problems), frozenset(missing), PUBLISHED)


def _frames(path: pathlib.Path, line: int, cell: str) -> np.ndarray:
    """Frames of a cell in their order, float64 [n], whole numbers.

    Raises:
      ValueError: "<name>:<line>: <what is wrong>" for no frame, or one that is no whole number.
    """
    name = COLUMNS[1]
    frames = [
        tables.number(path, line, {name: text}, name)
        for text in cell.split(",")
        if text.strip()
    ]
    if not frames:
        raise tables.wrong(path, line, f"{name} is empty")
    wrong = [frame for frame in frames if frame != int(frame)]
    if wrong:
        raise tables.wrong(path, line, f"{name} {wrong[0]:g} is no frame")
    return np.asarray(frames, np.float64)
