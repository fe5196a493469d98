"""QAR-EVD (paper 3, section 2): which of 40 ways of four exercises a video of 5 to 8 s shows.

No file of labels of it is public: a video's class is the name of its folder, `LABEL/x.mp4`, below
a folder for each split (`train`, `val` or `valid`, `test`) or without one, where `split=` or the
folder's own name says the split. No worker is in two splits: `workers=FILE`, a CSV `file,worker`
of paths below the folder, is checked for that, and each video's worker becomes a group.
"""

import os
import pathlib
from collections.abc import Mapping

from rac_jax.data import tables
from rac_jax.data.annotations import Annotation
from rac_jax.data.label_folders import videos_by_label
from rac_jax.data.labels import SPLITS, Labels, Published, split_of

SPLIT, WORKERS = "split", "workers"
OPTIONS: tuple[str, ...] = (SPLIT, WORKERS)
FPS = 30.0  # section 2
PUBLISHED = {
    split: Published("paper 3, Table 2", videos)
    for split, videos in (("train", 4000), ("val", 711), ("test", 800))
}


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads a folder.

    Args:
      path: the folder.
      videos: the same one, or None: the videos lie in it.
      options: `split`, of which alone the videos are wanted, and `workers`.

    Returns:
      The records, whose counts are 0, and whatever is odd.

    Raises:
      OSError: if the folder or the table of workers cannot be read.
      ValueError: for an unknown split, a folder without a video, or a wrong table of workers.
    """
    wanted = options.get(SPLIT)
    if wanted is not None and wanted not in SPLITS:
        known = ", ".join(sorted(set(SPLITS.values())))
        raise ValueError(f"{path}: split={wanted} is not one of {known}")
    wanted = SPLITS.get(wanted, "")
    if videos is not None and pathlib.Path(videos) != path:
        raise ValueError(f"{path}: its videos lie in it, not in {videos}")
    if not path.is_dir():
        raise ValueError(f"{path}: is not a folder of videos")

    # A folder for each split, or one of them alone.
    parts = [
        (SPLITS[p.name.lower()], p) for p in sorted(path.iterdir()) if _is_split(p)
    ]
    others = [
        place
        for place in sorted(path.iterdir())
        if not place.name.startswith(".") and not _is_split(place)
    ]
    problems: list[str] = []
    if parts:
        table = pathlib.Path(options.get(WORKERS, ""))
        problems = [
            f"{place}: lies beside the folders of the splits"
            for place in others
            if place != table
        ]
    else:
        parts = [(wanted or split_of(path), path)]
    workers = _workers(pathlib.Path(options[WORKERS])) if WORKERS in options else {}

    records: list[Annotation] = []
    for split, folder in parts:
        found, odd = videos_by_label(folder)
        kept = not wanted or split == wanted
        problems += odd if kept else []
        for label, file in found:
            name = file.relative_to(path).as_posix()
            groups = {}
            if WORKERS in options:
                groups["worker"] = workers.get(name, "")
                if name not in workers and kept:
                    problems.append(f"{file}: has no worker in {options[WORKERS]}")
            records.append(
                Annotation(
                    video_id=f"{label}/{file.stem}",
                    path=str(file),
                    count=0.0,
                    split=split,
                    label=label,
                    fps=FPS,
                    groups=groups,
                )
            )
    problems += _shared_workers(path, records)
    records = [one for one in records if not wanted or one.split == wanted]
    if not records:
        what = f" of the split {wanted}" if wanted else ""
        raise ValueError(f"{path}: has no video LABEL/x.mp4{what}")
    return Labels(tuple(records), tuple(problems), published=PUBLISHED)


def _is_split(place: pathlib.Path) -> bool:
    return place.is_dir() and place.name.lower() in SPLITS


def _workers(path: pathlib.Path) -> dict[str, str]:
    """Workers by the file that they are in.

    Raises:
      ValueError: "<name>:<line>: <what is wrong>" for a wrong table.
    """
    found: dict[str, str] = {}
    for line, row in tables.read_rows(path, ("file", "worker")):
        name, worker = row["file"].strip(), row["worker"].strip()
        if not name or not worker:
            raise tables.wrong(path, line, "file or worker is empty")
        if found.setdefault(name, worker) != worker:
            raise tables.wrong(path, line, f"{name} is of {found[name]}, too")
    return found


def _shared_workers(path: pathlib.Path, records: list[Annotation]) -> list[str]:
    """A line for each worker who is in several splits."""
    seen: dict[str, set[str]] = {}
    for record in records:
        if worker := record.groups.get("worker"):
            seen.setdefault(worker, set()).add(record.split)
    return [
        f"{path}: the worker {worker} is in the splits {', '.join(sorted(splits))}"
        for worker, splits in sorted(seen.items())
        if len(splits) > 1
    ]
