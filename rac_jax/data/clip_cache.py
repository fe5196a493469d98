"""Decoded small videos in one ArrayRecord file, so that training decodes each of them once.

A cache is a folder with `videos.array_record`, one `labelled.to_bytes` record per video, and
`index.json`: {"schema", "key", "videos": [summary of each], "broken": [{"name", "reason"}]}. It
appears whole or not at all, and its key says what it was made from. Compression is lossless.
"""

import collections
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

import numpy as np
from array_record.python.array_record_module import (
    ArrayRecordReader,
    ArrayRecordWriter,
)

from rac_jax import drafts, media
from rac_jax.data import labelled
from rac_jax.data.annotations import Annotation
from rac_jax.data.labelled import LabelledVideo, VideoSummary, summarise
from rac_jax.data.pipeline import Source
from rac_jax.data.sources import INTERPOLATION

LOG = logging.getLogger("rac_jax.data")

SCHEMA = 2
RECORDS = "videos.array_record"
INDEX = "index.json"
ANEW = "delete the folder and run the command that made it again"

# One video per group: any of them is read without its neighbours. Higher levels of zstd gain
# nothing on pictures with grain, and level 1 reads back at half a gigabyte per second and more.
WRITER_OPTIONS = "group_size:1,zstd:1"
# For random access: nothing is read ahead.
READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"


def source_key(
    annotations: Sequence[Annotation],
    size: int,
    audio_rate: int,
    interpolation: str = INTERPOLATION,
) -> str:
    """A digest of all that decoded videos depend on.

    Media files count by name, size and time of change, with the sound files beside them; the
    folder they lie in does not matter.

    Args:
      annotations: of the parts.
      size: height and width of the decoded frames, in pixels.
      audio_rate: samples per second of the decoded sound.
      interpolation: how the frames were resized.

    Returns:
      16 hexadecimal digits.
    """
    made = (SCHEMA, labelled.SCHEMA, size, audio_rate, interpolation)
    digest = hashlib.sha256(repr(made).encode())
    for annotation in annotations:
        known = {**vars(annotation), "groups": sorted(annotation.groups.items())}
        for name in ("cycles_s", "events_s"):
            if known[name] is not None:
                known[name] = np.asarray(known[name], np.float64).tolist()
        known["path"] = _stamp(annotation.path)
        known["sound"] = _stamp(media.sibling_sound(annotation.path))
        digest.update(repr(sorted(known.items())).encode())
    return digest.hexdigest()[:16]


def _stamp(path: str | os.PathLike | None) -> tuple | None:
    if path is None:
        return None
    name = os.path.basename(path)
    try:
        known = os.stat(path)
    except OSError:
        return name, "missing"
    return name, known.st_size, known.st_mtime_ns


def build_cache(
    folder: str | os.PathLike,
    videos: Iterable[LabelledVideo],
    key: str,
    broken: Sequence[dict[str, str]] = (),
) -> pathlib.Path:
    """Writes a cache; one video is in memory at a time.

    Args:
      folder: where it will appear; must not be there, or be empty.
      videos: what to store, in order.
      key: of what they were made from.
      broken: {"name", "reason"} of the videos left out; read after the last video.

    Returns:
      The folder.

    Raises:
      ValueError: if there are no videos.
      OSError: if it cannot be written, or the folder is there with something in it.
      Whatever `videos` raises; then nothing is left behind.
    """
    folder = pathlib.Path(folder)
    # Another process may be faster: its cache is not replaced.
    with drafts.draft_folder(folder, replace=False) as draft:
        summaries = _write_records(draft / RECORDS, videos)
        if not summaries:
            why = "; {name}: {reason}".format(**broken[0]) if broken else ""
            raise ValueError(f"{folder}: no video can be read{why}")
        index = {
            "schema": SCHEMA,
            "key": key,
            "videos": [summary.to_json() for summary in summaries],
            "broken": list(broken),
        }
        text = json.dumps(index, indent=1, allow_nan=False)
        (draft / INDEX).write_text(text, encoding="utf-8")
    return folder


def _write_records(
    path: pathlib.Path, videos: Iterable[LabelledVideo]
) -> list[VideoSummary]:
    summaries, taken = [], collections.Counter()
    writer = ArrayRecordWriter(str(path), WRITER_OPTIONS)
    try:
        for video in videos:
            # Files of one name in two folders, say: predictions are stored by this name.
            taken[video.video_id] += 1
            if (number := taken[video.video_id]) > 1:
                name = f"{video.video_id}#{number}"
                video = dataclasses.replace(video, video_id=name)
            _written(path, writer.write, labelled.to_bytes(video))
            summaries.append(summarise(video))
    finally:
        _written(path, writer.close)
    return summaries


def _written(path: pathlib.Path, act: Callable, *arguments: bytes) -> None:
    try:
        act(*arguments)
    except RuntimeError as error:
        raise OSError(f"{path}: cannot be written ({error})") from None


