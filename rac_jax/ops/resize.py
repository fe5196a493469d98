"""Bilinear resizing with half-pixel centres, along one axis."""

import jax
import jax.numpy as jnp
import numpy as np


def resize_time(values: jax.Array, length: int) -> jax.Array:
    """Resizes the last axis bilinearly, half-pixel centres, no anti-aliasing.

    Output position i reads input position (i + 1/2) n / length - 1/2, clamped to the ends:
    the resize that paper 1's released code applies to spectrograms.

    Args:
      values: [..., n] float.
      length: wanted size of the last axis, at least 1.

    Returns:
      [..., length], the same dtype.

    Raises:
      ValueError: if there is nothing to resize or `length` is under 1.
    """
    n = values.shape[-1]
    if n < 1 or length < 1:
        raise ValueError(f"resize_time: cannot resize {n} columns to {length}")
    position = np.clip((np.arange(length) + 0.5) * n / length - 0.5, 0, n - 1)
    low = np.floor(position).astype(np.int32)
    high = np.minimum(low + 1, n - 1)
    lead = (1,) * (values.ndim - 1)
    fraction = jnp.asarray((position - low).reshape(*lead, length), values.dtype)
    lower = values[..., low]  # [..., length]
    return lower + fraction * (values[..., high] - lower)
