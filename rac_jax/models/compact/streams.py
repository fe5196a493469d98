"""One stream run over the windows of a video, as they come."""

import copy
from collections.abc import Callable, Sequence

import numpy as np

from rac_jax.counting.batching import BatchEncoder
from rac_jax.models.compact.network import PeriodPosteriors
from rac_jax.models.compact.posteriors import WindowAverager

SHORTEST_VIDEO = 12  # strided frames under which a stride has nothing to say

# Batches whose outputs are averaged together: more hold more memory, fewer wait more often.
BATCHES_TOGETHER = 4

Place = tuple[int, int, int]  # stride, first strided frame, how many frames are real
Network = Callable[[np.ndarray], PeriodPosteriors]


class StreamRun:
    """Runs a stream over windows of all strides and joins what comes out.

    Args:
      name: of the stream.
      network: windows [B, 64, ...] to `PeriodPosteriors`, compiled.
      strides: temporal strides.
      sizes: batch sizes in falling order.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        strides: Sequence[int],
        sizes: Sequence[int],
    ):
        self._name, self._network, self._sizes = name, network, tuple(sizes)
        self._averagers = {stride: WindowAverager() for stride in strides}
        self._encoder = self._new_encoder()
        self._places: list[Place] = []  # of the windows in the encoder
        self._clips = self._calls = 0
        self._shapes: frozenset[int] = frozenset()

    def _new_encoder(self) -> BatchEncoder:
        return BatchEncoder(
            self._name, self._network, lambda windows: (np.stack(windows),), self._sizes
        )

    def copy(self) -> "StreamRun":
        """One that goes on by itself from here; windows and outputs are shared, not copied."""
        twin = copy.copy(self)
        twin._averagers = {
            stride: averager.copy() for stride, averager in self._averagers.items()
        }
        twin._encoder, twin._places = self._encoder.copy(), list(self._places)
        return twin

    def add(self, place: Place, window: np.ndarray) -> None:
        """Queues a window [64, ...]; the windows of a stride come in order."""
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
                periods, periodicity = found.periods[row], found.periodicity[row]
                self._averagers[stride].add(start, valid, periods, periodicity)
        self._clips += len(self._places)
        self._calls += self._encoder.calls
        self._shapes |= self._encoder.shapes
        self._encoder, self._places = self._new_encoder(), []

    def finish(self) -> dict[int, np.ndarray]:
        """Posteriors of all strides that are long enough; at least the smallest stride's.

        Returns:
          Stride to float16 [n, 29], see `WindowAverager`.
        """
        self._average()
        found = {
            stride: averager.finish()
            for stride, averager in sorted(self._averagers.items())
        }
        least = min(found)
        return {
            stride: rows
            for stride, rows in found.items()
            if stride == least or len(rows) >= SHORTEST_VIDEO
        }

    @property
    def cost(self) -> dict[str, int]:
        """What the network did: {"clips", "calls", "compiled"}, the last one in batch sizes."""
        return {
            "clips": self._clips,
            "calls": self._calls,
            "compiled": len(self._shapes),
        }
