"""From the outputs of overlapping windows to the evidence of all strides on one axis."""

from collections.abc import Mapping

import numpy as np

from rac_jax.models.compact.network import (
    GRID_BINS,
    PERIOD_BINS,
    STEP_FRAMES,
    STRIDES,
    period_grid,
)
from rac_jax.models.compact.windows import WINDOW_FRAMES

# Frames at a window's edge know one side only; a little weight keeps the ends of the video.
WEIGHTS = np.hanning(WINDOW_FRAMES + 2)[1:-1] + 1e-3
_LOG_GRID = np.log(period_grid().astype(np.float64))
BIN_WIDTH = float(_LOG_GRID[1] - _LOG_GRID[0])  # of log periods


class PeriodLine:
    """Joins the windows of one stride, which come in order, holding 64 frames."""

    def __init__(self):
        self._first = 0  # strided frame at which the sums begin
        self._sums = np.zeros((WINDOW_FRAMES, PERIOD_BINS + 2))
        self._done: list[np.ndarray] = [np.zeros((0, PERIOD_BINS + 1), np.float16)]

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
        """Averages the frames before `until`, which no later window reaches."""
        closed = self._sums[: until - self._first]
        closed = closed[closed[:, -1] > 0]
        self._done.append((closed[:, :-1] / closed[:, -1:]).astype(np.float16))
        moved = np.zeros_like(self._sums)
        rest = self._sums[until - self._first :]
        moved[: len(rest)] = rest
        self._sums, self._first = moved, until

    def finish(self) -> np.ndarray:
        """The whole line: float16 [n, 29], distributions over periods and the periodicity."""
        self._close(self._first + WINDOW_FRAMES)
        return np.concatenate(self._done)


def instants(frames: int) -> int:
    """How many instants the reader sees of a video: one in every four frames."""
    return max(1, -(-frames // STEP_FRAMES))


def stack_evidence(
    lines: Mapping[int, np.ndarray], first: int, number: int
) -> np.ndarray:
    """Lays the lines of all strides side by side, on the axis of absolute periods.

    A stride's distribution, times its periodicity, is moved by log stride, between bins in
    proportion.

    Args:
      lines: stride to [n, 29] of `PeriodLine`; strides that are missing are zeros.
      first: first instant.
      number: G, how many instants.

    Returns:
      float16 [G, 54, 2 S]: S channels of periods, S of periodicity.
    """
    evidence = np.zeros((number, GRID_BINS, 2 * len(STRIDES)), np.float16)
    middle = (first + np.arange(number)) * STEP_FRAMES + STEP_FRAMES // 2
    for channel, stride in enumerate(STRIDES):
        if not len(lines.get(stride, ())):
            continue
        line = lines[stride]
        rows = line[np.minimum(middle // stride, len(line) - 1)].astype(np.float32)
        seen = rows[:, :-1] * rows[:, -1:]  # [G, 28]
        whole, part = divmod(np.log(stride) / BIN_WIDTH, 1)
        low = int(whole)
        evidence[:, low : low + PERIOD_BINS, channel] += (1 - part) * seen
        room = min(PERIOD_BINS, GRID_BINS - low - 1)
        evidence[:, low + 1 : low + 1 + room, channel] += part * seen[:, :room]
        evidence[:, :, len(STRIDES) + channel] = rows[:, -1:]
    return evidence
