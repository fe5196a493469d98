"""Countix (Dwibedi et al., CVPR 2020): repeated parts of Kinetics videos, as Google released them.

Its CSV has `video_id,class,kinetics_start,kinetics_end,repetition_start,repetition_end,count`,
one repeated part per line, times in seconds of the whole YouTube video; test files have no class.
A video may be there as the whole video, `<video_id>.mp4`, or as Kinetics cuts it,
`<video_id>_<start>_<end>.mp4` with six digits each, in which times begin at `kinetics_start`;
in any folder below the given one, with any suffix of a video.
"""

import os
import pathlib
from collections.abc import Mapping

from rac_jax.data import tables
from rac_jax.data.annotations import Annotation
from rac_jax.data.labels import Labels, Published, Videos, split_of

COLUMNS = (
    "video_id",
    "kinetics_start",
    "kinetics_end",
    "repetition_start",
    "repetition_end",
    "count",
)
# Paper 1 (Zhang, Shao and Snoek, CVPR 2021), section 4.1.
PUBLISHED = {
    split: Published("paper 1, section 4.1", videos)
    for split, videos in (("train", 4588), ("val", 1450), ("test", 2719))
}
OPTIONS: tuple[str, ...] = ()


def read(
    path: pathlib.Path, videos: str | os.PathLike | None, options: Mapping[str, str]
) -> Labels:
    """Reads one of the CSV files.

    Args:
      path: the CSV.
      videos: folder of the videos, None to read the labels alone.
      options: none.

    Returns:
      The records, the doubtful rows and the videos that are not there.

    Raises:
      OSError: if the CSV cannot be read.
      ValueError: "<name>:<line>: <what is wrong>" for a wrong table.
    """
    return read_parts(path, Videos(videos), PUBLISHED)


def read_parts(
    path: pathlib.Path, videos: Videos, published: Mapping[str, Published]
) -> Labels:
    """`read`, for every data set in this form."""
    records: list[Annotation] = []
    problems: list[str] = []
    missing: set[int] = set()
    for line, row in tables.read_rows(path, COLUMNS):
        video_id, label = row["video_id"].strip(), row.get("class", "").strip()
        try:
            times = [_needed(path, line, row, name) for name in COLUMNS[1:]]
        except ValueError as error:
            problems.append(str(error))
            continue
        clip_start, clip_end, start, end, count = times
        if end <= start:
            what = f"repetition_end {end:g} is not after repetition_start {start:g}"
            problems.append(str(tables.wrong(path, line, what)))
            continue
        if start < clip_start or end > clip_end:
            what = f"the repetitions, {start:.6f} to {end:.6f} s, leave the clip, "
            what += f"{clip_start:g} to {clip_end:g} s"
            problems.append(str(tables.wrong(path, line, what)))
        file, offset_s = _locate(videos, video_id, clip_start, clip_end)
        if file is None and videos.folder is not None:
            missing.add(len(records))
        records.append(
            Annotation(
                video_id=video_id,
                path=str(file or videos.unfound(f"{video_id}.mp4")),
                split=split_of(path),
                label=label,
                # Rounding in the file may put the start a hair before the clip's.
                start_s=max(0.0, start - offset_s),
                end_s=end - offset_s,
                count=count,
            )
        )
    return Labels(tuple(records), tuple(problems), frozenset(missing), published)


def _needed(path: pathlib.Path, line: int, row: dict[str, str], name: str) -> float:
    value = tables.number(path, line, row, name)
    if value is None:
        raise tables.wrong(path, line, f"{name} is empty")
    return value


def _locate(
    videos: Videos, video_id: str, start_s: float, end_s: float
) -> tuple[pathlib.Path | None, float]:
    """The file of a video, and the time of the whole video at which it begins."""
    for file in videos.find(f"{video_id}_{start_s:06.0f}_{end_s:06.0f}"):
        return file, start_s
    for file in videos.find(video_id):
        return file, 0.0
    return None, 0.0