def cache_source(
    folder: str | os.PathLike,
    source: Source,
    key: str,
    progress: Callable[[int, int], None] | None = None,
) -> "CachedVideos":
    """Opens the cache of a source, building it where it is not there yet.

    A video that cannot be read (ValueError) is left out, with a warning and an entry in the
    cache's list of broken ones.

    Args:
      folder: of the cache.
      source: the videos; not touched if the cache is there.
      key: of the source, see `source_key`.
      progress: called with (videos done, videos in all).

    Returns:
      The cached videos.

    Raises:
      ValueError: if the folder holds a damaged cache, an older one or one of other data, or if
        not one video can be read.
      OSError: if the cache cannot be written.
    """
    folder = pathlib.Path(folder)
    if not _occupied(folder):
        broken: list[dict[str, str]] = []
        try:
            build_cache(folder, _readable(source, broken, progress), key, broken)
        except OSError:
            # Another process may have been faster: then its cache is as good.
            if not _occupied(folder):
                raise
    cached = CachedVideos(folder)
    if cached.key != key:
        raise ValueError(
            f"{folder}: holds a cache of other data (key {cached.key}, wanted {key}); "
            "delete it or choose another folder"
        )
    return cached


def _occupied(folder: pathlib.Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _readable(
    source: Source, broken: list, progress: Callable[[int, int], None] | None
) -> Iterator[LabelledVideo]:
    for index in range(len(source)):
        try:
            video = source[index]
        except ValueError as error:
            name = source.name(index)
            reason = " ".join(str(error).split()).removeprefix(f"{name}: ")
            LOG.warning("skipped %s: %s", name, reason)
            broken.append({"name": name, "reason": reason})
        else:
            yield video
        if progress is not None:
            progress(index + 1, len(source))


class CachedVideos:
    """The videos of a cache folder.

    It may be shared by threads, and be sent to worker processes: each opens the file itself.

    Args:
      folder: of the cache.

    Attributes:
      folder: the same.
      key: of what the cache was made from.
      summaries: of the videos, in order.
      broken: {"name", "reason"} of each video left out.

    Raises:
      ValueError: if a file of the cache is missing or damaged, or of an older version; the
        message names it and says what to do.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = pathlib.Path(folder)
        index = _Index.read(self.folder)
        self.key, self.summaries, self.broken = index.key, index.videos, index.broken
        self._close()
        # Damage shows now rather than in the middle of a training run.
        found = self._open().num_records()
        self._close()
        if found != len(self):
            raise ValueError(
                f"{self._path}: holds {found} videos, {INDEX} names {len(self)}; {ANEW}"
            )

    @property
    def _path(self) -> pathlib.Path:
        return self.folder / RECORDS

    def _close(self) -> None:
        self._reader, self._owner, self._lock = None, None, threading.Lock()

    def _open(self) -> ArrayRecordReader:
        with self._lock:
            # A forked process must not share the position in its parent's open file.
            if self._owner != os.getpid():
                if not self._path.is_file():
                    raise ValueError(f"{self._path}: is missing; {ANEW}")
                self._reader = ArrayRecordReader(str(self._path), READER_OPTIONS)
                self._owner = os.getpid()
                if not self._reader.ok():
                    self._owner = None
                    raise ValueError(
                        f"{self._path}: is damaged or was cut short; {ANEW}"
                    )
            return self._reader

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_reader": None, "_owner": None, "_lock": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._close()

    def __len__(self) -> int:
        return len(self.summaries)

    def __getitem__(self, index: int) -> LabelledVideo:
        """Reads one video; its arrays are read-only.

        Raises:
          IndexError: outside of the cache.
          ValueError: if the record is damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"video {index} of {len(self)}")
        reader = self._open()
        try:
            return labelled.from_bytes(reader.read([int(index)])[0])
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"{self._path}: video {index} is damaged ({error})"
            ) from None

    def name(self, index: int) -> str:
        """The video's identifier."""
        return self.summaries[index].video_id


@dataclasses.dataclass(frozen=True)
class _Index:
    """What `index.json` says.

    Attributes:
      key, videos, broken: see `CachedVideos`.
    """

    key: str
    videos: list[VideoSummary]
    broken: list[dict[str, str]]

    @classmethod
    def read(cls, folder: pathlib.Path) -> Self:
        """The index of a cache.

        Raises:
          ValueError: if it is missing, damaged or of another version.
        """
        path = folder / INDEX
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            schema = values["schema"]
            if schema == SCHEMA:
                videos = [VideoSummary.from_json(video) for video in values["videos"]]
                return cls(values["key"], videos, values["broken"])
        except FileNotFoundError:
            raise ValueError(
                f"{path}: is missing, this is no cache of videos"
            ) from None
        # What is no JSON or no text is a ValueError, too.
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: is damaged ({error}); {ANEW}") from None
        raise ValueError(
            f"{folder}: is a cache of schema {schema}, this version reads {SCHEMA}; {ANEW}"
        )
