"""Mel bands of log spectrograms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.ops.sound_format import RATE, WINDOW

BANDS = 32
LOWEST_HZ = 60.0
HIGHEST_HZ = 10_000.0

# Added to the power of a band before the logarithm; far under the spectrogram's own floor.
FLOOR = 1e-9


@functools.cache
def mel_matrix(
    bands: int = BANDS,
    span_hz: tuple[float, float] = (LOWEST_HZ, HIGHEST_HZ),
    window: int = WINDOW,
    rate: int = RATE,
) -> np.ndarray:
    """Triangular filters of unit sum, evenly spaced on the mel scale.

    Args:
      bands: how many.
      span_hz: where the first begins and the last ends.
      window: samples of the Fourier transform.
      rate: samples per second.

    Returns:
      [window // 2 + 1, bands] float32.
    """
    low, high = (2595 * np.log10(1 + f / 700) for f in span_hz)
    corners = 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)
    frequency = np.arange(window // 2 + 1) * rate / window
    matrix = np.zeros((len(frequency), bands), np.float32)
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
