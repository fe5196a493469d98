"""Convolutions with gradients of their own, for XLA:CPU.

XLA:CPU is slow at the dilated convolutions that are the gradients of a strided one. Here the
input's gradient is taken phase by phase, by convolutions without strides, and the filter's,
over time, by a matmul per frame. Three taps and many channels go through minimal filtering
(`ops.cpu.winograd`), the input's gradient too, and over time the filter's. XLA:CPU's other
filter gradients are fast in programs compiled by `ops.compiling` only.

On other platforms each function here is XLA's own convolution with XLA's own gradients; what
runs is decided inside each, when the program is lowered for a platform.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from rac_jax.ops import compiling, native
from rac_jax.ops.cpu import winograd
from rac_jax.ops.windows import interleave

Padding = tuple[tuple[int, int], ...]

# A convolution: (x, kernel, strides, padding) as in `native.convolve`.
Lowering = Callable[[jax.Array, jax.Array, tuple[int, ...], Padding], jax.Array]

# Positions per frame from which a filter gradient frame by frame is quicker, on two AVX2 cores.
LEAST_PLACES = 1024


def find_lowering(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding
) -> Lowering | None:
    """The lowering that is faster on CPU, forward or in a gradient, than XLA's own.

    Args:
      x: [B, *space, C] floats, two or three axes of space.
      kernel: [taps..., C, O], of x's type.
      strides: per axis of space.
      padding: zeros before and after, per axis of space.

    Returns:
      A function of these four, or None where XLA's own convolution is the best there is.
    """
    if math.prod(strides) > 1:
        return strided
    if x.ndim == 4 and winograd.suits(x, kernel, padding):
        return filtered
    return None


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def filtered(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding
) -> jax.Array:
    """A convolution without strides, on CPU by minimal filtering, and its input gradient likewise.

    So is its filter gradient along one axis; along two it is no quicker than XLA's own.
    """
    return lax.platform_dependent(
        x,
        kernel,
        cpu=winograd.convolve,
        default=lambda x, kernel: native.convolve(x, kernel, strides, padding),
    )


def _filtered_forward(x, kernel, strides, padding):
    return filtered(x, kernel, strides, padding), (x, kernel)


def _filtered_backward(strides, padding, saved, g):
    x, kernel = compiling.materialised(saved[0]), saved[1]
    # The input's gradient is the same kind of convolution, with the taps in reverse.
    turned = jnp.flip(kernel, (0, 1)).swapaxes(-1, -2)  # [kh, kw, O, C]
    for_input = filtered(g, turned, strides, padding)

    def of_kernel(x, g):
        return _filter_gradient(x, g, kernel.shape, strides, padding)

    def of_kernel_by_tiles(x, g):
        return winograd.filter_gradient(x, g, kernel.shape)

    if 1 not in kernel.shape[:2]:
        return for_input, of_kernel(x, g)
    return for_input, lax.platform_dependent(
        x, g, cpu=of_kernel_by_tiles, default=of_kernel
    )


filtered.defvjp(_filtered_forward, _filtered_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def strided(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding
) -> jax.Array:
    """A strided convolution whose gradients on CPU are convolutions without strides."""
    return native.convolve(x, kernel, strides, padding)


def _strided_forward(x, kernel, strides, padding):
    return strided(x, kernel, strides, padding), (x, kernel)


def _strided_backward(strides, padding, saved, g):
    x, kernel = saved

    # Each gradient in XLA's own form first, then in the one for CPU.
    def of_input(kernel, g):
        return transposed(
            lambda x: native.convolve(x, kernel, strides, padding), x.shape, g
        )

    def of_input_by_phase(kernel, g):
        swapped = kernel.swapaxes(-1, -2)  # [taps..., O, C]
        return input_gradient(swapped, g, x.shape, strides, padding, native.convolve)

    def of_kernel(x, g):
        return _filter_gradient(x, g, kernel.shape, strides, padding)

    def of_kernel_by_frame(x, g):
        return _temporal_filter_gradient(x, g, kernel.shape[0], strides[0], padding[0])

    for_input = lax.platform_dependent(
        kernel, g, cpu=of_input_by_phase, default=of_input
    )
    temporal = x.ndim == 4 and kernel.shape[1] == strides[1] == 1
    if not temporal or g.shape[2] < LEAST_PLACES:
        return for_input, of_kernel(x, g)
    return for_input, lax.platform_dependent(
        x, g, cpu=of_kernel_by_frame, default=of_kernel
    )


strided.defvjp(_strided_forward, _strided_backward)


def transposed(
    linear: Callable[[jax.Array], jax.Array], shape: Sequence[int], g: jax.Array
) -> jax.Array:
    """A linear function's transpose, applied to `g`; `shape` is that of its argument."""
    (gradient,) = jax.linear_transpose(linear, jax.ShapeDtypeStruct(shape, g.dtype))(g)
    return gradient


