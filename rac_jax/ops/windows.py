"""Windows that move over an array by strides: what lies under their taps, and the way back."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Window(NamedTuple):
    """A window over the axes given, of so many taps, strides and places beyond the ends."""

    axes: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    def taps(self) -> list[tuple[int, ...]]:
        """Where in the window each tap is, row by row; a tap's number is its place here."""
        return list(itertools.product(*map(range, self.sizes)))


def under_taps(x: jax.Array, window: Window, empty: float) -> list[jax.Array]:
    """The entries under each tap of the window at all its places, `empty` beyond the ends.

    Args:
      x: any array.
      window: which fits into the padded array at least once.
      empty: the value of the padding.

    Returns:
      An array per tap, in the order of `Window.taps`; along the window's axes they have its
      floor((size + padding − window) / stride) + 1 places.
    """
    axes, sizes, strides, padding = window
    borders = [(0, 0, 0)] * x.ndim
    for axis, pad in zip(axes, padding, strict=True):
        borders[axis] = (*pad, 0)
    if any(map(sum, padding)):
        x = lax.pad(x, jnp.asarray(empty, x.dtype), borders)
    seen = []
    for tap in window.taps():
        begin, end, steps = [0] * x.ndim, list(x.shape), [1] * x.ndim
        for axis, size, stride, t in zip(axes, sizes, strides, tap, strict=True):
            outputs = (x.shape[axis] - size) // stride + 1
            begin[axis], end[axis] = t, t + (outputs - 1) * stride + 1
            steps[axis] = stride
        seen.append(lax.slice(x, begin, end, steps))
    return seen


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
