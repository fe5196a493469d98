"""The axes of the compact family: windows, temporal strides, log-spaced periods; numpy only.

A stream tells apart `PERIOD_BINS` log-spaced periods in frames of its window. A decoder works on
one axis of absolute periods, in frames of the video, which covers those of all strides.
"""

import numpy as np

STRIDES = (1, 2, 3, 4, 6, 8, 12)
WINDOW_FRAMES = (
    64  # frames of a window, each `stride` frames of the video after the other
)

HOP_FRAMES = 40  # strided frames from the start of a window to that of the next

SHORTEST_PERIOD = 2.5  # frames of a window
LONGEST_PERIOD = 34.0  # frames of a window: nearly two cycles of it are seen
PERIOD_BINS = 28

# Absolute periods reach to the largest stride's longest period.
GRID_BINS = 54
STEP_FRAMES = 4  # frames of the video between steps of a decoder

# Of a picture; of faster ones only every second frame is looked at, or fewer. Periods are found
# up to a number of frames: at twice the frame rate, half as slow ones.
MOST_FPS = 45.0
SOUND_FPS = 30.0  # frames per second of the grid laid over a sound without a picture


def period_grid() -> np.ndarray:
    """The log-spaced periods of the bins, in frames, [28] float32."""
    return np.geomspace(SHORTEST_PERIOD, LONGEST_PERIOD, PERIOD_BINS).astype(np.float32)


def absolute_log_periods() -> np.ndarray:
    """Logarithms of a decoder's periods in frames of the video, [54] float32."""
    grid = np.log(period_grid())
    return (grid[0] + (grid[1] - grid[0]) * np.arange(GRID_BINS)).astype(np.float32)


def step_count(frames: int) -> int:
    """How many steps a decoder takes over a video: one for every four frames, at least 1."""
    return max(1, -(-frames // STEP_FRAMES))
