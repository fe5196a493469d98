"""What a reader of a data set gives: the records, the rows it doubts, the videos not found."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

from rac_jax import media
from rac_jax.data.annotations import Annotation
from rac_jax.media.files import VIDEO_SUFFIXES

SPLITS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "test": "test",
    "eval": "test",
}


@dataclasses.dataclass(frozen=True)
class Labels:
    """One annotation file or folder of a data set.

    Attributes:
      annotations: a record per row that can be used, in the order of the file.
      problems: "<file>:<line>: <what>" of each row that contradicts itself. A row without a
        usable count or span has no record; any other keeps what it says.
      without_video: indices in `annotations` of those whose media file was not found; empty
        where no folder of videos was given.
      published: what the authors published of this data set, by split.
    """

    annotations: tuple[Annotation, ...]
    problems: tuple[str, ...] = ()
    without_video: frozenset[int] = frozenset()
    published: Mapping[str, "Published"] = dataclasses.field(default_factory=dict)

    @property
    def found(self) -> list[Annotation]:
        """The records whose media file is there."""
        pairs = enumerate(self.annotations)
        return [record for index, record in pairs if index not in self.without_video]

    @property
    def missing(self) -> list[str]:
        """The names of the videos that are not there, each once."""
        gone = (self.annotations[index].path for index in sorted(self.without_video))
        return list(dict.fromkeys(gone))


@dataclasses.dataclass(frozen=True)
class Published:
    """Published statistics of one split.

    Attributes:
      source: where they are printed.
      videos: how many labelled parts, which the papers call videos.
      groups: by class or challenge, (labelled parts, mean count or None).
    """

    source: str
    videos: int
    groups: Mapping[str, tuple[int, float | None]] = dataclasses.field(
        default_factory=dict
    )


def split_of(path: str | os.PathLike) -> str:
    """The split that a file's name says it holds, "" if it says none."""
    words = pathlib.PurePath(path).stem.lower().replace("-", "_").split("_")
    return next((SPLITS[word] for word in reversed(words) if word in SPLITS), "")


def class_number(video_id: str, label: str, classes: tuple[str, ...]) -> int:
    """The number of a video's class.

    Raises:
      ValueError: if its label is no class.
    """
    if label not in classes:
        raise ValueError(
            f"{video_id}: its label {label!r} is none of the {len(classes)} classes"
        )
    return classes.index(label)


def frame_rate(files: Sequence[str | os.PathLike], otherwise: float) -> float:
    """Frames per second that a video says it has.

    Args:
      files: the video, or none.
      otherwise: what is taken where there is none, or it cannot be read, which decoding will say.
    """
    for file in files:
        try:
            return media.probe(file).fps or otherwise
        except media.MediaError:
            break
    return otherwise


class Videos:
    """The media files below a folder, by their names without suffix.

    Args:
      folder: of the videos, searched with everything below it; None for none.

    Raises:
      ValueError: if it is no folder.
    """

    def __init__(self, folder: str | os.PathLike | None):
        self.folder = folder
        self._files: dict[str, list[pathlib.Path]] = {}
        if folder is None:
            return
        if not os.path.isdir(folder):
            raise ValueError(f"{folder}: is not a folder of videos")
        for place, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in VIDEO_SUFFIXES:
                    self._files.setdefault(stem, []).append(pathlib.Path(place, name))

    def find(self, stem: str) -> list[pathlib.Path]:
        """All files of this name, in the order of their paths."""
        return self._files.get(stem, [])

    def unfound(self, name: str) -> str:
        """The path that a video would have had."""
        return os.path.join(self.folder or "", name)
