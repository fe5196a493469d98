"""Augmentation of clips and spectrograms inside the step, as classifiers of actions are trained.

Every function is pure and draws from its key alone. What is drawn is the same for all frames of
a clip and another for every row of the batch.

Random resized crops are those of Szegedy et al. (2015), masks those of SpecAugment (Park et al.,
2019) without warping in time, mixup that of Zhang et al. (2018).
"""

import functools

import jax
import jax.numpy as jnp

# From how wide to how high a random crop is, as Inception was trained.
ASPECTS = (3 / 4, 4 / 3)
# Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


def crop(
    clips: jax.Array, corners: jax.Array, sizes: jax.Array, side: int
) -> jax.Array:
    """Rectangles of clips, resized to squares.

    Args:
      clips: [B, T, H, W, C], of any numbers.
      corners: [B, 2], top and left of each rectangle, in pixels.
      sizes: [B, 2], its height and width, in pixels, above 0.
      side: height and width of the result.

    Returns:
      [B, T, side, side, C] float32; where it shrinks, means over areas (no aliasing).
    """
    _, frames, height, width, channels = clips.shape

    def one(clip: jax.Array, corner: jax.Array, size: jax.Array) -> jax.Array:
        # Frames and channels as one axis, which stays as it is.
        flat = clip.astype(jnp.float32).transpose(1, 2, 0, 3)
        flat = flat.reshape(height, width, frames * channels)
        scale = side / size
        shape = (side, side, frames * channels)
        flat = jax.image.scale_and_translate(
            flat, shape, (0, 1), scale, -corner * scale, "linear"
        )
        return flat.reshape(side, side, frames, channels).transpose(2, 0, 1, 3)

    return jax.vmap(one)(clips, corners, sizes)


def random_resized_crop(
    key: jax.Array, clips: jax.Array, side: int, area: tuple[float, float]
) -> jax.Array:
    """A random rectangle of each clip, resized to a square.

    Args:
      key: PRNG key.
      clips: [B, T, H, W, C].
      side: height and width of the result, in pixels.
      area: least and most of the picture that a rectangle covers, as shares of it in (0, 1].

    Returns:
      [B, T, side, side, C] float32.
    """
    number, _, height, width, _ = clips.shape
    area_key, aspect_key, place_key = jax.random.split(key, 3)
    share = jax.random.uniform(area_key, (number,), minval=area[0], maxval=area[1])
    low, high = (jnp.log(aspect) for aspect in ASPECTS)
    aspect = jnp.exp(jax.random.uniform(aspect_key, (number,), minval=low, maxval=high))
    # What would be larger than the picture is cut to it.
    shape = jnp.stack([jnp.sqrt(share / aspect), jnp.sqrt(share * aspect)], axis=1)
    whole = jnp.array([[height, width]], jnp.float32)
    sizes = jnp.minimum(shape, 1.0) * whole  # [B, 2]
    room = whole - sizes
    corners = jax.random.uniform(place_key, (number, 2)) * room
    return crop(clips, corners, sizes, side)


def views(clips: jax.Array, side: int, number: int) -> jax.Array:
    """Crops of each clip for evaluation: whole in height, side by side from left to right.

    Args:
      clips: [B, T, H, W, C] with H = W, at least `side`.
      side: height and width of a crop, in pixels.
      number: of crops; one lies in the middle.

    Returns:
      [number · B, T, side, side, C] float32, the crops of one place after another's.
    """
    batch, _, height, width, _ = clips.shape
    places = [0.5] if number == 1 else [i / (number - 1) for i in range(number)]
    sizes = jnp.full((batch, 2), side, jnp.float32)
    cut = []
    for place in places:
        corner = jnp.array([(height - side) / 2, (width - side) * place])
        cut.append(crop(clips, jnp.tile(corner[None], (batch, 1)), sizes, side))
    return jnp.concatenate(cut)


def random_flip(key: jax.Array, clips: jax.Array, probability: float) -> jax.Array:
    """Turns some clips [B, T, H, W, C] from left to right."""
    turned = jax.random.bernoulli(key, probability, (len(clips), 1, 1, 1, 1))
    return jnp.where(turned, clips[:, :, :, ::-1], clips)


