"""Log spectrograms as the sound stream sees them, in jnp, usable inside a jitted step.

The format is that of `rac_jax.ops.sound_format`, standardised by the mean and standard deviation
of the whole spectrogram. A column sees its own window of samples and nothing else, so any part
of a long recording can be computed without the rest: `segment_spectrogram` does that.
"""

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.ops.sound_format import (
    BINS,
    FLOOR,
    HOP,
    RATE,
    STD_FLOOR,
    WINDOW,
    analysis_window,
    column_count,
)


def log_power(frames: jax.Array, rate: int = RATE) -> jax.Array:
    """Log power spectral density of windows of samples.

    Args:
      frames: [..., 512] float, samples in [-1, 1].
      rate: samples per second.

    Returns:
      [..., 257] float32, log(S + 1e-7) with S the one-sided density of each window, its mean
      removed, under a Tukey window (scipy.signal.spectrogram's defaults).
    """
    window = analysis_window()
    # One-sided: every row but the first and the last stands for its mirror image, too.
    scale = np.full(BINS, 2.0)
    scale[[0, -1]] = 1.0
    scale = (scale / (rate * np.sum(window**2))).astype(np.float32)
    frames = frames.astype(jnp.float32)
    frames = frames - jnp.mean(frames, axis=-1, keepdims=True)
    spectrum = jnp.fft.rfft(frames * window.astype(np.float32), axis=-1)  # [..., F]
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    lead = (1,) * (power.ndim - 1)
    return jnp.log(power * scale.reshape(*lead, BINS) + FLOOR)


def log_spectrogram(waveform: jax.Array, rate: int = RATE) -> jax.Array:
    """Log spectrogram of whole waveforms, not yet standardised.

    Args:
      waveform: [..., S] float samples in [-1, 1]; a waveform under 512 samples is zero-padded.
      rate: samples per second.

    Returns:
      [..., 257, column_count(S)] float32.

    Raises:
      ValueError: if there are no samples.
    """
    samples = waveform.shape[-1]
    if samples == 0:
        raise ValueError("waveform: it has no samples")
    if samples < WINDOW:
        pad = [(0, 0)] * (waveform.ndim - 1) + [(0, WINDOW - samples)]
        waveform = jnp.pad(waveform, pad)
    columns = column_count(samples)
    # Windows put together from blocks of one hop: slices are cheaper than a gather.
    parts = -(-WINDOW // HOP)
    room = (columns + parts - 1) * HOP
    pad = [(0, 0)] * (waveform.ndim - 1) + [(0, max(0, room - waveform.shape[-1]))]
    blocks = jnp.pad(waveform, pad)[..., :room]
    blocks = blocks.reshape(*waveform.shape[:-1], columns + parts - 1, HOP)
    windows = [blocks[..., part : part + columns, :] for part in range(parts)]
    windows = jnp.concatenate(windows, axis=-1)[..., :WINDOW]  # [..., columns, WINDOW]
    return jnp.swapaxes(log_power(windows, rate), -1, -2)  # [..., F, columns]


def standardise(spectrogram: jax.Array) -> jax.Array:
    """Subtracts the mean and divides by the standard deviation of each whole spectrogram.

    Args:
      spectrogram: [..., F, n] float.

    Returns:
      Same shape.
    """
    mean = jnp.mean(spectrogram, axis=(-2, -1), keepdims=True)
    std = jnp.std(spectrogram, axis=(-2, -1), keepdims=True)
    return (spectrogram - mean) / (std + STD_FLOOR)


def segment_spectrogram(
    lower: jax.Array,
    upper: jax.Array,
    fraction: jax.Array,
    lower_valid: jax.Array,
    upper_valid: jax.Array,
    mean: jax.Array,
    std: jax.Array,
    rate: int = RATE,
) -> jax.Array:
    """Standardised spectrogram segments at fractional column positions.

    A bilinear resize along time mixes two neighbouring columns, so a segment of n columns
    needs 2 n windows of samples however long the recording is.

    Args:
      lower: [N, n, 512] samples of column floor(x) for each output column's position x.
      upper: [N, n, 512] samples of column floor(x) + 1.
      fraction: [N, n] share of the upper column, in [0, 1).
      lower_valid: [N, n] bool; where it is False the lower column is padding: zeros, after
        standardisation.
      upper_valid: [N, n] bool, the same for the upper column.
      mean: scalar, mean of the recording's log spectrogram.
      std: scalar, its standard deviation.
      rate: samples per second.

    Returns:
      [N, 257, n] float32.
    """
    scale = 1 / (std + STD_FLOOR)
    low = (log_power(lower, rate) - mean) * scale * lower_valid[..., None]  # [N, n, F]
    high = (log_power(upper, rate) - mean) * scale * upper_valid[..., None]  # [N, n, F]
    return jnp.swapaxes(low + fraction[..., None] * (high - low), -1, -2)  # [N, F, n]
