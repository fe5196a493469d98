"""From the outputs of overlapping windows to the posteriors of all strides on one axis."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from rac_jax.models.compact.grid import (
    GRID_BINS,
    PERIOD_BINS,
    STEP_FRAMES,
    STRIDES,
    period_grid,
)

_LOG_GRID = np.log(period_grid().astype(np.float64))
BIN_WIDTH = float(_LOG_GRID[1] - _LOG_GRID[0])  # of log periods

SHORTEST_VIDEO = 12  # strided frames under which a stride has nothing to say

# (first step, how many) -> posteriors of these steps, float16 [number, 54, 2 S].
Steps = Callable[[int, int], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class StreamPosteriors:
    """What the streams say of a video.

    Attributes:
      sight: stride to float16 [n, 29], the posteriors over periods of each strided frame and
        its periodicity, as `WindowRun` joins them; None without a picture.
      sound: likewise, or None without sound.
      changes: float16 [T, LAGS] of the picture, see `returns.Changes`; None without one.
      times_s: float64 [T] when each frame begins, in seconds of the file.
      end_s: when the last one ends.
      cost: per stream what its network did: {"clips", "calls", "compiled"}.
    """

    sight: Mapping[int, np.ndarray] | None
    sound: Mapping[int, np.ndarray] | None
    changes: np.ndarray | None
    times_s: np.ndarray
    end_s: float
    cost: Mapping[str, Mapping[str, int]]


def stack_posteriors(
    strides: Mapping[int, np.ndarray],
    first: int,
    number: int,
    begins: Mapping[int, int] | None = None,
) -> np.ndarray:
    """Lays the posteriors of all strides side by side, on the axis of absolute periods.

    A stride's posteriors, times its periodicity, are moved by log stride, between bins in
    proportion.

    Args:
      strides: stride to [n, 29] of `WindowRun`; strides that are missing are zeros.
      first: first step.
      number: G, how many steps.
      begins: stride to the strided frame that its rows begin with; None where all are there.

    Returns:
      float16 [G, 54, 2 S]: S channels of periods, S of periodicity.
    """
    stacked = np.zeros((number, GRID_BINS, 2 * len(STRIDES)), np.float16)
    middle = (first + np.arange(number)) * STEP_FRAMES + STEP_FRAMES // 2
    for channel, stride in enumerate(STRIDES):
        if not len(strides.get(stride, ())):
            continue
        known = strides[stride]
        begin = 0 if begins is None else begins[stride]
        place = np.minimum(middle // stride - begin, len(known) - 1)
        rows = known[place].astype(np.float32)
        seen = rows[:, :-1] * rows[:, -1:]  # [G, 28]
        whole, part = divmod(np.log(stride) / BIN_WIDTH, 1)
        low = int(whole)
        stacked[:, low : low + PERIOD_BINS, channel] += (1 - part) * seen
        room = min(PERIOD_BINS, GRID_BINS - low - 1)
        stacked[:, low + 1 : low + 1 + room, channel] += part * seen[:, :room]
        stacked[:, :, len(STRIDES) + channel] = rows[:, -1:]
    return stacked


def long_enough(strides: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The strides that have something to say of a video, at least the smallest."""
    least = min(strides)
    return {
        stride: rows
        for stride, rows in strides.items()
        if stride == least or len(rows) >= SHORTEST_VIDEO
    }
