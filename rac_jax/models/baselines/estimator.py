"""Counting without learning: baselines that a model has to beat.

Both find the lag at which the video resembles itself best, and divide its length by it: one
by the energy of its frame differences, the other by its pixels.
"""

import dataclasses

import numpy as np

from rac_jax.counting.estimator import Chunk, Partial, SourceInfo
from rac_jax.counting.options import NoOptions
from rac_jax.counting.rate import Rate
from rac_jax.counting.result import Measurement, Stream, WindowCount

SHORTEST_S, LONGEST_S = 0.15, 12.0  # periods that are looked for
LEAST_PEAK = 0.1  # autocorrelation under which nothing repeats
LEAST_LAGS = 3  # under which no lag can be a local maximum


def first_peak(similarity: np.ndarray, shortest: int) -> tuple[int, float]:
    """The first lag whose similarity is a local maximum and nearly the highest of them.

    Args:
      similarity: [L] of lags 0, 1, ...
      shortest: lag to begin with, at least 1.

    Returns:
      (lag, its similarity); (0, 0.0) if no lag is a local maximum.
    """
    inner = similarity[1:-1]
    peaks = np.flatnonzero((inner >= similarity[:-2]) & (inner > similarity[2:])) + 1
    peaks = peaks[peaks >= shortest]
    if not len(peaks):
        return 0, 0.0
    highest = similarity[peaks].max()
    near = peaks[similarity[peaks] >= highest - 0.1 * abs(highest)]
    return int(near[0]), float(similarity[near[0]])


def difference_similarity(frames: np.ndarray, longest: int) -> np.ndarray:
    """Autocorrelation of the energy of frame differences.

    Args:
      frames: float [T, D].
      longest: largest lag.

    Returns:
      [longest + 1] in [-1, 1].
    """
    energy = np.mean(np.abs(np.diff(frames, axis=0)), axis=1)
    energy = np.convolve(energy, np.ones(3) / 3, mode="same")
    return pixel_similarity(energy[:, None], longest)


def pixel_similarity(frames: np.ndarray, longest: int) -> np.ndarray:
    """Mean along the diagonals of the self-similarity matrix, as a correlation.

    Args:
      frames: float [T, D].
      longest: largest lag.

    Returns:
      [longest + 1] in [-1, 1]; zeros where nothing moves.
    """
    frames = frames - frames.mean(axis=0)
    found = np.zeros(longest + 1)
    for lag in range(longest + 1):
        first, second = frames[: len(frames) - lag], frames[lag:]
        power = np.sqrt(np.sum(first**2) * np.sum(second**2))
        found[lag] = np.sum(first * second) / power if power > 1e-9 else 0.0
    return found


SIMILARITIES = {
    "differences": difference_similarity,
    "pixels": pixel_similarity,
}


@dataclasses.dataclass(frozen=True)
class BaselineState:
    """All frames so far, small and grey.

    Attributes:
      info: of the source.
      frames: parts uint8 [n, H, W, 1], in order.
      times_s: parts float64 [n].
    """

    info: SourceInfo
    frames: tuple[np.ndarray, ...] = ()
    times_s: tuple[np.ndarray, ...] = ()


class BaselineEstimator:
    """Counts by the best lag of a similarity; all small frames are held in memory.

    Args:
      similarity: of `SIMILARITIES`.
    """

    def __init__(self, similarity: str):
        self._similarity = SIMILARITIES[similarity]

    def start(self, info: SourceInfo, options: NoOptions) -> BaselineState:
        return BaselineState(info)

    def feed(self, state: BaselineState, chunk: Chunk) -> tuple[BaselineState, Partial]:
        if not len(chunk.times_s):
            return state, Partial()
        frames = (*state.frames, chunk.frames)
        times = (*state.times_s, chunk.times_s)
        return dataclasses.replace(state, frames=frames, times_s=times), Partial()

    def finish(self, state: BaselineState) -> Measurement:
        if not state.frames:
            return Measurement(0.0, Rate())
        frames = np.concatenate(state.frames)
        frames = frames.reshape(len(frames), -1).astype(np.float32)  # [T, D]
        times = np.concatenate(state.times_s)
        step_s = (times[-1] - times[0]) / max(1, len(times) - 1) or 1 / state.info.fps
        longest = min(len(frames) // 2, round(LONGEST_S / step_s))
        lag, peak = 0, 0.0
        if longest >= LEAST_LAGS:
            similarity = self._similarity(frames, longest)
            lag, peak = first_peak(similarity, max(2, round(SHORTEST_S / step_s)))
        total = len(frames) / lag if peak >= LEAST_PEAK else 0.0
        start_s, end_s = state.info.start_s, float(times[-1] + step_s)
        window = WindowCount(start_s, end_s, total)
        return Measurement(
            count=total,
            rate=Rate.constant(start_s, end_s, total),
            streams=(Stream("sight", total, 1.0, (window,)),),
            details={"lag_frames": lag, "similarity": peak},
            end_s=end_s,
        )
