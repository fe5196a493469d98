"""Batches of training examples by grain: shuffled, sharded by host, read in worker processes.

What stands at row r of batch k is a function of (seed, k, r) alone: not of the number of worker
processes, nor of how many hosts share the rows, nor of where a run was interrupted. So the
position in the data is the number of batches taken, and nothing else needs saving.
"""

import collections
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol, TypeVar

import grain
import numpy as np
from absl import flags

from rac_jax.data.labelled import LabelledVideo

LOG = logging.getLogger("rac_jax.data")

HostBatch = TypeVar("HostBatch")
DeviceBatch = TypeVar("DeviceBatch")


class Source(Protocol):
    """Random access to labelled videos; reading one may raise ValueError or OSError."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> LabelledVideo: ...

    def name(self, index: int) -> str:
        """For messages."""
        ...


class Sampler(Protocol):
    """From a video to one example; small and picklable, it goes to worker processes."""

    def blank(self) -> dict[str, np.ndarray]:
        """An example of zeros, which stands for a video that could not be read."""
        ...

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """An example of the same names, shapes and types; draws from `rng` alone."""
        ...


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Place in the run's order to example."""

    source: Source
    sampler: Sampler
    order: grain.MapDataset
    seed: int

    def __call__(self, place: int) -> dict[str, np.ndarray]:
        index = int(self.order[place])
        rng = np.random.default_rng([self.seed, place])
        try:
            video = self.source[index]
        except (ValueError, OSError):
            example = self.sampler.blank() | {"mask": np.False_, "broken": np.True_}
        else:
            example = self.sampler(video, rng)
        marks = {"mask": np.True_, "broken": np.False_, "index": np.int32(index)}
        return marks | example


def make_batches(
    source: Source,
    sampler: Sampler,
    *,
    seed: int,
    batch: int,
    batches: int,
    start: int = 0,
    rows: Sequence[int] | None = None,
    workers: int = 0,
    shuffle: bool = True,
) -> Iterator[dict[str, np.ndarray]]:
    """Reads batches, each epoch in another order, epochs back to back.

    Args:
      source: the videos.
      sampler: from a video to an example.
      seed: of order and draws.
      batch: rows of a global batch.
      batches: where the iterator ends, counted from the run's first batch.
      start: batches already taken.
      rows: of every batch, the numbers of those of this host, rising; None for all.
      workers: processes that read and decode; 0 for threads of this one.
      shuffle: whether to change the order.

    Returns:
      An iterator of dicts of arrays [rows, ...]: the sampler's, "index" of the video, "mask" (false
      for what cannot be learned from), "broken" (it could not be read: a blank stands there).

    Raises:
      ValueError: if the source is empty, or the rows are not in the batch.
    """
    if len(source) == 0:
        raise ValueError("data: there are no videos")
    taken = np.arange(batch) if rows is None else np.asarray(rows)
    if not len(taken) or taken[0] < 0 or taken[-1] >= batch:
        raise ValueError(f"data: rows {taken.tolist()} of a batch of {batch}")
    own = len(taken)
    order = grain.MapDataset.range(len(source))
    if shuffle:
        order = order.shuffle(seed=seed)
    order = order.repeat(-(-batches * batch // len(source)))
    reader = _Reader(source, sampler, order, seed)

    def read(position: int) -> dict[str, np.ndarray]:
        number, row = divmod(position, own)
        return reader(number * batch + int(taken[row]))

    dataset = grain.MapDataset.range(start * own, batches * own).map(read)
    dataset = dataset.batch(own, drop_remainder=True).to_iter_dataset(
        grain.ReadOptions(num_threads=0 if workers else 2, prefetch_buffer_size=4)
    )
    if workers:
        if not flags.FLAGS.is_parsed():
            # grain's workers read them, whether or not absl runs the program.
            flags.FLAGS.mark_as_parsed()
        options = grain.MultiprocessingOptions(num_workers=workers)
        dataset = dataset.mp_prefetch(options)
    return iter(dataset)


class BrokenVideos:
    """Counts and reports the videos that could not be read, each once, with the reason."""

    def __init__(self, source: Source):
        self._source = source
        self.reasons: dict[str, str] = {}

    def note(self, batch: dict[str, np.ndarray]) -> None:
        """Looks through a batch of `make_batches`."""
        for index in np.flatnonzero(batch["broken"]):
            video = int(batch["index"][index])
            name = self._source.name(video)
            if name in self.reasons:
                continue
            try:
                self._source[video]
                reason = "could not be read at first"
            except (ValueError, OSError) as error:
                reason = " ".join(str(error).split())
            self.reasons[name] = reason
            LOG.warning("skipped %s: %s", name, reason)


def prefetch(
    batches: Generator[HostBatch, None, None],
    put: Callable[[HostBatch], DeviceBatch],
    ahead: int = 2,
) -> Iterator[DeviceBatch]:
    """Sends batches to the device before they are asked for.

    `put` only starts a transfer, so the next batch travels while a step computes.

    Args:
      batches: of host arrays; closed at the end.
      put: to device arrays, without waiting.
      ahead: batches on their way at a time.

    Yields:
      Device batches in order.
    """
    waiting: collections.deque[DeviceBatch] = collections.deque()
    # Whoever stops early closes the batches too: their worker processes end.
    with contextlib.closing(batches):
        for batch in batches:
            waiting.append(put(batch))
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


@dataclasses.dataclass(frozen=True)
class Subset:
    """Some videos of a source.

    Attributes:
      source: the whole.
      indices: which, in order.
    """

    source: Source
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> LabelledVideo:
        return self.source[self.indices[index]]

    def name(self, index: int) -> str:
        return self.source.name(self.indices[index])