def colour_jitter(key: jax.Array, clips: jax.Array, strength: float) -> jax.Array:
    """Changes brightness, contrast and saturation of each clip, in this order.

    Args:
      key: PRNG key.
      clips: [B, T, H, W, 3] in 0..1.
      strength: each factor is drawn from 1 - strength to 1 + strength; 0 to 1.

    Returns:
      The same shape, in 0..1.
    """
    number = len(clips)
    factors = jax.random.uniform(
        key, (3, number, 1, 1, 1, 1), minval=1 - strength, maxval=1 + strength
    )
    luma = jnp.array(LUMA).reshape(1, 1, 1, 1, 3)

    def grey(pixels: jax.Array) -> jax.Array:
        return jnp.sum(pixels * luma, axis=-1, keepdims=True)

    clips = jnp.clip(clips * factors[0], 0, 1)
    middle = jnp.mean(grey(clips), axis=(1, 2, 3, 4), keepdims=True)
    clips = jnp.clip(middle + (clips - middle) * factors[1], 0, 1)
    colourless = grey(clips)
    return jnp.clip(colourless + (clips - colourless) * factors[2], 0, 1)


def mask_bands(
    key: jax.Array, spectrograms: jax.Array, rows: int, columns: int, number: int
) -> jax.Array:
    """Sets bands of rows and spans of columns to 0, which is the mean of a standardised one.

    Args:
      key: PRNG key.
      spectrograms: [B, F, n] standardised.
      rows: most rows of a band; its width is drawn from 0 to this.
      columns: most columns of a span, likewise.
      number: of bands and of spans.

    Returns:
      The same shape.
    """
    batch, *shape = spectrograms.shape
    masked = jnp.zeros(spectrograms.shape, bool)
    for axis, most in enumerate((rows, columns)):
        width_key, place_key = jax.random.split(jax.random.fold_in(key, axis))
        length = shape[axis]
        width = jax.random.randint(width_key, (batch, number, 1), 0, most + 1)
        place = jax.random.uniform(place_key, (batch, number, 1))
        first = jnp.floor(place * (length - width + 1)).astype(jnp.int32)
        index = jnp.arange(length).reshape(1, 1, length)
        inside = ((index >= first) & (index < first + width)).any(1)  # [B, length]
        masked |= jnp.expand_dims(inside, 2 - axis)
    return jnp.where(masked, 0.0, spectrograms)


def mixup(
    key: jax.Array,
    inputs: jax.Array,
    targets: jax.Array,
    mask: jax.Array,
    alpha: float,
) -> tuple[jax.Array, jax.Array]:
    """Mixes every row of a batch with the one before it: λ x_i + (1 - λ) x_j, λ ~ Beta(α, α).

    Args:
      key: PRNG key.
      inputs: [B, ...] float.
      targets: [B, P] float, distributions over classes.
      mask: [B] bool; no row is mixed with one that is false.
      alpha: α, above 0.

    Returns:
      Inputs and targets, mixed alike.
    """
    number = len(inputs)
    share = jax.random.beta(key, alpha, alpha, (number,))
    # The larger share is the row's own, so that what is masked stays with its row.
    share = jnp.maximum(share, 1 - share)
    share = jnp.where(jnp.roll(mask, 1) & mask, share, 1.0)

    def mixed(values: jax.Array) -> jax.Array:
        own = share.reshape(number, *(1,) * (values.ndim - 1))
        return own * values + (1 - own) * jnp.roll(values, 1, axis=0)

    return mixed(inputs), mixed(targets)


def normalise(
    clips: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]
) -> jax.Array:
    """(x - mean) / std of each channel; clips [..., C] in 0..1."""
    shape = (1,) * (clips.ndim - 1) + (-1,)
    as_row = functools.partial(jnp.reshape, shape=shape)
    return (clips - as_row(jnp.array(mean))) / as_row(jnp.array(std))
