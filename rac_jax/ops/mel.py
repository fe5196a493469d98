"""Mel bands of log spectrograms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.ops import spectrogram

BANDS = 32
LOWEST_HZ = 60.0
HIGHEST_HZ = 10_000.0
FLOOR = 1e-9  # under the spectrogram's own floor


@functools.cache
def mel_matrix() -> np.ndarray:
    """Triangular filters of unit sum, evenly spaced on the mel scale. [F, BANDS] float32"""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    corners = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    frequency = np.arange(spectrogram.BINS) * spectrogram.RATE / spectrogram.WINDOW
    matrix = np.zeros((spectrogram.BINS, BANDS), np.float32)
    for band, (left, centre, right) in enumerate(
        zip(corners, corners[1:], corners[2:], strict=False)
    ):
        rise = (frequency - left) / (centre - left)
        fall = (right - frequency) / (right - centre)
        weights = np.clip(np.minimum(rise, fall), 0, None)
        if not weights.any():  # narrower than a row at the low end
            weights[np.argmin(np.abs(frequency - centre))] = 1.0
        matrix[:, band] = weights / weights.sum()
    return matrix


def log_mel(log_power: jax.Array) -> jax.Array:
    """Log power in mel bands.

    Args:
      log_power: [..., 257] float, log spectrogram with frequency last, not standardised.

    Returns:
      [..., 32] float32.
    """
    return jnp.log(jnp.exp(log_power) @ mel_matrix() + FLOOR)
