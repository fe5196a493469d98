"""Augmentation of clips and spectrograms inside the step, from a key.

The spectrogram ones are those of the authors' code of paper 1: uniform noise, reversal in time,
appending a crop of itself (its count is added), resizing in time, and zeroing a band of rows.
"""

import functools

import jax
import jax.numpy as jnp
import ml_collections

from rac_jax.models.sight_sound.scene_batches import normalise

NOISE = 0.05  # the released amplitude
RESIZE = (0.8, 1.2)  # the released range of resizing in time
LONGEST_BAND = 0.1  # of the rows, where the settings do not say how wide a band is


def augment_clips(
    key: jax.Array,
    clips: jax.Array,
    real: jax.Array,
    settings: ml_collections.ConfigDict,
) -> jax.Array:
    """Flip, crop and colour, the same for all frames of a clip, then normalisation.

    Args:
      key: PRNG key.
      clips: [B, T, H, W, 3] uint8.
      real: [B, T] bool, false where padded.
      settings: `flip` probability; `crop` largest share of height and width that is cut away;
        `colour` largest relative change of brightness, contrast and of each channel.

    Returns:
      [B, T, H, W, 3] float32 by ImageNet's mean and deviation; zero where padded.
    """
    keys = jax.random.split(key, len(clips))
    pixels = clips
    if settings.flip:
        flip = jax.vmap(lambda k: jax.random.bernoulli(k, settings.flip))(keys)
        flip = flip[:, None, None, None, None]
        pixels = jnp.where(flip, pixels[:, :, :, ::-1], pixels)
    if settings.crop:
        pixels = jax.vmap(functools.partial(_crop, share=settings.crop))(keys, pixels)
    pixels = normalise(pixels)
    if settings.colour:
        pixels = jax.vmap(functools.partial(_colour, range_=settings.colour))(
            keys, pixels
        )
    return pixels * real[:, :, None, None, None]


def _crop(key: jax.Array, clip: jax.Array, share: float) -> jax.Array:
    """A random window of a clip [T, H, W, 3], resized back."""
    size_key, place_key = jax.random.split(jax.random.fold_in(key, 1))
    frames, height, width, _ = clip.shape
    scale = 1 / (1 - jax.random.uniform(size_key, maxval=share))
    place = jax.random.uniform(place_key, (2,))
    shift = -place * (scale - 1) * jnp.array([height, width])
    # Frames and channels as one axis, which stays as it is.
    flat = clip.astype(jnp.float32).transpose(1, 2, 0, 3).reshape(height, width, -1)
    flat = jax.image.scale_and_translate(
        flat, flat.shape, (0, 1), jnp.full(2, scale), shift, "linear"
    )
    return flat.reshape(height, width, frames, 3).transpose(2, 0, 1, 3)


def _colour(key: jax.Array, clip: jax.Array, range_: float) -> jax.Array:
    """Gains and an offset on a normalised clip."""
    contrast, channels, brightness = jax.random.split(jax.random.fold_in(key, 2), 3)
    draw = functools.partial(jax.random.uniform, minval=-range_, maxval=range_)
    gain = (1 + draw(contrast)) * (1 + draw(channels, (3,)))
    return clip * gain[None, None, None] + draw(brightness)


