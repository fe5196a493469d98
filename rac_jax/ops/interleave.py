"""Arrays whose entries come from several, by turns along some axes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def interleave(
    parts: Sequence[jax.Array], axes: Sequence[int], strides: Sequence[int]
) -> jax.Array:
    """The array that has a part at every stride-th place along the axes.

    Args:
      parts: arrays of one shape, one for each of the first `strides` places, row by row.
      axes: which are interleaved, ascending.
      strides: of each of them; there are as many parts as their product.

    Returns:
      An array of the parts' shape, the axes longer by their strides.
    """
    parts = list(parts)
    for axis, stride in reversed(list(zip(axes, strides, strict=True))):
        shape = list(parts[0].shape)
        shape[axis] *= stride
        parts = [
            jnp.stack(parts[first : first + stride], axis + 1).reshape(shape)
            for first in range(0, len(parts), stride)
        ]
    (whole,) = parts
    return whole
