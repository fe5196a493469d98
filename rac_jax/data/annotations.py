"""What is known of a clip, one record for every source, and the plain CSV that anyone can write."""

import csv
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from rac_jax import drafts
from rac_jax.data import tables

REQUIRED = ("file", "start_s", "end_s", "count")
OPTIONAL = ("alt_count", "label", "challenges")
# Moments in seconds of the file, several with `SEPARATOR` between; "-" where it is known that
# there is none.
EVENTS = "events_s"
NO_EVENT = "-"
# Between the names of several challenges in one cell.
SEPARATOR = ";"


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
    """One labelled part of one video.

    Attributes:
      video_id: name of the video within its source.
      path: the media file.
      split: "train", "val", "test" or "".
      label: what is repeated, "" if unknown.
      start_s: start of the part in seconds of the file, None for its start.
      end_s: end of the part in seconds of the file, None for its end.
      count: repetitions in the part, at least 0.
      alt_count: a second right answer (two sides counted as one or as two), or None.
      cycles_s: float64 [K, 2], start and end of each repetition in seconds of the file, or None.
      turns_s: float64 [K], when each of them turns round, in seconds of the file, or None.
      events_s: float64 [E], moments when a repetition is heard, in seconds of the file, or None.
      phases: names of the moments of a cycle.
      challenges: names of what makes the clip hard.
      fps: frames per second that the source states, or None.
      groups: further columns of the source, by name.
    """

    video_id: str
    path: str
    count: float
    start_s: float | None = None
    end_s: float | None = None
    split: str = ""
    label: str = ""
    alt_count: float | None = None
    cycles_s: np.ndarray | None = None
    turns_s: np.ndarray | None = None
    events_s: np.ndarray | None = None
    phases: tuple[str, ...] = ()
    challenges: tuple[str, ...] = ()
    fps: float | None = None
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_csv(path: str | os.PathLike) -> list[Annotation]:
    """Reads `file,start_s,end_s,count`, one labelled part per line.

    Relative file names are relative to the CSV. An empty start_s or end_s means the start or the
    end of the file; `alt_count`, `label`, `challenges` and `events_s` (several with ';' between, "-" for
    none) may be there and may be empty; other columns become `groups`.

    Args:
      path: the CSV, UTF-8, with a header line.

    Returns:
      The records in the order of the lines.

    Raises:
      OSError: if the CSV cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a missing column or a wrong value.
    """
    path = pathlib.Path(path)
    return [_record(path, line, row) for line, row in tables.read_rows(path, REQUIRED)]


def _record(path: pathlib.Path, line: int, row: dict[str, str]) -> Annotation:
    name = row.pop("file").strip()
    if not name:
        raise tables.wrong(path, line, "file is empty")
    start_s = tables.number(path, line, row, "start_s")
    end_s = tables.number(path, line, row, "end_s")
    count = tables.number(path, line, row, "count")
    alt_count = tables.number(path, line, row, "alt_count")
    if count is None:
        raise tables.wrong(path, line, "count is empty")
    if end_s is not None and end_s < (start_s or 0.0):
        raise tables.wrong(
            path, line, f"end_s {end_s} is before start_s {start_s or 0.0}"
        )
    return Annotation(
        video_id=pathlib.PurePath(name).stem,
        path=str(path.parent / name),
        count=count,
        start_s=start_s,
        end_s=end_s,
        alt_count=alt_count,
        label=row.pop("label", "").strip(),
        challenges=names_in(row.pop("challenges", "")),
        events_s=_events(path, line, row.pop(EVENTS, "")),
        groups={key: value.strip() for key, value in row.items()},
    )


def _events(path: pathlib.Path, line: int, cell: str) -> np.ndarray | None:
    """The times in a cell, rising; None of an empty one.

    Raises:
      ValueError: "<name>:<line>: <what is wrong>" for a time that is none.
    """
    names = names_in(cell)
    if not names:
        return None
    texts = () if names == (NO_EVENT,) else names
    times = [tables.number(path, line, {EVENTS: text}, EVENTS) for text in texts]
    return np.sort(np.asarray(times, np.float64))


def names_in(cell: str) -> tuple[str, ...]:
    """The names in a cell that may hold several, each once and without spaces around it."""
    names = (name.strip() for name in cell.split(SEPARATOR))
    return tuple(dict.fromkeys(name for name in names if name))


def write_csv(path: str | os.PathLike, annotations: Iterable[Annotation]) -> None:
    """Writes what `read_csv` reads.

    File names are made relative to the CSV where the file lies beside or below it. Events have a
    column where a record has them. The record's other fields (cycles, split, ...) have no place
    in this format.

    Args:
      path: the CSV; it is replaced when all is written.
      annotations: the records.

    Raises:
      OSError: if the file cannot be written.
    """
    path = pathlib.Path(path)
    annotations = list(annotations)
    groups = list(dict.fromkeys(key for record in annotations for key in record.groups))
    marked = any(record.events_s is not None for record in annotations)
    events = (EVENTS,) if marked else ()
    with (
        drafts.draft_file(path) as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*REQUIRED, *OPTIONAL, *events, *groups])
        for record in annotations:
            numbers = (record.start_s, record.end_s, record.count, record.alt_count)
            writer.writerow(
                [
                    _relative(record.path, path.parent),
                    *("" if n is None else f"{n:.15g}" for n in numbers),
                    record.label,
                    SEPARATOR.join(record.challenges),
                    *([events_cell(record.events_s)] if marked else ()),
                    *(record.groups.get(key, "") for key in groups),
                ]
            )


def events_cell(events_s: Iterable[float] | None) -> str:
    """Times as a cell has them: "" where nothing is known."""
    if events_s is None:
        return ""
    return SEPARATOR.join(f"{time:.15g}" for time in events_s) or NO_EVENT


def _relative(file: str, folder: pathlib.Path) -> str:
    absolute = pathlib.Path(os.path.abspath(file))
    try:
        return absolute.relative_to(os.path.abspath(folder)).as_posix()
    except ValueError:
        return str(absolute)
