"""From the outputs of overlapping windows to one line of periods per temporal stride."""

import dataclasses

import numpy as np

from rac_jax.data.windows import WINDOW_FRAMES
from rac_jax.models.compact import PERIOD_BINS, period_grid

NEIGHBOURS = 2  # bins on each side of the peak that are read as one peak
LOG_GRID = np.log(period_grid().astype(np.float64))
# Frames at a window's edge know one side only; a little weight keeps the ends of the video.
WEIGHTS = np.hanning(WINDOW_FRAMES + 2)[1:-1] + 1e-3


@dataclasses.dataclass(frozen=True)
class Periods:
    """What one stride says of each of its T strided frames.

    Attributes:
      stride: temporal stride in frames.
      log_period: float32 [T] logarithm of the period in frames of the video.
      mass: float32 [T] share of the distribution round its peak, in [0, 1].
      periodicity: float32 [T] in [0, 1].
    """

    stride: int
    log_period: np.ndarray
    mass: np.ndarray
    periodicity: np.ndarray


def decode(periods: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reads the peak of distributions over periods.

    Args:
      periods: [T, 28] distributions over `period_grid()`.

    Returns:
      (log_period [T], mass [T]): the mean of the logarithm over the bins within two of the
      peak, and their share.
    """
    near = np.argmax(periods, axis=-1)[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    inside = (near >= 0) & (near < PERIOD_BINS)
    near = np.clip(near, 0, PERIOD_BINS - 1)
    weights = np.take_along_axis(periods, near, axis=-1) * inside  # [T, 5]
    mass = weights.sum(axis=-1)
    return (weights * LOG_GRID[near]).sum(axis=-1) / mass, mass


class PeriodLine:
    """Joins the windows of one stride, which come in order, holding 64 frames.

    Args:
      stride: temporal stride in frames.
    """

    def __init__(self, stride: int):
        self._stride = stride
        self._first = 0  # strided frame at which the sums begin
        self._sums = np.zeros((WINDOW_FRAMES, PERIOD_BINS + 2))
        self._done: list[np.ndarray] = []

    def add(
        self, start: int, valid: int, periods: np.ndarray, periodicity: np.ndarray
    ) -> None:
        """Adds a window.

        Args:
          start: its first strided frame, not before the last window's.
          valid: how many of its frames are real.
          periods: [64, 28].
          periodicity: [64].
        """
        self._close(start)
        rows = np.concatenate(
            [periods, periodicity[:, None], np.ones((WINDOW_FRAMES, 1))], axis=1
        )
        self._sums[:valid] += WEIGHTS[:valid, None] * rows[:valid]

    def _close(self, until: int) -> None:
        """Reads the frames before `until`, which no later window reaches."""
        closed = self._sums[: until - self._first]
        closed = closed[closed[:, -1] > 0]
        if not len(closed):
            return
        means = closed[:, :-1] / closed[:, -1:]
        log_period, mass = decode(means[:, :-1])
        log_period += np.log(self._stride)
        rows = np.stack([log_period, mass, means[:, -1]], axis=1)
        self._done.append(rows.astype(np.float32))
        moved = np.zeros_like(self._sums)
        rest = self._sums[until - self._first :]
        moved[: len(rest)] = rest
        self._sums, self._first = moved, until

    def finish(self) -> Periods:
        """The whole line."""
        self._close(self._first + WINDOW_FRAMES)
        rows = np.concatenate(self._done)
        return Periods(self._stride, *np.ascontiguousarray(rows.T))
