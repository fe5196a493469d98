"""Pooling, channels last, over shifted slices: time first, then both axes of a frame at once.

On CPU this runs, forward and backward, several times faster than XLA's windowed reduction and
its select-and-scatter gradient, and faster than axis by axis or all three at once. Where several
inputs tie for a maximum the first gets the gradient, over time and then in the frame row by row;
for it, training keeps a byte per window of time and of frames.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from rac_jax.ops.windows import Window, interleave, under_taps

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
    with jax.named_scope("max_pool"):
        before = x.ndim - 3  # axes before a frame's
        if before == 2:
            x = _pooled(x, (1,), window[:1], strides[:1], padding[:1])
        # Images are what a convolution takes next. A maximum of that very shape XLA:CPU takes
        # once; one that is reshaped for it, once more for its filter gradient.
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


def _pooled(x, axes, sizes, strides, padding):
    """The maximum of each window over these axes of x, where there is anything to do."""
    moved = [i for i in range(len(axes)) if (sizes[i], strides[i]) != (1, 1)]
    if not moved:
        return x
    window = Window(
        tuple(axes[i] for i in moved),
        tuple(sizes[i] for i in moved),
        tuple(strides[i] for i in moved),
        tuple(tuple(padding[i]) for i in moved),
    )
    return _largest(x, window)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _largest(x, window):
    """The maximum of each window; the gradient goes to the first input that is the largest.

    JAX's own derivative of `maximum` keeps a mask per tap, and divides among ties.
    """
    return functools.reduce(jnp.maximum, under_taps(x, window, -jnp.inf))


def _largest_forward(x, window):
    seen = under_taps(x, window, -jnp.inf)
    y = functools.reduce(jnp.maximum, seen)
    number = jnp.uint8 if len(seen) < 256 else jnp.int32
    first = jnp.full(y.shape, len(seen) - 1, number)  # the tap that holds the maximum
    for tap in reversed(range(len(seen) - 1)):
        first = jnp.where(seen[tap] == y, number(tap), first)
    # An array without elements, for the numbers of inputs.
    return y, (first, jnp.zeros((*(x.shape[axis] for axis in window.axes), 0)))


def _largest_backward(window, saved, g):
    axes, sizes, strides, padding = window
    first, inputs = saved
    lengths = inputs.shape[:-1]
    # Input p of a padded axis is under tap t of window j if p = j · stride + t: those that lie a
    # stride apart, a phase, see the same taps.
    places = [
        -(-(length + sum(pad)) // stride)
        for length, pad, stride in zip(lengths, padding, strides, strict=True)
    ]  # per phase
    before = [(size - 1) // stride for size, stride in zip(sizes, strides, strict=True)]
    borders = [(0, 0, 0)] * g.ndim
    for axis, low, number in zip(axes, before, places, strict=True):
        borders[axis] = (low, max(0, number - g.shape[axis]), 0)
    first = lax.pad(first, jnp.asarray(math.prod(sizes), first.dtype), borders)
    g = lax.pad(g, jnp.zeros((), g.dtype), borders)

    def sliced(array, starts, lengths):
        begin, end = [0] * array.ndim, list(array.shape)
        for axis, start, length in zip(axes, starts, lengths, strict=True):
            begin[axis], end[axis] = start, start + length
        return lax.slice(array, begin, end)

    shape = sliced(g, before, places).shape
    phases = []
    for phase in itertools.product(*map(range, strides)):
        total = jnp.zeros((), g.dtype)
        for number, tap in enumerate(window.taps()):
            if all(
                (t - p) % s == 0 for t, p, s in zip(tap, phase, strides, strict=True)
            ):
                starts = [
                    low - t // stride
                    for low, t, stride in zip(before, tap, strides, strict=True)
                ]
                under = sliced(first, starts, places) == number
                total += jnp.where(under, sliced(g, starts, places), 0)
        # A phase that no tap sees is a single zero.
        phases.append(jnp.broadcast_to(total, shape))
    whole = interleave(phases, axes, strides)
    return (sliced(whole, [low for low, _ in padding], lengths),)


_largest.defvjp(_largest_forward, _largest_backward)