def augment_spectrograms(
    key: jax.Array,
    spectrograms: jax.Array,
    columns: jax.Array,
    counts: jax.Array,
    rates: jax.Array,
    settings: ml_collections.ConfigDict,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The released augmentations, each with its own probability.

    Args:
      key: PRNG key.
      spectrograms: [B, 257, n] standardised, zero where padded.
      columns: [B] int, real columns.
      counts: [B] repetitions in the real columns.
      rates: [B, n] repetitions per column.
      settings: probabilities `noise`, `reverse`, `append`, `resize`, `band`; `band_rows`, how
        wide a band is, 0 for a random width.

    Returns:
      Spectrograms as float32, counts and rates. What is appended counts by its share of the
      rates; if a spectrogram grows over n columns it is squeezed back to n.
    """
    keys = jax.random.split(key, len(spectrograms))
    one = functools.partial(_augment_spectrogram, settings=settings)
    return jax.vmap(one)(keys, spectrograms.astype(jnp.float32), columns, counts, rates)


def _augment_spectrogram(
    key: jax.Array,
    spectrogram: jax.Array,
    columns: jax.Array,
    count: jax.Array,
    rate: jax.Array,
    *,
    settings: ml_collections.ConfigDict,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One spectrogram [257, n] of `augment_spectrograms`."""
    keys = dict(
        zip(
            ("noise", "reverse", "append", "resize", "band"),
            jax.random.split(key, 5),
            strict=True,
        )
    )

    def happens(name):
        return jax.random.bernoulli(jax.random.fold_in(keys[name], 1), settings[name])

    rows, total = spectrogram.shape
    real = columns.astype(jnp.float32)
    # A crop that is appended, a stretch in time, a reversal: where they happen, and how much.
    # One map from new to old columns does all three at once.
    crop = jax.random.uniform(keys["append"], (2,))
    length = jnp.where(happens("append"), jnp.floor(crop[0] * real), 0.0)
    begin = jnp.floor(crop[1] * (real - length))
    low, high = RESIZE
    stretch = jax.random.uniform(keys["resize"], minval=low, maxval=high)
    stretch = jnp.where(happens("resize"), stretch, 1.0)
    new = jnp.clip(jnp.round((real + length) * stretch), 0, total)
    step = (real + length) / jnp.maximum(new, 1)
    # The map: from new columns to the old ones with the crop behind them, then into the crop,
    # then from behind.
    old = (jnp.arange(total) + 0.5) * step - 0.5
    old = jnp.clip(old, 0, jnp.maximum(real + length - 1, 0))
    old = jnp.where(old > real - 1, jnp.maximum(old - real, 0) + begin, old)
    old = jnp.where(happens("reverse"), real - 1 - old, old)
    old = jnp.clip(old, 0, jnp.maximum(real - 1, 0))
    there = jnp.arange(total) < new
    index = jnp.floor(old).astype(jnp.int32)
    fraction = old - index
    after = jnp.minimum(index + 1, total - 1)

    def read(values):  # [..., n]
        mixed = values[..., index] * (1 - fraction) + values[..., after] * fraction
        return jnp.where(there, mixed, 0.0)

    result, rates = read(spectrogram), read(rate) * step
    # What is appended is counted again.
    appended = (jnp.arange(total) >= begin) & (jnp.arange(total) < begin + length)
    count = count + jnp.sum(jnp.where(appended, rate, 0.0))
    # Interpolation loses a little of the sum; the count is exact, the rates follow it.
    rates *= count / jnp.maximum(jnp.sum(rates), 1e-6)
    # Noise, and a band of rows that is silent, do not change what is counted.
    noise = jax.random.uniform(
        keys["noise"], (rows, total), minval=-NOISE, maxval=NOISE
    )
    result = result + jnp.where(happens("noise"), noise, 0.0)
    width, place = jax.random.uniform(keys["band"], (2,))
    width = jnp.floor(width * LONGEST_BAND * rows)
    if settings.band_rows:
        width = jnp.float32(settings.band_rows)
    first = jnp.floor(place * (rows - width))
    band = (jnp.arange(rows) >= first) & (jnp.arange(rows) < first + width)
    result = jnp.where(happens("band") & band[:, None], 0.0, result)
    return result, count, rates


def augment_sound(
    key: jax.Array, batch: dict[str, jax.Array], settings: ml_collections.ConfigDict
) -> jax.Array:
    """The same for spectrograms whose repetitions nobody asks for.

    Args:
      key: PRNG key.
      batch: "spectrogram" [..., 257, n] and "columns" [...] int.
      settings: as in `augment_spectrograms`.

    Returns:
      [..., 257, n] float32.
    """
    shape, columns = batch["spectrogram"].shape, batch["columns"].reshape(-1)
    flat = batch["spectrogram"].reshape(-1, *shape[-2:])  # [N, 257, n]
    nothing = jnp.zeros((len(flat), shape[-1]))
    found, _, _ = augment_spectrograms(
        key, flat, columns, nothing[:, 0], nothing, settings
    )
    return found.reshape(shape)
