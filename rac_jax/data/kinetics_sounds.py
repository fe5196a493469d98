"""Kinetics-Sounds (Arandjelovic and Zisserman, 2017): the classes of Kinetics that can be heard.

Of its 34 classes 31 are left in Kinetics (Listen to Look, supplement B). Two forms: Kinetics' own
CSV (`label,youtube_id,time_start,time_end`), of which rows of other classes are left out; and
lists of `ID_START,LENGTH,CLASS` without a header, where the class is a number from 0 to 30 whose
names no file of theirs gives: the label is then that number. An ID may hold `_` and begin with `-`.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping

from rac_jax.data import tables
from rac_jax.data.annotations import Annotation
from rac_jax.data.labels import Labels, Videos, split_of

OPTIONS: tuple[str, ...] = ()
COLUMNS = ("label", "youtube_id", "time_start", "time_end")
INSTRUMENTS = (
    *(
        "accordion",
        "bagpipes",
        "bass guitar",
        "clarinet",
        "drums",
        "guitar",
        "harmonica",
    ),
    *("keyboard", "organ", "piano", "saxophone", "trombone", "trumpet", "violin"),
    "xylophone",
)
CLASSES = (
    *("blowing nose", "blowing out candles", "bowling", "chopping wood"),
    *("dribbling basketball", "laughing", "mowing lawn"),
    *(f"playing {instrument}" for instrument in INSTRUMENTS),
    *("ripping paper", "shoveling snow", "shuffling cards", "singing"),
    *("stomping grapes", "tap dancing", "tapping guitar", "tapping pen", "tickling"),
)

# Line, YouTube's name, start and end in seconds, label; or a line and what is wrong with it.
_Clip = tuple[int, str, float, float, str]


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads a CSV of Kinetics or a list.

    Args:
      path: of it.
      videos: folder of the videos: clips as Kinetics' tools cut them, clips called as in the
        list, or whole videos.
      options: none.

    Returns:
      The records, whose counts are 0, the doubtful rows and the videos that are not there.

    Raises:
      OSError: if it cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a wrong table.
    """
    found = Videos(videos)
    _, first = next(tables.read_lines(path), (1, ""))
    clips = _of_csv if "youtube_id" in first else _of_list
    records: list[Annotation] = []
    problems: list[str] = []
    missing: set[int] = set()
    for line, name, start_s, end_s, label in clips(path, problems):
        if not end_s > start_s:
            what = f"its end {end_s:g} is not after its start {start_s:g}"
            problems.append(f"{path.name}:{line}: {what}")
            continue
        cut = f"{name}_{start_s:06.0f}_{end_s:06.0f}"
        alone = found.find(cut) or found.find(f"{name}_{start_s:.0f}")
        files = alone or found.find(name)
        if not files and videos is not None:
            missing.add(len(records))
        records.append(
            Annotation(
                video_id=cut,
                path=str(files[0]) if files else found.unfound(f"{cut}.mp4"),
                count=0.0,
                start_s=None if alone else start_s,
                end_s=None if alone else end_s,
                split=split_of(path),
                label=label,
            )
        )
    if not records:
        raise tables.wrong(path, 1, "has no clip of a class of Kinetics-Sounds")
    return Labels(tuple(records), tuple(problems), frozenset(missing))


def _of_csv(path: pathlib.Path, problems: list[str]) -> Iterator[_Clip]:
    for line, row in tables.read_rows(path, COLUMNS):
        label = row["label"].strip().replace("_", " ").lower()
        if label not in CLASSES:
            continue
        try:
            start_s = tables.number(path, line, row, "time_start") or 0.0
            end_s = tables.number(path, line, row, "time_end") or 0.0
        except ValueError as error:
            problems.append(str(error))
            continue
        yield line, row["youtube_id"].strip(), start_s, end_s, label


def _of_list(path: pathlib.Path, problems: list[str]) -> Iterator[_Clip]:
    for line, text in tables.read_lines(path):
        clip, *rest = text.split(",")
        name, underscore, start = clip.strip().rpartition("_")
        numbers = [start, *(part.strip() for part in rest)]
        if not underscore or len(numbers) != 3 or not all(n.isdigit() for n in numbers):
            problems.append(
                f"{path.name}:{line}: {text!r} is not ID_START,LENGTH,CLASS"
            )
            continue
        start_s, length_s, number = map(int, numbers)
        if number >= len(CLASSES):
            what = f"class {number} is over {len(CLASSES) - 1}"
            problems.append(f"{path.name}:{line}: {what}")
            continue
        yield line, name, float(start_s), float(start_s + length_s), str(number)
