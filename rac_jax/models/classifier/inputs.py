"""Pixels and sounds as the encoders of a classifier are given them."""

import jax
import jax.numpy as jnp

from rac_jax.encoders.published import (
    IMAGENET_COLOURS,
    KINETICS_COLOURS,
    SYMMETRIC_COLOURS,
)
from rac_jax.ops import augment, spectrogram
from rac_jax.ops.sound_format import SILENCE

# By which means and deviations of channels pixels are normalised.
COLOURS = {
    "imagenet": IMAGENET_COLOURS,
    "kinetics": KINETICS_COLOURS,
    "symmetric": SYMMETRIC_COLOURS,
}


def normalised(pixels: jax.Array, colours: str) -> jax.Array:
    """Pixels [..., 3] from 0 to 255 as the encoder wants them; `colours` of `COLOURS`."""
    known = COLOURS[colours]
    return augment.normalise(pixels / 255, tuple(known["mean"]), tuple(known["std"]))


def spectrograms(waveforms: jax.Array, rate: int) -> jax.Array:
    """Standardised log spectrograms [B, 257, n] of sounds [B, S]; of silence all zeros."""
    log = spectrogram.log_spectrogram(waveforms, rate)
    # Silence has no deviation to divide by: what is left of it is rounding.
    heard = jnp.std(log, axis=(1, 2), keepdims=True) > SILENCE
    return jnp.where(heard, spectrogram.standardise(log), 0.0)