def _filter_gradient(x, g, kernel_shape, strides, padding):
    """dL/dkernel as XLA takes it."""
    return transposed(
        lambda kernel: native.convolve(x, kernel, strides, padding), kernel_shape, g
    )


def input_gradient(
    kernel: jax.Array,
    g: jax.Array,
    x_shape: Sequence[int],
    strides: tuple[int, ...],
    padding: Padding,
    convolve: Lowering,
) -> jax.Array:
    """dL/dx of a strided convolution, as one convolution without strides per phase.

    Inputs that lie a stride apart, a phase, see the same taps of the kernel: every stride-th.

    Args:
      kernel: with the two axes of channels swapped, [taps..., O, C].
      g: [B, *space', O], the gradient of what came out.
      x_shape: (B, *space, C).
      strides: per axis of space.
      padding: zeros before and after, per axis of space.
      convolve: takes the convolutions.

    Returns:
      [B, *space, C].
    """
    axes = range(len(strides))
    padded = [x_shape[i + 1] + sum(padding[i]) for i in axes]
    places = [-(-padded[i] // strides[i]) for i in axes]  # per phase
    phases = []
    for first in itertools.product(*map(range, strides)):
        taps = kernel[tuple(slice(first[i], None, strides[i]) for i in axes)]
        sizes = taps.shape[:-2]
        # Fewer taps than strides: no tap ever sees the inputs of this phase.
        if 0 in sizes:
            shape = (x_shape[0], *places, x_shape[-1])
            phases.append(jnp.zeros(shape, g.dtype))
            continue
        turned = jnp.flip(taps, tuple(axes))
        around = tuple((sizes[i] - 1, places[i] - g.shape[i + 1]) for i in axes)
        phases.append(convolve(g, turned, (1,) * len(strides), around))
    # Together they are the gradient of the padded input, of which the padding is cut off.
    whole = interleave(phases, [i + 1 for i in axes], strides)
    lows = [low for low, _ in padding]
    limits = [low + size for low, size in zip(lows, x_shape[1:-1], strict=True)]
    return lax.slice(whole, (0, *lows, 0), (x_shape[0], *limits, x_shape[-1]))


def _temporal_filter_gradient(x, g, taps, stride, padding):
    """dL/dkernel [k, 1, C, O] of a convolution over time: a product per frame of the output.

    Args:
      x: [B, T, N, C], convolved over T.
      g: [B, T', N, O], the gradient of what came out.
      taps: k.
      stride: of T.
      padding: zeros before and after T.
    """
    (batch, frames, places, channels), depth = g.shape, x.shape[-1]
    x = jnp.pad(x, ((0, 0), padding, (0, 0), (0, 0)))

    def add(total, frame):
        row, t = frame // frames, frame % frames
        seen = lax.dynamic_slice(x, (row, t * stride, 0, 0), (1, taps, places, depth))
        out = lax.dynamic_slice(g, (row, t, 0, 0), (1, 1, places, channels))
        columns = jnp.concatenate(list(seen[0]), axis=-1)  # [N, k · C]
        product = jnp.matmul(out[0, 0].T, columns, preferred_element_type=jnp.float32)
        return total + product, None

    total = jnp.zeros((channels, taps * depth), jnp.float32)
    total, _ = lax.scan(add, total, jnp.arange(batch * frames))
    return total.T.reshape(taps, 1, depth, channels).astype(x.dtype)
