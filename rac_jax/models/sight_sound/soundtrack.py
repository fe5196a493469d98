"""The sound of one video, hours of it in constant memory.

Samples go to an unnamed temporary file that is mapped into memory; a spectrogram segment reads
only the windows of samples it needs (see `rac_jax.ops.spectrogram.segment_spectrogram`).
"""

import math
import mmap
import tempfile
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.programs import Kept
from rac_jax.counting.result import WindowCount
from rac_jax.ops import spectrogram

COLUMNS_PER_S = spectrogram.RATE / spectrogram.HOP
SILENCE = 1e-3  # spread of the log spectrogram under which there is no sound at all
STATISTICS_COLUMNS = (
    1024  # spectrogram columns per call when the statistics are computed
)


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
    mean = total / jnp.maximum(1, jnp.sum(valid) * spectrogram.BINS)
    return total, jnp.sum(jnp.square(values - mean), where=valid[:, None])


_column_sums = Kept(_sum_columns, "column sums")


class Soundtrack:
    """Random access to a mono recording at 22050 Hz by spectrogram column.

    Args:
      chunks: float32 arrays of samples, in order.

    Attributes:
      samples: how many there are.
      columns: how many spectrogram columns they make; 0 without samples.
    """

    def __init__(self, chunks: Iterable[np.ndarray]):
        self._file = tempfile.TemporaryFile(prefix="rac_jax-sound-")  # noqa: SIM115 (__exit__)
        for chunk in chunks:
            self._file.write(np.ascontiguousarray(chunk, np.float32).tobytes())
        self._file.flush()
        self.samples = self._file.tell() // 4
        self.columns = spectrogram.column_count(self.samples)
        if 0 < self.samples < spectrogram.WINDOW:
            self._file.write(bytes(4 * (spectrogram.WINDOW - self.samples)))
            self._file.flush()
        self._map = None
        if self.samples:
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._statistics = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._map is not None:
            self._map.close()
        self._file.close()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples / spectrogram.RATE

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
          [..., 512] float32, zeros if there is no sound at all.
        """
        if not self.columns:
            return np.zeros((*np.shape(columns), spectrogram.WINDOW), np.float32)
        first = np.clip(columns, 0, self.columns - 1)[..., None] * spectrogram.HOP
        index = first + np.arange(spectrogram.WINDOW)
        samples = np.frombuffer(self._map, np.float32)[index]
        if hasattr(self._map, "madvise"):
            # Pages that were read stay resident otherwise, up to the whole recording.
            self._map.madvise(mmap.MADV_DONTNEED)
        return samples

    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of the whole log spectrogram, (0, 1) without samples.

        Digital silence has no spread but rounding errors: its deviation is given as infinite,
        so that the standardised spectrogram is all zeros.
        """
        if self._statistics is None:
            mean, std = self._compute_statistics()
            self._statistics = mean, std if std > SILENCE else math.inf
        return self._statistics

    @property
    def audible(self) -> bool:
        """Whether there is any sound but digital silence."""
        return self.columns > 0 and math.isfinite(self.statistics()[1])

    def _compute_statistics(self) -> tuple[float, float]:
        count, mean, squares = 0, 0.0, 0.0
        for first in range(0, self.columns, STATISTICS_COLUMNS):
            columns = np.arange(first, first + STATISTICS_COLUMNS)
            total, around = _column_sums(self.windows(columns), columns < self.columns)
            here = min(STATISTICS_COLUMNS, self.columns - first) * spectrogram.BINS
            gap = float(total) / here - mean
            # Chan's parallel update keeps hours of float32 sums exact enough.
            squares += float(around) + gap**2 * count * here / (count + here)
            mean += gap * here / (count + here)
            count += here
        return (mean, float(np.sqrt(squares / count))) if count else (0.0, 1.0)

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
