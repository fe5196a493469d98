"""Decoded small videos in ArrayRecord files, so that training decodes each of them once.

A cache is a folder with a file `videos-00000-of-00002.array_record` from each of the processes
that made it, one `labelled.to_bytes` record per video, and `index.json`: {"schema", "key",
"shards": [videos in each file], "videos": [summary of each], "broken": [{"name", "reason"}]}. It
appears whole or not at all, and its key says what it was made from. Compression is lossless.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

import numpy as np

from rac_jax import drafts, media
from rac_jax.data import labelled
from rac_jax.data.annotations import Annotation
from rac_jax.data.labelled import LabelledVideo, VideoSummary, summarise
from rac_jax.data.pipeline import Source
from rac_jax.data.records import ANEW, Company, RecordFile, write_records
from rac_jax.data.sources import INTERPOLATION

LOG = logging.getLogger("rac_jax.data")

SCHEMA = 3
RECORDS = "videos-{:05d}-of-{:05d}.array_record"
# What a process says of its file until all are there.
PART = "part-{:05d}.json"
INDEX = "index.json"


def source_key(
    annotations: Sequence[Annotation],
    size: int,
    audio_rate: int,
    interpolation: str = INTERPOLATION,
    pad: bool = False,
) -> str:
    """A digest of all that decoded videos depend on.

    Media files count by name, size and time of change, with the sound files beside them; the
    folder they lie in does not matter.

    Args:
      annotations: of the parts.
      size: height and width of the decoded frames, in pixels.
      audio_rate: samples per second of the decoded sound.
      interpolation: how the frames were resized.
      pad: whether they have black bars.

    Returns:
      16 hexadecimal digits.
    """
    # What is new is left out where it is not used: caches from before it stay good.
    made = (SCHEMA, labelled.SCHEMA, size, audio_rate, interpolation)
    made += ("pad",) if pad else ()
    digest = hashlib.sha256(repr(made).encode())
    for annotation in annotations:
        known = {**vars(annotation), "groups": sorted(annotation.groups.items())}
        if known["turns_s"] is None:
            del known["turns_s"]
        for name in ("cycles_s", "turns_s", "events_s"):
            if known.get(name) is not None:
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
        _write_part(draft, 0, 1, videos, broken)
        _join(draft, folder, key, 1)
    return folder


def _write_part(
    draft: pathlib.Path,
    shard: int,
    shards: int,
    videos: Iterable[LabelledVideo],
    broken: Sequence[dict[str, str]],
) -> None:
    """Writes one process's videos, and what it says of them and of those left out."""
    path, summaries = draft / RECORDS.format(shard, shards), []

    def packed() -> Iterator[bytes]:
        for video in videos:
            yield labelled.to_bytes(video)
            summaries.append(summarise(video).to_json())

    write_records(path, packed())
    part = {"videos": summaries, "broken": list(broken)}
    text = json.dumps(part, allow_nan=False)
    (draft / PART.format(shard)).write_text(text, encoding="utf-8")


def _join(draft: pathlib.Path, folder: pathlib.Path, key: str, shards: int) -> None:
    """Makes the index of what the processes say, which is all that is kept of it.

    Raises:
      ValueError: if there are no videos.
    """
    places = [draft / PART.format(shard) for shard in range(shards)]
    parts = [json.loads(place.read_text(encoding="utf-8")) for place in places]
    videos = [video for part in parts for video in part["videos"]]
    broken = [one for part in parts for one in part["broken"]]
    if not videos:
        why = "; {name}: {reason}".format(**broken[0]) if broken else ""
        raise ValueError(f"{folder}: no video can be read{why}")

    # Files of one name in two folders, say: predictions are stored by this name.
    taken: collections.Counter[str] = collections.Counter()
    for video in videos:
        name = video["video_id"]
        taken[name] += 1
        if taken[name] > 1:
            video["video_id"] = f"{name}#{taken[name]}"
    index = {
        "schema": SCHEMA,
        "key": key,
        "shards": [len(part["videos"]) for part in parts],
        "videos": videos,
        "broken": broken,
    }
    text = json.dumps(index, indent=1, allow_nan=False)
    (draft / INDEX).write_text(text, encoding="utf-8")
    for place in places:
        place.unlink()


