"""Pooling, channels last, axis by axis over shifted slices.

A window's maximum is the maximum along one axis after the other; taken over shifted slices it
runs, forward and backward, several times faster on CPU than XLA's windowed reduction and its
select-and-scatter gradient. Where several inputs tie for a maximum the first gets the gradient,
along each axis; for it, training keeps a byte per window and axis.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

Padding = Sequence[tuple[int, int]]


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
    with jax.named_scope("max_pool"):
        return _pool(x, window, strides, padding, _largest)


def average_pool(
    x: jax.Array, window: Sequence[int], strides: Sequence[int], padding: Padding
) -> jax.Array:
    """The mean of each window; padding counts as zeros of the window.

    Arguments, result and errors are those of `max_pool`.
    """
    total = _pool(x, window, strides, padding, _total)
    count = functools.reduce(lambda a, b: a * b, window)
    return total / jnp.asarray(count, x.dtype)


def global_mean(x: jax.Array) -> jax.Array:
    """The mean over all of space in float32: [B, *space, C] to [B, C]."""
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)), dtype=jnp.float32)


def _pool(x, window, strides, padding, combine: Callable):
    if not len(window) == len(strides) == len(padding) == x.ndim - 2:
        raise ValueError(
            f"window {window}, strides {strides} and padding {padding} must each have "
            f"{x.ndim - 2} entries for x {x.shape}"
        )
    for i, (size, stride, pad) in enumerate(zip(window, strides, padding, strict=True)):
        if max(pad) >= size:
            raise ValueError(f"padding {pad} must be less than the window {size}")
        if x.shape[i + 1] + sum(pad) < size:
            raise ValueError(
                f"axis {i + 1} of x {x.shape} is too short for a window of {size}"
            )
        if (size, stride) != (1, 1):
            x = combine(x, i + 1, size, stride, tuple(pad))
    return x


def _total(x, axis, size, stride, pad):
    return functools.reduce(jnp.add, _under_taps(x, axis, size, stride, pad, 0.0))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _largest(x, axis, size, stride, pad):
    """The maximum along an axis; the gradient goes to the first input that is the largest.

    JAX's own derivative of `maximum` keeps a mask per tap, and divides among ties.
    """
    seen = _under_taps(x, axis, size, stride, pad, -jnp.inf)
    return functools.reduce(jnp.maximum, seen)


def _largest_forward(x, axis, size, stride, pad):
    seen = _under_taps(x, axis, size, stride, pad, -jnp.inf)
    y = functools.reduce(jnp.maximum, seen)
    first = jnp.full(y.shape, size - 1, jnp.uint8)  # the tap that holds the maximum
    for tap in reversed(range(size - 1)):
        first = jnp.where(seen[tap] == y, jnp.uint8(tap), first)
    # An array without elements, for the number of inputs.
    return y, (first, jnp.zeros((x.shape[axis], 0)))


def _largest_backward(axis, size, stride, pad, saved, g):
    first, inputs = saved
    length = len(inputs)
    # Input p of the padded axis is under tap t of window j if p = j · stride + t: those that lie
    # a stride apart, a phase, see the same taps.
    places = -(-(length + sum(pad)) // stride)  # per phase
    before = (size - 1) // stride
    windows = [(0, 0, 0)] * g.ndim
    windows[axis] = (before, max(0, places - g.shape[axis]), 0)
    first = lax.pad(first, jnp.uint8(size), windows)
    g = lax.pad(g, jnp.zeros((), g.dtype), windows)
    phases = []
    for phase in range(stride):
        total = jnp.zeros((), g.dtype)
        for tap in range(phase, size, stride):
            start = before - tap // stride
            under, gradient = (
                lax.slice_in_dim(array, start, start + places, axis=axis)
                for array in (first, g)
            )
            total += jnp.where(under == tap, gradient, 0)
        phases.append(total)
    shape = (*g.shape[:axis], places, *g.shape[axis + 1 :])
    # A phase that no tap sees is a single zero.
    phases = [jnp.broadcast_to(total, shape) for total in phases]
    whole = jnp.stack(phases, axis + 1).reshape(
        *shape[:axis], places * stride, *shape[axis + 1 :]
    )
    return (lax.slice_in_dim(whole, pad[0], pad[0] + length, axis=axis),)


_largest.defvjp(_largest_forward, _largest_backward)


def _under_taps(x, axis, size, stride, pad, empty):
    """The inputs under each tap of a window along one axis, `empty` beyond its ends."""
    outputs = (x.shape[axis] + sum(pad) - size) // stride + 1
    if any(pad):
        borders = [(0, 0, 0)] * x.ndim
        borders[axis] = (*pad, 0)
        x = lax.pad(x, jnp.asarray(empty, x.dtype), borders)
    last = (outputs - 1) * stride + 1
    return [
        lax.slice_in_dim(x, first, first + last, stride, axis) for first in range(size)
    ]
