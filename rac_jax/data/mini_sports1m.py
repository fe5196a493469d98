"""Mini-Sports1M (Gao et al., "Listen to Look", supplement B): 30 + 10 videos a class of Sports-1M.

Lists have `ADDRESS LABEL[,LABEL...]` per line as Sports-1M's partitions do, the address one of
YouTube or a file's name, labels counting from 0 in the order of `labels.txt`, whose names are
taken where it lies beside the list. A video may be of several classes: its record has all their
names, with `;` between.
"""

import os
import pathlib
import urllib.parse
from collections.abc import Mapping

from rac_jax.data import tables
from rac_jax.data.annotations import SEPARATOR, Annotation
from rac_jax.data.labels import Labels, Published, Videos, split_of

OPTIONS: tuple[str, ...] = ()
CLASSES = "labels.txt"
# Supplement B: 30 and 10 videos for each of 487 classes.
PUBLISHED = {
    split: Published("Listen to Look, supplement B", 487 * number)
    for split, number in (("train", 30), ("test", 10))
}


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads a list.

    Args:
      path: the list.
      videos: folder of the videos, None to read the labels alone.
      options: none.

    Returns:
      The records, whose counts are 0, the doubtful lines and the videos that are not there.

    Raises:
      OSError: if the list cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a list without a usable line.
    """
    found = Videos(videos)
    beside = path.parent / CLASSES
    names = None
    if beside.is_file():
        names = [text for _, text in tables.read_lines(beside)]
    records: list[Annotation] = []
    problems: list[str] = []
    missing: set[int] = set()
    for line, text in tables.read_lines(path):
        address, _, cell = text.partition(" ")
        labels = [part.strip() for part in cell.split(",") if part.strip()]
        if not labels or not all(label.isdigit() for label in labels):
            problems.append(f"{path.name}:{line}: {cell.strip()!r} are no labels")
            continue
        if names is not None and (over := [n for n in labels if int(n) >= len(names)]):
            what = f"label {over[0]} is none of the {len(names)} of {CLASSES}"
            problems.append(f"{path.name}:{line}: {what}")
            continue
        if names is not None:
            labels = [names[int(label)] for label in labels]
        stem = _video_id(address)
        files = found.find(stem)
        if not files and videos is not None:
            missing.add(len(records))
        records.append(
            Annotation(
                video_id=stem,
                path=str(files[0]) if files else found.unfound(f"{stem}.mp4"),
                count=0.0,
                split=split_of(path),
                label=SEPARATOR.join(labels),
            )
        )
    if not records:
        raise tables.wrong(path, 1, "has no line ADDRESS LABEL[,LABEL...]")
    return Labels(tuple(records), tuple(problems), frozenset(missing), PUBLISHED)


def _video_id(address: str) -> str:
    """The name of a video: what YouTube calls it, or of the file, without suffix."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme in ("http", "https"):
        query = urllib.parse.parse_qs(parts.query)
        return query["v"][0] if "v" in query else parts.path.rpartition("/")[2]
    return pathlib.PurePath(address).stem
