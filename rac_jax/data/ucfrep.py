"""UCFRep (Zhang et al., CVPR 2020): videos of UCF101 with the boundaries of every repetition.

Two forms: a CSV, `name,counts,num_frames,start_frame,end_frame,L1,L2,...` with a start and an end
per repetition, and the authors' own, a folder with a MATLAB file per video (`temporal_bound`, the
frames between repetitions). Frames are counted from 1 and the last is part of the video. Neither
says how many frames there are per second: the video does, or UCF101's 25 where it is not there.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from rac_jax.data import tables
from rac_jax.data.annotations import Annotation
from rac_jax.data.labels import Labels, Published, Videos, frame_rate, split_of

# Soomro et al., "UCF101" (2012), section 2.
FPS = 25.0
COLUMNS = ("name", "counts", "num_frames", "start_frame", "end_frame")
# Paper 1, section 4.1; its 420 and 106 add up to its 526.
PUBLISHED = {
    split: Published("paper 1, section 4.1", videos)
    for split, videos in (("train", 420), ("val", 106))
}
OPTIONS: tuple[str, ...] = ()
# What reading raises for a MATLAB file of another version or with other variables in it.
_NO_LABEL = (ValueError, KeyError, IndexError, TypeError, NotImplementedError)


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads a CSV, or all MATLAB files of a folder.

    Args:
      path: the CSV or the folder.
      videos: folder of the videos, None to read the labels alone.
      options: none.

    Returns:
      The records with their cycles, the doubtful rows and the videos that are not there.

    Raises:
      OSError: if something cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a wrong table, or naming a MATLAB file.
    """
    found = Videos(videos)
    rows = _matlab_rows(path) if path.is_dir() else _csv_rows(path)
    records: list[Annotation] = []
    problems: list[str] = []
    missing: set[int] = set()
    for place, name, count, cycles, wrong in rows:
        problems += [f"{place}: {what}" for what in wrong]
        if cycles is None:
            continue
        stem = pathlib.PurePath(name).stem
        files = found.find(stem)
        if not files and videos is not None:
            missing.add(len(records))
        file = str(files[0]) if files else found.unfound(name)
        records.append(_record(file, stem, split_of(path), count, cycles, bool(files)))
    return Labels(tuple(records), tuple(problems), frozenset(missing), PUBLISHED)


# Where a row is, the video, its count, first and last frame of each repetition [K, 2] (None if
# the row cannot be used), and what is wrong.
_Row = tuple[str, str, float, np.ndarray | None, list[str]]


def _csv_rows(path: pathlib.Path) -> list[_Row]:
    rows: list[_Row] = []
    for line, row in tables.read_rows(path, (*COLUMNS, "L1", "L2")):
        place, name = f"{path.name}:{line}", row["name"].strip()
        try:
            # Columns after the last repetition are blank.
            known = tables.numbered(path, line, row, "L")
            count, frames, first, last = (
                tables.number(path, line, row, name) for name in COLUMNS[1:]
            )
        except ValueError as error:
            rows.append((place, name, 0.0, None, [str(error).partition(": ")[2]]))
            continue
        if None in (count, first, last) or not known or len(known) % 2:
            what = "needs counts, start_frame, end_frame and pairs of L"
            rows.append((place, name, 0.0, None, [what]))
            continue
        cycles = np.reshape(known, (-1, 2))  # [K, 2]
        wrong = _contradictions(count, cycles, (first, last))
        if frames is not None and last - first + 1 != frames:
            wrong.append(
                f"num_frames is {frames:g}, frames {first:g} to {last:g} are "
                f"{last - first + 1:g}"
            )
        rows.append((place, name, count, cycles, wrong))
    return rows


def _matlab_rows(folder: pathlib.Path) -> list[_Row]:
    import scipy.io

    rows: list[_Row] = []
    files = sorted(folder.rglob("*.mat"))
    if not files:
        raise ValueError(f"{folder}: has no MATLAB file")
    for file in files:
        try:
            label = scipy.io.loadmat(file)["label"][0, 0]
            bounds = np.ravel(label["temporal_bound"]).astype(np.float64)  # [K + 1]
            span = tuple(float(label[n].item()) for n in ("start_frame", "end_frame"))
        except (scipy.io.matlab.MatReadError, *_NO_LABEL) as error:
            raise ValueError(f"{file}: is no annotation of UCFRep ({error})") from None
        cycles = np.stack([bounds[:-1], bounds[1:]], axis=1)  # [K, 2]
        wrong = _contradictions(len(cycles), cycles, span)
        name = f"{file.stem}.avi"
        rows.append((file.name, name, float(len(cycles)), cycles, wrong))
    return rows


def _contradictions(
    count: float, cycles: np.ndarray, span: Sequence[float]
) -> list[str]:
    """What does not fit together in a row."""
    wrong = []
    if count != len(cycles):
        wrong.append(f"counts is {count:g}, there are {len(cycles)} repetitions")
    if (np.diff(cycles.ravel()) < 0).any() or (cycles[:, 1] <= cycles[:, 0]).any():
        wrong.append("the boundaries of its repetitions are out of order")
    first, last = span
    if cycles.min() < first or cycles.max() > last:
        wrong.append(
            f"repetitions from {cycles.min():g} to {cycles.max():g} leave its frames, "
            f"{first:g} to {last:g}"
        )
    return wrong


def _record(
    file: str, stem: str, split: str, count: float, cycles: np.ndarray, found: bool
) -> Annotation:
    """The record of a row, its frames turned into seconds."""
    fps = frame_rate([file] if found else [], FPS)
    # v_<class>_g<group>_c<clip>
    label = stem.split("_")[1] if stem.count("_") >= 3 else ""
    first, last = cycles.min(), cycles.max()
    # Half a frame of margin: a frame's time is rounded in the file.
    return Annotation(
        video_id=stem,
        path=file,
        split=split,
        label=label,
        start_s=max(0.0, (first - 1.5) / fps),
        end_s=(last - 0.5) / fps,
        count=count,
        cycles_s=(cycles - 1) / fps,
        fps=fps,
    )
