"""Data sets by name: `NAME:FILE[,videos=DIR][,OPTION=VALUE ...]`, or the path of a plain CSV.

One table holds the readers; each reads the official files of one data set into the one record.
"""

import os
import pathlib
from collections.abc import Callable, Mapping
from types import ModuleType

from rac_jax import media
from rac_jax.data import (
    activitynet,
    annotations,
    audible623,
    countix,
    countix_av,
    extreme_countix_av,
    kinetics,
    kinetics_sounds,
    mini_sports1m,
    qar_evd,
    repcount_a,
    sense,
    ucf101,
    ucfrep,
    vggsound,
)
from rac_jax.data.annotations import Annotation
from rac_jax.data.labels import Labels
from rac_jax.media.files import VIDEO_SUFFIXES

READERS: Mapping[str, ModuleType] = {
    "activitynet": activitynet,
    "audible623": audible623,
    "countix": countix,
    "countix_av": countix_av,
    "extreme_countix_av": extreme_countix_av,
    "kinetics": kinetics,
    "kinetics_sounds": kinetics_sounds,
    "mini_sports1m": mini_sports1m,
    "qar_evd": qar_evd,
    "repcount_a": repcount_a,
    "sense": sense,
    "ucf101": ucf101,
    "ucfrep": ucfrep,
    "vggsound": vggsound,
}
VIDEOS = "videos"
# Those whose file is a folder that the videos lie in.
WITH_VIDEOS = ("qar_evd", "sense")


def read(name: str | os.PathLike, need_videos: bool = False) -> Labels:
    """Reads the labels of a data set.

    Args:
      name: `NAME:FILE[,videos=DIR][,OPTION=VALUE ...]` with a name of `READERS`, or the path of a
        CSV as `annotations.read_csv` reads it.
      need_videos: refuse a named data set without its folder of videos.

    Returns:
      The labels. Of a plain CSV nobody looks whether the files are there.

    Raises:
      OSError: if the annotations cannot be read.
      ValueError: if the name or an option is unknown, or the annotations are no such table.
    """
    text = os.fspath(name)
    reader_name, colon, rest = text.partition(":")
    if os.path.exists(text) or not colon or reader_name not in READERS:
        # A short word before a colon is a name that was meant, not a folder.
        if colon and not os.path.exists(text) and reader_name.isidentifier():
            raise ValueError(
                f"{text}: {reader_name!r} is no data set, known: {', '.join(READERS)}"
            )
        return Labels(tuple(annotations.read_csv(text)))
    reader = READERS[reader_name]
    file, *given = rest.split(",")
    options: dict[str, str] = {}
    for option in given:
        key, equals, value = option.partition("=")
        if key not in (VIDEOS, *reader.OPTIONS) or not equals or not value:
            known = ", ".join(f"{known}=..." for known in (VIDEOS, *reader.OPTIONS))
            raise ValueError(f"{text}: {option!r} is none of its options: {known}")
        options[key] = value
    videos = options.pop(VIDEOS, None)
    if need_videos and videos is None and reader_name not in WITH_VIDEOS:
        raise ValueError(
            f"{text}: needs the folder of its videos, as in {text},videos=DIR"
        )
    return reader.read(pathlib.Path(file), videos, options)


def read_found(name: str | os.PathLike, say: Callable[[str], None]) -> list[Annotation]:
    """The records of a data set whose videos are there; the rest is told.

    Args:
      name: as in `read`.
      say: told a line for each doubtful row, and how many videos are missing and which.

    Returns:
      The records.

    Raises:
      OSError: as `read`.
      ValueError: as `read`; if not one video is there.
    """
    labels = read(name, need_videos=True)
    for problem in labels.problems:
        say(problem)
    if labels.missing:
        total = len({record.path for record in labels.annotations})
        gone = ", ".join(os.path.basename(path) for path in labels.missing)
        say(f"{name}: {len(labels.missing)} of {total} videos are missing: {gone}")
    if labels.without_video and not labels.found:
        raise ValueError(f"{name}: none of its videos is there")
    return labels.found


def read_folder(folder: str | os.PathLike) -> list[Annotation]:
    """A record for every video in a folder, with everything below it; their counts are 0.

    The label is the name of the folder that a video lies in, as Kinetics is sorted by classes:
    "" for one that lies in `folder` itself.

    Raises:
      ValueError: if there is none.
    """
    found = media.find_media([folder])
    paths = [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES]
    if not paths:
        raise ValueError(f"{folder}: holds no video")
    top = pathlib.Path(folder)
    return [
        Annotation(
            path.stem,
            str(path),
            0.0,
            label="" if path.parent == top else path.parent.name,
        )
        for path in paths
    ]
