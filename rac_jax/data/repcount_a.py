"""RepCount-A (Hu et al., "TransRAC", CVPR 2022): fitness videos with every cycle's start and end.

A CSV per split, `type,name,count,fps,duration,num_frames,L1,L2,...` beside columns of numbers that
mean nothing, with a start and an end per cycle in frames counted from 0, blanks after the last one.
The videos lie in folders by split.
"""

import os
import pathlib
from collections.abc import Mapping

import numpy as np

from rac_jax.data import tables
from rac_jax.data.annotations import Annotation
from rac_jax.data.labels import Labels, Published, Videos, split_of

COLUMNS = ("type", "name", "count", "fps")
FRAMES = "num_frames"
# TransRAC, Table 1.
PUBLISHED = {
    split: Published("TransRAC, Table 1", videos)
    for split, videos in (("train", 758), ("val", 131), ("test", 152))
}
OPTIONS: tuple[str, ...] = ()


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads a CSV.

    Args:
      path: of the CSV.
      videos: folder of the videos, with everything below it; None to read the labels alone.
      options: none.

    Returns:
      The records with their cycles and their number of frames (a group), the doubtful rows and the videos that are not there. A cycle
      without length is doubtful and left out of `cycles_s`, not of the count; a row without a
      count has no record.

    Raises:
      OSError: if it cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a wrong table.
    """
    found = Videos(videos)
    records: list[Annotation] = []
    problems: list[str] = []
    missing: set[int] = set()
    for line, row in tables.read_rows(path, (*COLUMNS, "L1", "L2")):
        name = row["name"].strip()
        try:
            count, fps = (tables.number(path, line, row, key) for key in COLUMNS[2:])
            cycles = _cycles(path, line, row)
            if count is None or not fps:
                raise tables.wrong(path, line, f"{name} needs a count and its fps")
        except ValueError as error:
            problems.append(str(error))
            continue
        place = f"{path.name}:{line}: {name}"
        if count != len(cycles):
            problems.append(
                f"{place}: count is {count:g}, there are {len(cycles)} cycles"
            )
        real = cycles[:, 1] > cycles[:, 0]
        for start, end in cycles[~real]:
            problems.append(f"{place}: a cycle from frame {start:g} to {end:g}")
        stem = pathlib.PurePath(name).stem
        files = found.find(stem)
        if not files and videos is not None:
            missing.add(len(records))
        # In the order of their starts, which a few rows are not.
        kept = cycles[real]
        kept = kept[np.argsort(kept[:, 0], kind="stable")]
        records.append(
            Annotation(
                video_id=stem,
                path=str(files[0]) if files else found.unfound(name),
                split=split_of(path),
                label=row["type"].strip(),
                count=count,
                cycles_s=kept / fps,
                fps=fps,
                groups={FRAMES: (row.get(FRAMES) or "").strip()},
            )
        )
    return Labels(tuple(records), tuple(problems), frozenset(missing), PUBLISHED)


def _cycles(path: pathlib.Path, line: int, row: dict[str, str]) -> np.ndarray:
    """Starts and ends in frames: float64 [K, 2].

    Raises:
      ValueError: "<name>:<line>: <what is wrong>" for a start without an end.
    """
    known = tables.numbered(path, line, row, "L")
    if len(known) % 2:
        raise tables.wrong(path, line, f"{row['name']} has a start without an end")
    return np.reshape(np.asarray(known, np.float64), (-1, 2))
