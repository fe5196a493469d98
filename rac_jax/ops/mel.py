"""Mel bands of log spectrograms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.ops.sound_format import BINS, RATE, WINDOW

BANDS = 32
LOWEST_HZ = 60.0
HIGHEST_HZ = 10_000.0

# Added to the power of a band before the logarithm; far under the spectrogram's own floor.
FLOOR = 1e-9


@functools.cache
def mel_matrix() -> np.ndarray:
    """Triangular filters of unit sum, evenly spaced on the mel scale. [F, BANDS] float32"""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    corners = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    frequency = np.arange(BINS) * RATE / WINDOW
    matrix = np.zeros((BINS, BANDS), np.float32)
    for band, (left, centre, right) in enumerate(
        zip(corners, corners[1:], corners[2:], strict=False)
    ):
        rise = (frequency - left) / (centre - left)
        fall = (right - frequency) / (right - centre)
        weights = np.clip(np.minimum(rise, fall), 0, None)
        # At the low end a band is narrower than a row: it gets the row nearest to it.
        if not weights.any():
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
