"""Convolutions, channels last, lowered by the kernel's shape and the platform.

A video convolution whose kernel spans only time or only space is a 2-D convolution over a
reshaped array, and one of 1x1x1 on accelerators a matmul; both are faster than the 3-D
convolution. The rest is for CPU, where XLA is slow at the dilated convolutions that are the
gradients of a strided one: the input's gradient is taken phase by phase, by convolutions without
strides, and the filter's, over time, by a matmul per frame. Three taps and many channels go
through `ops.winograd`, the input's gradient too, and over time the filter's. The choice is made
when the program is lowered for a platform, not when it is traced; `benchmarks/lowerings.py`
measures what there is to choose from. XLA:CPU's other filter gradients are fast in programs
compiled by `ops.compiling` only.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from rac_jax.ops import compiling, native
from rac_jax.ops.cpu import pointwise, winograd
from rac_jax.ops.windows import interleave

Padding = tuple[tuple[int, int], ...]

# Positions per frame from which a filter gradient frame by frame is quicker, on two AVX2 cores.
LEAST_PLACES = 1024


def conv_video(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Padding
) -> jax.Array:
    """Convolves over time and space.

    Args:
      x: [B, T, H, W, C] floats.
      kernel: [kt, kh, kw, C, O], of x's type.
      strides: of time, height, width.
      padding: zeros before and after, per axis.

    Returns:
      [B, T', H', W', O] of x's type, accumulated in float32.

    Raises:
      ValueError: if the shapes do not fit.
    """
    _check(x, kernel, strides, padding, 3)
    kt, kh, kw, _, channels = kernel.shape
    strides, padding = tuple(strides), tuple(map(tuple, padding))
    batch, frames, height, width, depth = x.shape
    if kt == 1 and strides[0] == 1 and padding[0] == (0, 0):
        images = x.reshape(batch * frames, height, width, depth)  # [B·T, H, W, C]
        out = conv_image(images, kernel[0], strides[1:], padding[1:])
        return out.reshape(batch, frames, *out.shape[1:])  # [B, T, H', W', O]
    flat = strides[1:] == (1, 1) and padding[1:] == ((0, 0), (0, 0))
    if kh == kw == 1 and kt > 1 and flat:
        columns = x.reshape(batch, frames, height * width, depth)  # [B, T, H·W, C]
        out = conv_image(
            columns, kernel[:, 0], (strides[0], 1), (padding[0], (0, 0))
        )  # [B, T', H·W, O]
        return out.reshape(batch, -1, height, width, channels)  # [B, T', H, W, O]
    return _convolve(x, kernel, strides, padding)


def conv_image(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Padding
) -> jax.Array:
    """Convolves over height and width.

    Args:
      x: [B, H, W, C] floats.
      kernel: [kh, kw, C, O], of x's type.
      strides: of height and width.
      padding: zeros before and after, per axis.

    Returns:
      [B, H', W', O] of x's type, accumulated in float32.

    Raises:
      ValueError: if the shapes do not fit.
    """
    _check(x, kernel, strides, padding, 2)
    return _convolve(x, kernel, tuple(strides), tuple(map(tuple, padding)))


def _check(x, kernel, strides, padding, axes: int) -> None:
    if x.ndim != axes + 2 or kernel.ndim != axes + 2:
        raise ValueError(
            f"x {x.shape} and kernel {kernel.shape} must both have {axes + 2} axes"
        )
    if x.shape[-1] != kernel.shape[-2]:
        raise ValueError(
            f"x has {x.shape[-1]} channels, the kernel takes {kernel.shape[-2]}"
        )
    if len(strides) != axes or len(padding) != axes:
        raise ValueError(f"strides {strides} and padding {padding} must have {axes}")
    for size, taps, pad in zip(x.shape[1:], kernel.shape, padding, strict=False):
        if size + sum(pad) < taps:
            raise ValueError(f"x {x.shape} is smaller than the kernel {kernel.shape}")


def _convolve(x, kernel, strides, padding):
    one_tap = math.prod(kernel.shape[:-2]) == 1
    if one_tap and not any(map(sum, padding)):
        index = (slice(None), *(slice(None, None, s) for s in strides))
        return lax.platform_dependent(
            x[index], kernel, cpu=pointwise.convolve, default=_matmul
        )
    if math.prod(strides) > 1:
        return _strided(x, kernel, strides, padding)
    if x.ndim == 4 and winograd.suits(x, kernel, padding):
        return _filtered(x, kernel, padding)
    return native.convolve(x, kernel, strides, padding)


def _matmul(x, kernel):
    matrix = kernel.reshape(kernel.shape[-2:])
    return jnp.matmul(x, matrix, preferred_element_type=jnp.float32).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _filtered(x, kernel, padding):
    """A convolution without strides, on CPU by minimal filtering, and its input gradient likewise.

    So is its filter gradient along one axis; along two it is no quicker than XLA's own.
    """
    ones = (1,) * len(padding)
    return lax.platform_dependent(
        x,
        kernel,
        cpu=winograd.convolve,
        default=lambda x, kernel: native.convolve(x, kernel, ones, padding),
    )


def _filtered_forward(x, kernel, padding):
    return _filtered(x, kernel, padding), (x, kernel)


def _filtered_backward(padding, saved, g):
    x, kernel = compiling.materialised(saved[0]), saved[1]
    turned = jnp.flip(kernel, (0, 1)).swapaxes(-1, -2)  # [kh, kw, O, C]
    input_gradient = _filtered(g, turned, padding)

    def of_kernel(x, g):
        return _filter_gradient(x, g, kernel.shape, (1, 1), padding)

    def of_kernel_by_tiles(x, g):
        return winograd.filter_gradient(x, g, kernel.shape)

    if 1 not in kernel.shape[:2]:
        return input_gradient, of_kernel(x, g)
    return input_gradient, lax.platform_dependent(
        x, g, cpu=of_kernel_by_tiles, default=of_kernel
    )


_filtered.defvjp(_filtered_forward, _filtered_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _strided(x, kernel, strides, padding):
    """A strided convolution whose gradients on CPU are convolutions without strides."""
    return native.convolve(x, kernel, strides, padding)


def _strided_forward(x, kernel, strides, padding):
    return _strided(x, kernel, strides, padding), (x, kernel)


def _strided_backward(strides, padding, saved, g):
    x, kernel = saved

    def of_input(kernel, g):
        return _transposed(
            lambda x: native.convolve(x, kernel, strides, padding), x.shape, g
        )

    def of_input_by_phase(kernel, g):
        return _input_gradient(kernel, g, x.shape, strides, padding)

    def of_kernel(x, g):
        return _filter_gradient(x, g, kernel.shape, strides, padding)

    def of_kernel_by_frame(x, g):
        return _temporal_filter_gradient(x, g, kernel.shape[0], strides[0], padding[0])

    input_gradient = lax.platform_dependent(
        kernel, g, cpu=of_input_by_phase, default=of_input
    )
    temporal = x.ndim == 4 and kernel.shape[1] == strides[1] == 1
    if not temporal or g.shape[2] < LEAST_PLACES:
        return input_gradient, of_kernel(x, g)
    return input_gradient, lax.platform_dependent(
        x, g, cpu=of_kernel_by_frame, default=of_kernel
    )


_strided.defvjp(_strided_forward, _strided_backward)


def _transposed(linear, shape, g):
    """A linear function's transpose, applied to `g`; `shape` is that of its argument."""
    (gradient,) = jax.linear_transpose(linear, jax.ShapeDtypeStruct(shape, g.dtype))(g)
    return gradient


def _filter_gradient(x, g, kernel_shape, strides, padding):
    """dL/dkernel as XLA takes it."""
    return _transposed(
        lambda kernel: native.convolve(x, kernel, strides, padding), kernel_shape, g
    )


def _input_gradient(kernel, g, x_shape, strides, padding):
    """dL/dx of a strided convolution, as one convolution without strides per phase.

    Inputs that lie a stride apart, a phase, see the same taps of the kernel: every stride-th.
    """
    axes = range(len(strides))
    padded = [x_shape[i + 1] + sum(padding[i]) for i in axes]
    places = [-(-padded[i] // strides[i]) for i in axes]  # per phase
    phases = []
    for first in itertools.product(*map(range, strides)):
        taps = kernel[tuple(slice(first[i], None, strides[i]) for i in axes)]
        sizes = taps.shape[:-2]
        if 0 in sizes:
            shape = (x_shape[0], *places, x_shape[-1])
            phases.append(jnp.zeros(shape, g.dtype))
            continue
        turned = jnp.flip(taps, tuple(axes)).swapaxes(-1, -2)  # [taps..., O, C]
        around = tuple((sizes[i] - 1, places[i] - g.shape[i + 1]) for i in axes)
        phases.append(native.convolve(g, turned, (1,) * len(strides), around))
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
