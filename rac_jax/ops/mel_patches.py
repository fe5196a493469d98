"""Log-mel patches of one second of sound, 101 columns of 40 bands, in jnp.

Listen to Look (Gao et al., CVPR 2020, supplement section C): 16 kHz, a Hann window of 400
samples, hops of 160, 40 mel bands. The 101 columns of its second need windows centred on
multiples of the hop, 1 + 16000 / 160. What the paper leaves open is decided here: reflected at
both ends, power spectra, bands of unit sum from 0 to 8 kHz, log(power + 1e-6), each patch
standardised by its own mean and deviation.

Silence, which is also what a file without sound is given as, has log(1e-6) everywhere before
standardisation and exactly 0 everywhere after it: no deviation is invented for it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.ops import mel

RATE = 16_000
SAMPLES = 16_000  # of a patch: one second
WINDOW = 400
HOP = 160
BANDS = 40
COLUMNS = 1 + SAMPLES // HOP  # 101
SPAN_HZ = (0.0, 8_000.0)
FLOOR = 1e-6

# A deviation of the logarithm under this is no sound: the last bit of 16-bit samples that flips
# at random has 0.05.
LEAST_DEVIATION = 0.1


def log_mel_patch(waveform: jax.Array) -> jax.Array:
    """Log-mel patches, not yet standardised.

    Args:
      waveform: [..., 16000] float samples in [-1, 1] at 16 kHz.

    Returns:
      [..., 101, 40] float32, columns before bands, at least log(1e-6).

    Raises:
      ValueError: if it is not one second long.
    """
    if waveform.shape[-1] != SAMPLES:
        raise ValueError(
            f"waveform: has {waveform.shape[-1]} samples, a patch is of {SAMPLES}"
        )
    half = WINDOW // 2
    lead = [(0, 0)] * (waveform.ndim - 1)
    padded = jnp.pad(waveform.astype(jnp.float32), [*lead, (half, half)], "reflect")
    # [101, 400]: which sample is where in which window.
    places = np.arange(COLUMNS)[:, None] * HOP + np.arange(WINDOW)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    windows = padded[..., places] * window.astype(np.float32)  # [..., 101, 400]
    spectrum = jnp.fft.rfft(windows, axis=-1)  # [..., 101, 201]
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    matrix = mel.mel_matrix(BANDS, SPAN_HZ, WINDOW, RATE)
    return jnp.log(power @ matrix + FLOOR)  # [..., 101, 40]


def mel_patch(waveform: jax.Array) -> jax.Array:
    """Standardised log-mel patches; silence gives zeros.

    Args:
      waveform: [..., 16000] float samples in [-1, 1] at 16 kHz.

    Returns:
      [..., 101, 40] float32 of mean 0 and deviation 1.

    Raises:
      ValueError: if it is not one second long.
    """
    patch = log_mel_patch(waveform)
    mean = jnp.mean(patch, axis=(-2, -1), keepdims=True)
    deviation = jnp.std(patch, axis=(-2, -1), keepdims=True)
    silent = deviation < LEAST_DEVIATION
    return jnp.where(silent, 0.0, (patch - mean) / jnp.where(silent, 1.0, deviation))
