"""Extreme Countix-AV (Zhang, Shao and Snoek, CVPR 2021): 214 videos of seven visual challenges.

A CSV says a video's count and challenges, a folder holds the videos. What columns are called is
an option each (`OPTIONS`), by default as in our own CSV; without a column of challenges, a column
per challenge with 0 or 1 will do, and without those the folders that a video lies in, named after
challenges. Challenges are read whatever their case, and with spaces, "_" or "-" between words.
"""

import os
import pathlib
from collections.abc import Mapping

from rac_jax.data import tables
from rac_jax.data.annotations import Annotation, names_in
from rac_jax.data.labels import Labels, Published, Videos, split_of

# Table 1. A video with several challenges counts in each, so they add up to more than 214.
TABLE_1 = {
    "camera viewpoint changes": 69,
    "cluttered background": 36,
    "low illumination": 13,
    "fast motion": 31,
    "disappearing activity": 25,
    "scale variation": 24,
    "low resolution": 29,
}
PUBLISHED = {
    "": Published(
        "paper 1, Table 1", 214, {name: (n, None) for name, n in TABLE_1.items()}
    )
}
# Ours to theirs; an optional column may be missing from the file.
OPTIONS = ("file", "count", "start_s", "end_s", "label", "challenges")
NEEDED = ("file", "count")


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads the CSV.

    Args:
      path: the CSV.
      videos: folder of the videos, None to read the labels alone.
      options: what the file calls a column of `OPTIONS`.

    Returns:
      The records, the doubtful rows and the videos that are not there.

    Raises:
      OSError: if the CSV cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a wrong table.
    """
    names = {name: options.get(name, name) for name in OPTIONS}
    # A column that was named must be there.
    required = [names[name] for name in OPTIONS if name in NEEDED or name in options]
    found = Videos(videos)
    records: list[Annotation] = []
    problems: list[str] = []
    missing: set[int] = set()
    for line, row in tables.read_rows(path, required):
        try:
            record, unknown = _record(path, line, row, names, found)
        except ValueError as error:
            problems.append(str(error))
            continue
        for challenge in unknown:
            what = f"{challenge!r} is none of the seven challenges"
            problems.append(str(tables.wrong(path, line, what)))
        if videos is not None and not os.path.isfile(record.path):
            missing.add(len(records))
        records.append(record)
    return Labels(tuple(records), tuple(problems), frozenset(missing), PUBLISHED)


def _record(
    path: pathlib.Path,
    line: int,
    row: dict[str, str],
    names: Mapping[str, str],
    videos: Videos,
) -> tuple[Annotation, list[str]]:
    """The record of a row, and those of its challenges that there are not."""
    file = pathlib.PurePath(row[names["file"]].strip())
    if not file.name:
        raise tables.wrong(path, line, f"{names['file']} is empty")
    # A video's identifier has no suffix of a video, but may have a dot.
    places = videos.find(file.stem) or videos.find(file.name)
    challenges = _challenges(row, names["challenges"], places)
    unknown = [name for name in challenges if name not in TABLE_1]
    label = row.get(names["label"], "").strip()
    count = tables.number(path, line, row, names["count"])
    if count is None:
        raise tables.wrong(path, line, f"{names['count']} is empty")
    start_s = tables.number(path, line, row, names["start_s"])
    end_s = tables.number(path, line, row, names["end_s"])
    if end_s is not None and end_s <= (start_s or 0.0):
        what = f"{names['end_s']} {end_s:g} is not after {names['start_s']} {start_s or 0:g}"
        raise tables.wrong(path, line, what)
    record = Annotation(
        video_id=file.stem,
        path=str(places[0]) if places else videos.unfound(str(file)),
        split=split_of(path),
        label=label,
        start_s=start_s,
        end_s=end_s,
        count=count,
        challenges=challenges,
    )
    return record, unknown


def _challenges(
    row: Mapping[str, str], column: str, places: list[pathlib.Path]
) -> tuple[str, ...]:
    """A video's challenges: from their column, from a column each, or from its folders."""
    if column in row:
        return tuple(_plain(name) for name in names_in(row[column]))
    marked = {_plain(name): value.strip() for name, value in row.items()}
    if marked.keys() & TABLE_1.keys():
        return tuple(name for name in TABLE_1 if marked.get(name, "") not in ("", "0"))
    folders = {_plain(part) for place in places for part in place.parent.parts}
    return tuple(name for name in TABLE_1 if name in folders)


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
