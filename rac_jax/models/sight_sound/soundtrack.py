"""The sound of one video by spectrogram column, hours of it in constant memory.

Samples lie in a `SampleLog` on disk; a spectrogram segment reads only the windows of samples it
needs (see `rac_jax.ops.spectrogram.segment_spectrogram`).
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.programs import CompiledProgram
from rac_jax.counting.result import WindowCount
from rac_jax.counting.sample_log import SampleLog
from rac_jax.ops import spectrogram
from rac_jax.ops.sound_format import (
    BINS,
    COLUMNS_PER_S,
    HOP,
    RATE,
    SILENCE,
    WINDOW,
    column_count,
)

# Spectrogram columns per call when the statistics are computed.
STATISTICS_COLUMNS = 1024


def _sum_columns(windows: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sum of the log spectrogram over valid columns, and of its squares about that mean.

    Args:
      windows: [n, 512] samples of n columns.
      valid: [n] bool.

    Returns:
      (sum, squares): scalars.
    """
    values = spectrogram.log_power(windows)  # [n, F]
    total = jnp.sum(values, where=valid[:, None])
    mean = total / jnp.maximum(1, jnp.sum(valid) * BINS)
    return total, jnp.sum(jnp.square(values - mean), where=valid[:, None])


_column_sums = CompiledProgram(_sum_columns, "column sums")


class Soundtrack:
    """Random access to a mono recording at 22050 Hz by spectrogram column.

    Args:
      log: all of its samples.

    Attributes:
      columns: how many spectrogram columns they make; 0 without samples.
      duration_s: length in seconds.
    """

    def __init__(self, log: SampleLog):
        self._log = log
        self.columns = column_count(log.samples)
        self.duration_s = log.samples / RATE

    def window_counts(
        self, counts: np.ndarray, step: int, start_s: float
    ) -> tuple[WindowCount, ...]:
        """Puts the counts of consecutive segments of `step` columns in their place in time."""
        starts = np.arange(len(counts)) * step
        ends = np.where(
            starts + step < self.columns,
            (starts + step) / COLUMNS_PER_S,
            self.duration_s,
        )
        return tuple(
            WindowCount(start_s + float(a), start_s + float(b), float(c))
            for a, b, c in zip(starts / COLUMNS_PER_S, ends, counts, strict=True)
        )

    def windows(self, columns: np.ndarray) -> np.ndarray:
        """Samples under the given columns.

        Args:
          columns: int [...]; one that is not there gives the samples of the nearest one.

        Returns:
          [..., 512] float32, zeros where there are no samples.
        """
        first = np.clip(columns, 0, max(0, self.columns - 1))[..., None] * HOP
        return self._log.read(first + np.arange(WINDOW))

    @functools.cached_property
    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of the whole log spectrogram, (0, 1) without samples.

        Digital silence has no deviation but rounding errors: it is given as infinite, so that
        the standardised spectrogram is all zeros.
        """
        count, mean, squares = 0, 0.0, 0.0
        for first in range(0, self.columns, STATISTICS_COLUMNS):
            columns = np.arange(first, first + STATISTICS_COLUMNS)
            total, around = _column_sums(self.windows(columns), columns < self.columns)
            here = min(STATISTICS_COLUMNS, self.columns - first) * BINS
            gap = float(total) / here - mean
            # Chan's parallel update keeps hours of float32 sums exact enough.
            squares += float(around) + gap**2 * count * here / (count + here)
            mean += gap * here / (count + here)
            count += here
        if not count:
            return 0.0, 1.0
        std = float(np.sqrt(squares / count))
        return mean, std if std > SILENCE else math.inf

    @property
    def audible(self) -> bool:
        """Whether there is any sound but digital silence."""
        return self.columns > 0 and math.isfinite(self.statistics[1])

    def segments(self, positions: np.ndarray) -> tuple[np.ndarray, ...]:
        """What `segment_spectrogram` needs for segments at fractional column positions.

        Args:
          positions: float64 [N, n]; a column under 0 or beyond the last one is padding.

        Returns:
          (lower [N, n, 512], upper [N, n, 512], fraction [N, n], lower_valid [N, n],
          upper_valid [N, n]).
        """
        low = np.floor(positions).astype(np.int64)
        high = low + 1
        return (
            self.windows(low),
            self.windows(high),
            (positions - low).astype(np.float32),
            (low >= 0) & (low < self.columns),
            (low >= 0) & (high < self.columns),
        )