def cache_source(
    folder: str | os.PathLike,
    source: Source,
    key: str,
    progress: Callable[[int, int], None] | None = None,
    *,
    workers: int = 0,
    company: Company | None = None,
) -> "CachedVideos":
    """Opens the cache of a source, building it where it is not there yet.

    A video that cannot be read (ValueError) is left out, with a warning and an entry in the
    cache's list of broken ones.

    Args:
      folder: of the cache.
      source: the videos; not touched if the cache is there.
      key: of the source, see `source_key`.
      progress: called with (videos done, videos in all) of this process.
      workers: videos that this process reads at once, 0 for one after the other.
      company: the processes that share the work, all of which call this; None for this alone.

    Returns:
      The cached videos.

    Raises:
      ValueError: if the folder holds a damaged cache, an older one or one of other data, or if
        not one video can be read.
      OSError: if the cache cannot be written.
    """
    folder = pathlib.Path(folder)
    if company is not None and company.number > 1:
        if not company.first(_occupied(folder)):
            _build_together(folder, source, key, progress, workers, company)
    elif not _occupied(folder):
        broken: list[dict[str, str]] = []
        indices = range(len(source))
        videos = _readable(source, indices, broken, progress, workers)
        try:
            build_cache(folder, videos, key, broken)
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


def _build_together(
    folder: pathlib.Path,
    source: Source,
    key: str,
    progress: Callable[[int, int], None] | None,
    workers: int,
    company: Company,
) -> None:
    """Builds a cache of which every process writes a part, in the order of the source."""
    draft = folder.with_name(f".{folder.name}-{key}.part")
    if company.index == 0:
        # What a run that was killed has left.
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
    company.wait(f"draft of {folder.name}")
    broken: list[dict[str, str]] = []
    indices = np.array_split(np.arange(len(source)), company.number)[company.index]
    videos = _readable(source, indices.tolist(), broken, progress, workers)
    _write_part(draft, company.index, company.number, videos, broken)
    company.wait(f"parts of {folder.name}")
    if company.index == 0:
        _join(draft, folder, key, company.number)
        os.rename(draft, folder)
    company.wait(folder.name)


def _readable(
    source: Source,
    indices: Sequence[int],
    broken: list[dict[str, str]],
    progress: Callable[[int, int], None] | None,
    workers: int,
) -> Iterator[LabelledVideo]:
    """Videos in their order, read some at once; those that cannot be are noted as broken."""

    def read(index: int) -> LabelledVideo | str:
        try:
            return source[index]
        except ValueError as error:
            reason = " ".join(str(error).split())
            return reason.removeprefix(f"{source.name(index)}: ")

    # Threads will do: files are decoded in processes of their own.
    with concurrent.futures.ThreadPoolExecutor(max(1, workers)) as pool:
        # No more than what is being read waits to be written.
        reading: collections.deque[concurrent.futures.Future] = collections.deque()
        left = collections.deque(indices)
        for done, index in enumerate(indices, start=1):
            while left and len(reading) < max(1, workers):
                reading.append(pool.submit(read, left.popleft()))
            found = reading.popleft().result()
            if isinstance(found, str):
                name = source.name(index)
                LOG.warning("skipped %s: %s", name, found)
                broken.append({"name": name, "reason": found})
            else:
                yield found
            if progress is not None:
                progress(done, len(indices))


class _Shard(RecordFile):
    """One file of a cache.

    Args:
      path: of the file.
    """

    def __init__(self, path: pathlib.Path):
        super().__init__(path, "video")

    def check(self, videos: int) -> None:
        """Looks whether the file holds so many videos.

        Raises:
          ValueError: if it does not, or cannot be read.
        """
        found = len(self)
        self.close()
        if found != videos:
            raise ValueError(
                f"{self.path}: holds {found} videos, {INDEX} names {videos}; {ANEW}"
            )

    def video(self, place: int) -> LabelledVideo:
        """Reads one video.

        Raises:
          ValueError: if the record is damaged.
        """
        record = self.read(place)
        try:
            return labelled.from_bytes(record)
        except ValueError as error:
            raise self.damaged(place, error) from None


class CachedVideos:
    """The videos of a cache folder.

    It may be shared by threads, and be sent to worker processes: each opens the files itself.

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
        number = len(index.shards)
        self._shards = [
            _Shard(self.folder / RECORDS.format(shard, number))
            for shard in range(number)
        ]
        # Where each shard begins, among all videos.
        self._starts = np.concatenate([[0], np.cumsum(index.shards)])
        # Damage shows now rather than in the middle of a training run.
        for shard, videos in zip(self._shards, index.shards, strict=True):
            shard.check(videos)

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
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        video = self._shards[shard].video(int(index - self._starts[shard]))
        return dataclasses.replace(video, video_id=self.name(index))

    def name(self, index: int) -> str:
        """The video's identifier."""
        return self.summaries[index].video_id


@dataclasses.dataclass(frozen=True)
class _Index:
    """What `index.json` says.

    Attributes:
      key, videos, broken: see `CachedVideos`.
      shards: videos in each file.
    """

    key: str
    shards: list[int]
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
                shards = [int(number) for number in values["shards"]]
                if min(shards) < 0 or sum(shards) != len(videos):
                    raise ValueError(f"shards of {shards} for {len(videos)} videos")
                return cls(values["key"], shards, videos, values["broken"])
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
