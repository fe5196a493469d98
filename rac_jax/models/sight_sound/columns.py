"""Log spectrograms on the host, for training examples: the numpy twin of `ops.spectrogram`.

Worker processes never start a JAX device, so what `rac_jax.ops.spectrogram` does inside a jitted
step is done here once more; a test holds the two equal.
"""

import functools

import numpy as np

from rac_jax.ops.sound_format import (
    BINS,
    FLOOR,
    HOP,
    RATE,
    SILENCE,
    STD_FLOOR,
    WINDOW,
    analysis_window,
    column_count,
)

# Columns transformed at a time, so few that their spectra stay in the processor's cache.
BLOCK = 256
# Columns up to which all of a sound are held (4 MB, half a minute) instead of those that are read
# being transformed twice.
HELD = 4096


@functools.cache
def _taper() -> np.ndarray:
    """The analysis window in single precision: float32 [WINDOW]."""
    return analysis_window().astype(np.float32)


@functools.cache
def _scale() -> np.ndarray:
    """Factors from squared magnitudes to a one-sided density: float32 [BINS]."""
    # Every row but the first and the last stands for its mirror image, too.
    sides = np.full(BINS, 2.0)
    sides[[0, -1]] = 1.0
    return (sides / (RATE * np.sum(analysis_window() ** 2))).astype(np.float32)


def _log_power(windows: np.ndarray) -> np.ndarray:
    """Log density of windows of samples, float32 [n, WINDOW] to [n, BINS]."""
    windows = (windows - windows.mean(axis=1, keepdims=True)) * _taper()
    spectrum = np.fft.rfft(windows, axis=1)  # [n, BINS]
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    # Old numpy transforms in double precision.
    power = power.astype(np.float32, copy=False) * _scale() + np.float32(FLOOR)
    return np.log(power, out=power)


class SpectrogramReader:
    """Reads columns of the standardised log spectrogram of a whole part of a sound.

    With S the density of `scipy.signal.spectrogram(waveform, 22050, nperseg=512, noverlap=353)`
    and L = log(S + 1e-7), the columns are those of (L - mean(L)) / (std(L) + 1e-9). Of a
    long sound only the columns that are asked for are held in memory.

    Args:
      waveform: [S] float, samples in [-1, 1] at 22050 Hz; under 512 samples it is zero-padded.
        None is no sound.

    Attributes:
      columns: how many there are, `column_count(S)`.

    Raises:
      ValueError: if the waveform has another number of dimensions.
    """

    def __init__(self, waveform: np.ndarray | None):
        samples = np.zeros(0) if waveform is None else waveform
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise ValueError(f"waveform: must be [S], not {list(samples.shape)}")
        self.columns = column_count(len(samples))
        samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))
        view = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)
        self._windows = view[::HOP][: self.columns]  # [columns, WINDOW]

    @functools.cached_property
    def _held(self) -> np.ndarray:
        """The log density of all columns, float32 [columns, BINS]."""
        held = np.empty((self.columns, BINS), np.float32)
        for first in range(0, self.columns, BLOCK):
            part = slice(first, first + BLOCK)
            held[part] = _log_power(self._windows[part])
        return held

    def _log_columns(self, chosen: slice | np.ndarray) -> np.ndarray:
        """The log density of some columns, float32 [n, BINS]."""
        if self.columns <= HELD:
            return self._held[chosen]
        return _log_power(self._windows[chosen])

    @functools.cached_property
    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation over all rows and columns; (0, 0) without columns."""
        count, mean, squares = 0, 0.0, 0.0
        for first in range(0, self.columns, BLOCK):
            log = self._log_columns(slice(first, first + BLOCK))
            here = float(log.mean(dtype=np.float64))
            log = log - np.float32(here)
            # Chan's parallel update: squares about a block's own mean are exact in float32.
            gap = here - mean
            squares += float(np.vdot(log, log))
            squares += gap**2 * count * log.size / (count + log.size)
            mean += gap * log.size / (count + log.size)
            count += log.size
        return (mean, float(np.sqrt(squares / count))) if count else (0.0, 0.0)

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Columns at fractional positions.

        Args:
          positions: float [m] as `clips.span_columns` gives them: x is the blend of columns
            floor(x) and floor(x) + 1; under 0 there is padding, and past the last column.

        Returns:
          float32 [257, m], zero where padded; all zeros for digital silence, whose rounding
          errors would otherwise be blown up.
        """
        low = np.floor(positions).astype(np.int64)
        fraction = (positions - low).astype(np.float32)
        mean, std = self.statistics
        if std < SILENCE:
            return np.zeros((BINS, len(low)), np.float32)
        # Neighbouring positions share columns: each is transformed once. The number of
        # columns stands for padding.
        pair = np.stack([low, low + 1])  # [2, m]
        inside = (low >= 0) & (pair < self.columns)
        wanted, place = np.unique(
            np.where(inside, pair, self.columns), return_inverse=True
        )
        place = place.reshape(pair.shape)
        there = wanted < self.columns
        values = np.zeros((len(wanted), BINS), np.float32)
        values[there] = self._log_columns(wanted[there])
        values[there] -= np.float32(mean)
        values[there] *= np.float32(1 / (std + STD_FLOOR))
        lower, upper = values[place[0]], values[place[1]]  # [m, BINS]
        return (lower + fraction[:, None] * (upper - lower)).T
