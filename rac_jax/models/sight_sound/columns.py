"""Log spectrograms on the host, for data preparation: the numpy twin of `ops.spectrogram`.

Worker processes never start a JAX device, so what `rac_jax.ops.spectrogram` does inside a jitted
step is done here once more; a test holds the two equal.
"""

import functools

import numpy as np

RATE = 22050  # samples per second
WINDOW = 512  # samples per column
OVERLAP = 353
HOP = WINDOW - OVERLAP  # samples between columns
BINS = WINDOW // 2 + 1  # frequency rows
FLOOR = 1e-7  # added before the logarithm
STD_FLOOR = 1e-9  # added to the standard deviation
SILENCE = 1e-3  # spread of the log spectrogram under which there is no sound at all
BLOCK = 4096  # columns transformed at a time, to bound memory
TAPER = 0.25  # share of the Tukey window that rises or falls, scipy's default


def column_count(samples: int) -> int:
    """Number of columns of a waveform; one shorter than a window counts as padded to one."""
    return (max(samples, WINDOW) - OVERLAP) // HOP if samples > 0 else 0


@functools.cache
def _window() -> np.ndarray:
    """Tukey window, periodic. [WINDOW]"""
    n = np.arange(WINDOW)
    distance = np.minimum(n, WINDOW - n) / (TAPER * WINDOW / 2)
    return np.where(distance < 1, 0.5 * (1 - np.cos(np.pi * distance)), 1.0)


@functools.cache
def _scale() -> np.ndarray:
    """Factors from squared magnitudes to a one-sided density. float32 [BINS]"""
    sides = np.full(BINS, 2.0)
    sides[[0, -1]] = 1.0  # the first and the last row have no mirror image
    return (sides / (RATE * np.sum(_window() ** 2))).astype(np.float32)


def log_columns(waveform: np.ndarray) -> np.ndarray:
    """Standardised log spectrogram of a whole part of a sound.

    With S the density of `scipy.signal.spectrogram(waveform, 22050, nperseg=512, noverlap=353)`
    and L = log(S + 1e-7), gives (L - mean(L)) / (std(L) + 1e-9).

    Args:
      waveform: [S] float, samples in [-1, 1] at 22050 Hz; under 512 samples it is zero-padded.

    Returns:
      float32 [257, n], n = `column_count(S)`; all zeros for digital silence, whose rounding
      errors would otherwise be blown up.

    Raises:
      ValueError: if the waveform has another number of dimensions.
    """
    waveform = np.asarray(waveform, np.float32)
    if waveform.ndim != 1:
        raise ValueError(f"waveform: must be [S], not {list(waveform.shape)}")
    columns = column_count(len(waveform))
    log = np.empty((BINS, columns), np.float32)
    if not columns:
        return log
    waveform = np.pad(waveform, (0, max(0, WINDOW - len(waveform))))
    windows = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW)[::HOP]
    taper = _window().astype(np.float32)
    for first in range(0, columns, BLOCK):
        block = windows[first : first + BLOCK]  # [n, WINDOW]
        block = block - block.mean(axis=1, keepdims=True)
        spectrum = np.fft.rfft(block * taper, axis=1)  # [n, BINS]
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        log[:, first : first + BLOCK] = np.log(power * _scale() + FLOOR).T
    std = log.std(dtype=np.float64)
    if std < SILENCE:
        return np.zeros_like(log)
    return ((log - log.mean(dtype=np.float64)) / (std + STD_FLOOR)).astype(np.float32)
