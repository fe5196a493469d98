"""Sound on the time grid of the picture: mel bands averaged over parts of frames; numpy only.

Sums over columns are differences of one cumulative sum, so a frame may be of any length.
`window_batches.average_columns` is the same on the device.
"""

import numpy as np

from rac_jax.ops.sound_format import CENTRE, COLUMNS_PER_S

SUB_FRAMES = 4  # per frame: a hit is shorter than a frame of a slow video
NARROWEST = 1e-6  # columns; a part that is narrower has none


def sub_frame_edges(times_s: np.ndarray) -> np.ndarray:
    """Edges of the sub-frames of consecutive frames.

    Args:
      times_s: float64 [T + 1] when each frame begins, and when the last one ends.

    Returns:
      float64 [4 T + 1] seconds.
    """
    frames = len(times_s) - 1
    places = np.arange(frames * SUB_FRAMES + 1) / SUB_FRAMES
    return np.interp(places, np.arange(frames + 1), times_s)


def column_positions(times_s: np.ndarray) -> np.ndarray:
    """Positions among spectrogram columns, each standing for its hop around its middle.

    Args:
      times_s: float64 seconds from the first sample.

    Returns:
      float64, same shape: position j + x lies at share x of column j.
    """
    return np.asarray(times_s) * COLUMNS_PER_S - CENTRE


def average_columns(columns: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means of spectrogram columns between edges.

    Args:
      columns: float [n, C]; column j holds for positions [j, j + 1).
      edges: float64 [K + 1] rising positions; what lies outside [0, n] does not count.

    Returns:
      float32 [K, C]; a part without any column is the mean of the other parts, all are zero
      if none has one.
    """
    total = np.zeros((len(columns) + 1, columns.shape[1]))
    np.cumsum(columns, axis=0, out=total[1:], dtype=np.float64)
    edges = np.clip(edges, 0, len(columns))
    low = np.minimum(edges.astype(np.int64), max(0, len(columns) - 1))
    high = np.minimum(low + 1, len(columns))
    at_edges = total[low] + (edges - low)[:, None] * (total[high] - total[low])
    widths = np.diff(edges)
    filled = widths > NARROWEST
    parts = np.diff(at_edges, axis=0) / np.where(filled, widths, 1.0)[:, None]
    parts[~filled] = parts[filled].mean(axis=0) if filled.any() else 0.0
    return parts.astype(np.float32)
