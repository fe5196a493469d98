"""Counting without learning: two baselines that a model has to beat.

Both find the lag at which the video resembles itself best, and divide its length by it: one
by the energy of its frame differences, the other by its pixels.
"""

import os
import time

import numpy as np

from rac_jax.counting.result import CountResult, SightCount, WindowCount
from rac_jax.counting.source import FileSource
from rac_jax.media import MediaError
from rac_jax.models.compact.windows import to_grey

SIZE = 32  # pixels along each side
SHORTEST_S, LONGEST_S = 0.15, 12.0  # periods that are looked for
LEAST_PEAK = 0.1  # autocorrelation under which nothing repeats


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


BASELINES = {
    "frame-differences": difference_similarity,
    "self-similarity": pixel_similarity,
}


class BaselineCounter:
    """Counts by a baseline; `count` as that of `Counter`, by sight only.

    Args:
      name: of `BASELINES`.
    """

    def __init__(self, name: str):
        self._similarity = BASELINES[name]
        self.config = {"name": name, "family": "baseline"}

    def count(
        self,
        video: str | os.PathLike,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        **options,
    ) -> CountResult:
        """Counts the repetitions in a file.

        Args:
          video: a media file with a picture; all its small frames are held in memory.
          start_s: where to start, in seconds of the file.
          end_s: where to end, or None for the end of the file.
          **options: of `Counter.count`; only what a model needs, so they change nothing.

        Returns:
          The result, of sight alone.

        Raises:
          MediaError: if the file cannot be read or has no picture.
        """
        del options
        began = time.perf_counter()
        source = FileSource(video, size=SIZE, start_s=start_s, end_s=end_s)
        chunks = list(source.frames()) if source.has_picture else []
        if not chunks:
            raise MediaError(f"{source.name}: has no picture to count by")
        frames = np.concatenate([to_grey(chunk.frames) for chunk in chunks])
        frames = frames.reshape(len(frames), -1).astype(np.float32)
        times = np.concatenate([chunk.times_s for chunk in chunks])
        step_s = (times[-1] - times[0]) / max(1, len(times) - 1) or 1 / source.fps
        longest = min(len(frames) // 2, round(LONGEST_S / step_s))
        lag, peak = 0, 0.0
        if longest >= 3:
            similarity = self._similarity(frames, longest)
            lag, peak = first_peak(similarity, max(2, round(SHORTEST_S / step_s)))
        total = len(frames) / lag if peak >= LEAST_PEAK else 0.0
        stop_s = float(times[-1] + step_s)
        return CountResult(
            file=source.name,
            duration_s=stop_s - start_s,
            count=total,
            sight=SightCount(total, 1, {}, (WindowCount(start_s, stop_s, total),)),
            sound=None,
            reliability=None,
            model=self.config["name"],
            protocol="baseline",
            seconds=time.perf_counter() - began,
            start_s=start_s,
        )
