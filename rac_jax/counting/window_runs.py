"""A network run over the windows of a video as they come, and what it says joined frame by frame."""

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rac_jax.counting.batching import BatchEncoder

# Batches whose outputs are averaged together: more hold more memory, fewer wait more often.
BATCHES_TOGETHER = 4
# A little weight for a window's edges keeps the ends of a video.
EDGE_WEIGHT = 1e-3

Place = tuple[int, int, int]  # stride, first strided frame, how many frames are real
Network = Callable[[np.ndarray], np.ndarray]  # windows [B, N, ...] to [B, N, C]
Parts = tuple[np.ndarray, ...]  # of one array, along its first axis


def window_weights(length: int) -> np.ndarray:
    """Hann weights of a window's frames, [N]: those at the edges know one side only."""
    return np.hanning(length + 2)[1:-1] + EDGE_WEIGHT


def with_part(parts: Parts, new: np.ndarray) -> Parts:
    """Parts of a long array with one more after them; a value, the given ones stay as they are.

    Shorter parts are joined to the new one, so that hours of small ones stay a few.
    """
    while parts and len(parts[-1]) <= len(new):
        new, parts = np.concatenate([parts[-1], new]), parts[:-1]
    return (*parts, new)


def stack_windows(windows: Sequence[np.ndarray]) -> tuple[np.ndarray]:
    """Windows [N, ...] as the one argument of a network, [B, N, ...]."""
    return (np.stack(windows),)


def last_rows(parts: Parts, number: int) -> np.ndarray:
    """The last rows of an array in at least one part, [at most `number`, ...]."""
    found, room = [], number
    for part in reversed(parts):
        if room <= 0:
            break
        found.append(part[-room:])
        room -= len(part)
    return np.concatenate(found[::-1])


class WindowAverager:
    """Joins the windows of one stride, which come in order, holding N frames of sums.

    Args:
      length: N, strided frames of a window.
      channels: C, values per frame.
    """

    def __init__(self, length: int, channels: int):
        self._weights = window_weights(length)[:, None]  # [N, 1]
        self._first = 0  # strided frame at which the sums begin
        self._sums = np.zeros((length, channels + 1))
        self._done: Parts = ()

    def copy(self) -> "WindowAverager":
        """One that goes on by itself from here; arrays are shared, which nobody writes to."""
        return copy.copy(self)

    def add(self, start: int, valid: int, values: np.ndarray) -> None:
        """Adds a window.

        Args:
          start: its first strided frame, not before the last window's.
          valid: how many of its frames are real.
          values: [N, C].
        """
        sums = self._close(start)
        rows = np.concatenate([values, np.ones((len(values), 1))], axis=1)
        sums[:valid] += (self._weights * rows)[:valid]
        self._sums = sums

    def _close(self, until: int) -> np.ndarray:
        """Averages the frames before `until`, which no later window reaches.

        Returns:
          A new array of the sums from there on.
        """
        closed = self._sums[: until - self._first]
        closed = closed[closed[:, -1] > 0]
        means = closed[:, :-1] / closed[:, -1:]
        self._done = with_part(self._done, means.astype(np.float16))
        moved = np.zeros_like(self._sums)
        rest = self._sums[until - self._first :]
        moved[: len(rest)] = rest
        self._first = until
        return moved

    def finish(self) -> np.ndarray:
        """All frames: float16 [n, C]."""
        return np.concatenate(self._finished())

    def finish_last(self, number: int) -> tuple[int, np.ndarray]:
        """(How many frames there are, the last of them [at most `number`, C])."""
        parts = self._finished()
        return sum(map(len, parts)), last_rows(parts, number)

    def _finished(self) -> Parts:
        """All frames in at least one part."""
        self._close(self._first + len(self._sums))
        nothing = np.zeros((0, self._sums.shape[1] - 1), np.float16)
        return (nothing, *self._done)


class WindowRun:
    """Runs a network over windows of all strides and joins what comes out.

    It changes as it is used; who needs it as it was works on a `copy`.

    Args:
      name: for the log.
      network: windows [B, N, ...] to [B, N, C], compiled.
      strides: temporal strides.
      length: N, strided frames of a window.
      channels: C, values per frame.
      sizes: batch sizes in falling order.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        strides: Sequence[int],
        length: int,
        channels: int,
        sizes: Sequence[int],
    ):
        self._name, self._network, self._sizes = name, network, tuple(sizes)
        self._averagers = {
            stride: WindowAverager(length, channels) for stride in strides
        }
        self._encoder = self._new_encoder()
        self._places: list[Place] = []  # of the windows in the encoder
        self._clips = self._calls = 0
        self._shapes: frozenset[int] = frozenset()

    def _new_encoder(self) -> BatchEncoder:
        return BatchEncoder(self._name, self._network, stack_windows, self._sizes)

    def copy(self) -> "WindowRun":
        """One that goes on by itself from here; windows and outputs are shared, not copied."""
        twin = copy.copy(self)
        twin._averagers = {
            stride: averager.copy() for stride, averager in self._averagers.items()
        }
        twin._encoder, twin._places = self._encoder.copy(), list(self._places)
        return twin

    def add(self, place: Place, window: np.ndarray) -> None:
        """Queues a window [N, ...]; the windows of a stride come in order."""
        self._encoder.add(place, window)
        self._places.append(place)
        # All of these batches are full, so that nothing is run before its time.
        if len(self._places) == BATCHES_TOGETHER * self._sizes[0]:
            self._average()

    def _average(self) -> None:
        """Joins what the encoder has to what was before, and empties it."""
        if self._places:
            found = self._encoder.rows(self._places)
            for row, (stride, start, valid) in enumerate(self._places):
                self._averagers[stride].add(start, valid, found[row])
        self._clips += len(self._places)
        self._calls += self._encoder.calls
        self._shapes |= self._encoder.shapes
        self._encoder, self._places = self._new_encoder(), []

    def finish(self) -> dict[int, np.ndarray]:
        """What was said of every strided frame: stride to float16 [n, C], strides rising."""
        self._average()
        return {
            stride: averager.finish()
            for stride, averager in sorted(self._averagers.items())
        }

    def joined(
        self, known: Sequence[tuple[Place, np.ndarray]], last: Mapping[int, int]
    ) -> dict[int, tuple[int, np.ndarray]]:
        """The end of what `finish` gives if windows follow that were run elsewhere.

        It changes nothing, and takes as long after an hour as after a minute.

        Args:
          known: (place, what the network says of it [N, C]); those of a stride in order.
          last: stride to how many rows are wanted.

        Returns:
          Stride to (how many rows there are, the last of them).
        """
        twin = self.copy()
        twin._average()
        for (stride, start, valid), values in known:
            twin._averagers[stride].add(start, valid, values)
        return {
            stride: averager.finish_last(last[stride])
            for stride, averager in sorted(twin._averagers.items())
        }

    @property
    def cost(self) -> dict[str, int]:
        """What the network did: {"clips", "calls", "compiled"}, the last one in batch sizes."""
        return {
            "clips": self._clips,
            "calls": self._calls,
            "compiled": len(self._shapes),
        }
