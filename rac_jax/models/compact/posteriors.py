"""From the outputs of overlapping windows to the posteriors of all strides on one axis."""

import copy
import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from rac_jax.models.compact.grid import (
    GRID_BINS,
    PERIOD_BINS,
    STEP_FRAMES,
    STRIDES,
    WINDOW_FRAMES,
    period_grid,
)

# A Hann window: frames at a window's edge know one side only; a little weight keeps the ends of
# the video.
WEIGHTS = np.hanning(WINDOW_FRAMES + 2)[1:-1] + 1e-3
_LOG_GRID = np.log(period_grid().astype(np.float64))
BIN_WIDTH = float(_LOG_GRID[1] - _LOG_GRID[0])  # of log periods

Parts = tuple[np.ndarray, ...]  # of one array, along its first axis

# (first step, how many) -> posteriors of these steps, float16 [number, 54, 2 S].
Steps = Callable[[int, int], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class StreamPosteriors:
    """What the streams say of a video.

    Attributes:
      sight: stride to float16 [n, 29], the posteriors over periods of each strided frame and
        its periodicity, as `WindowAverager` joins them; None without a picture.
      sound: likewise, or None without sound.
      times_s: float64 [T] when each frame begins, in seconds of the file.
      end_s: when the last one ends.
      cost: per stream what its network did: {"clips", "calls", "compiled"}.
    """

    sight: Mapping[int, np.ndarray] | None
    sound: Mapping[int, np.ndarray] | None
    times_s: np.ndarray
    end_s: float
    cost: Mapping[str, Mapping[str, int]]


def with_part(parts: Parts, new: np.ndarray) -> Parts:
    """Parts of a long array with one more after them; a value, the given ones stay as they are.

    Shorter parts are joined to the new one, so that hours of small ones stay a few.
    """
    while parts and len(parts[-1]) <= len(new):
        new, parts = np.concatenate([parts[-1], new]), parts[:-1]
    return (*parts, new)


class WindowAverager:
    """Joins the windows of one stride, which come in order, holding 64 frames."""

    def __init__(self):
        self._first = 0  # strided frame at which the sums begin
        self._sums = np.zeros((WINDOW_FRAMES, PERIOD_BINS + 2))
        self._done: Parts = ()

    def copy(self) -> "WindowAverager":
        """One that goes on by itself from here; arrays are shared, which nobody writes to."""
        return copy.copy(self)

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
        sums = self._close(start)
        rows = np.concatenate(
            [periods, periodicity[:, None], np.ones((WINDOW_FRAMES, 1))], axis=1
        )
        sums[:valid] += WEIGHTS[:valid, None] * rows[:valid]
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
        """All frames: float16 [n, 29], posteriors over periods and the periodicity."""
        self._close(self._first + WINDOW_FRAMES)
        return np.concatenate([np.zeros((0, PERIOD_BINS + 1), np.float16), *self._done])


def stack_posteriors(
    strides: Mapping[int, np.ndarray], first: int, number: int
) -> np.ndarray:
    """Lays the posteriors of all strides side by side, on the axis of absolute periods.

    A stride's posteriors, times its periodicity, are moved by log stride, between bins in
    proportion.

    Args:
      strides: stride to [n, 29] of `WindowAverager`; strides that are missing are zeros.
      first: first step.
      number: G, how many steps.

    Returns:
      float16 [G, 54, 2 S]: S channels of periods, S of periodicity.
    """
    stacked = np.zeros((number, GRID_BINS, 2 * len(STRIDES)), np.float16)
    middle = (first + np.arange(number)) * STEP_FRAMES + STEP_FRAMES // 2
    for channel, stride in enumerate(STRIDES):
        if not len(strides.get(stride, ())):
            continue
        known = strides[stride]
        rows = known[np.minimum(middle // stride, len(known) - 1)].astype(np.float32)
        seen = rows[:, :-1] * rows[:, -1:]  # [G, 28]
        whole, part = divmod(np.log(stride) / BIN_WIDTH, 1)
        low = int(whole)
        stacked[:, low : low + PERIOD_BINS, channel] += (1 - part) * seen
        room = min(PERIOD_BINS, GRID_BINS - low - 1)
        stacked[:, low + 1 : low + 1 + room, channel] += part * seen[:, :room]
        stacked[:, :, len(STRIDES) + channel] = rows[:, -1:]
    return stacked
