"""Pooling, channels last.

Maxima are taken over shifted slices, time first, then both axes of a frame at once: on CPU that
is faster than axis by axis or all three at once. Where several inputs tie for a maximum the first
gets the gradient, over time and then in the frame row by row (`ops.window_max`).
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from rac_jax.ops.window_max import window_max
from rac_jax.ops.windows import Window

Padding = Sequence[tuple[int, int]]

# Of a frame at once; beyond, a slice per tap is more work than one axis after the other.
MOST_TAPS = 16


def max_pool(
    x: jax.Array, window: Sequence[int], strides: Sequence[int], padding: Padding
) -> jax.Array:
    """The maximum of each window; padding counts as minus infinity.

    Args:
      x: [B, *space, C] floats, `space` being (T, H, W) or (H, W).
      window: size per axis of space.
      strides: per axis of space.
      padding: before and after, per axis of space; less than the window.

    Returns:
      [B, *space', C], space' = floor((space + padding − window) / stride) + 1.

    Raises:
      ValueError: if the shapes do not fit or an output axis would be empty.
    """
    if not len(window) == len(strides) == len(padding) == x.ndim - 2:
        raise ValueError(
            f"window {window}, strides {strides} and padding {padding} must each have "
            f"{x.ndim - 2} entries for x {x.shape}"
        )
    for i, (size, pad) in enumerate(zip(window, padding, strict=True)):
        if max(pad) >= size:
            raise ValueError(f"padding {pad} must be less than the window {size}")
        if x.shape[i + 1] + sum(pad) < size:
            raise ValueError(
                f"axis {i + 1} of x {x.shape} is too short for a window of {size}"
            )
    # The scope's name tells profiles (`benchmarks/compare/profile.py`) what this is.
    with jax.named_scope("max_pool"):
        # Time first, where there is one: [B, T, H, W, C] has two axes before those of a frame.
        before = x.ndim - 3
        if before == 2:
            x = _pooled(x, (1,), window[:1], strides[:1], padding[:1])
        # Then the frames as images, which is what a convolution takes next. XLA:CPU computes a
        # maximum of that very shape once; one that is reshaped for a convolution it computes
        # again for the convolution's filter gradient.
        images = x.reshape(-1, *x.shape[before:])  # [B or B·T, H, W, C]
        frame = [of[-2:] for of in (window, strides, padding)]
        if math.prod(frame[0]) <= MOST_TAPS:
            images = _pooled(images, (1, 2), *frame)
        else:
            for axis in (0, 1):
                images = _pooled(images, (axis + 1,), *([of[axis]] for of in frame))
        return images.reshape(*x.shape[:before], *images.shape[1:])


def global_mean(x: jax.Array) -> jax.Array:
    """The mean over all of space in float32: [B, *space, C] to [B, C]."""
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)), dtype=jnp.float32)


def _pooled(
    x: jax.Array,
    axes: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
) -> jax.Array:
    """The maximum of each window over these axes of x."""
    # A window of one at every place changes nothing.
    moved = [i for i in range(len(axes)) if (sizes[i], strides[i]) != (1, 1)]
    if not moved:
        return x
    window = Window(
        tuple(axes[i] for i in moved),
        tuple(sizes[i] for i in moved),
        tuple(strides[i] for i in moved),
        tuple(tuple(padding[i]) for i in moved),
    )
    return window_max(x, window)
