"""Convolutions, channels last, lowered by kernel shape and with a matmul filter gradient on CPU.

A video convolution whose kernel spans only time or only space is a 2-D convolution over a
reshaped array, and one of 1x1x1 is a matmul; both are faster than the 3-D convolution. XLA:CPU's
own filter gradient is up to 25 times slower than the same sum written as a matmul per kernel
tap, so on CPU that is what the backward pass does; elsewhere it is XLA's own. The
choice is made when the program is lowered for a platform, not when it is traced.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

Padding = tuple[tuple[int, int], ...]

# Fewer input channels make the matmuls too thin; measured on two AVX2 cores.
LEAST_CHANNELS = 16


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
    pointwise = math.prod(kernel.shape[:-2]) == 1
    if pointwise and not any(map(sum, padding)):
        index = (slice(None), *(slice(None, None, s) for s in strides))
        out = jnp.matmul(
            x[index],
            kernel.reshape(kernel.shape[-2:]),
            preferred_element_type=jnp.float32,
        )
        return out.astype(x.dtype)
    return _windowed(x, kernel, strides, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _windowed(x, kernel, strides, padding):
    """A convolution whose filter gradient on CPU is a matmul."""
    return _native(x, kernel, strides, padding)


def _windowed_forward(x, kernel, strides, padding):
    return _windowed(x, kernel, strides, padding), (x, kernel)


def _windowed_backward(strides, padding, saved, g):
    x, kernel = saved

    def by_matmul(x, g):
        return _filter_gradient(x, g, kernel.shape, strides, padding).astype(
            kernel.dtype
        )

    def by_xla(x, g):
        (gradient,) = jax.linear_transpose(
            lambda k: _native(x, k, strides, padding), kernel
        )(g)
        return gradient

    def transposed(kernel, g):
        (gradient,) = jax.linear_transpose(
            lambda x: _native(x, kernel, strides, padding), x
        )(g)
        return gradient

    def by_phases(kernel, g):
        return _input_gradient(kernel, g, x.shape, strides, padding)

    if math.prod(strides) == 1:
        input_gradient = transposed(kernel, g)
    else:
        input_gradient = lax.platform_dependent(
            kernel, g, cpu=by_phases, default=transposed
        )
    if kernel.shape[-2] < LEAST_CHANNELS:
        return input_gradient, by_xla(x, g)
    return input_gradient, lax.platform_dependent(x, g, cpu=by_matmul, default=by_xla)


_windowed.defvjp(_windowed_forward, _windowed_backward)


def _native(x, kernel, strides, padding):
    # XLA accumulates low-precision convolutions in float32 on every platform; asking for a
    # float32 result only to round it would deny GPUs their low-precision kernels.
    axes = tuple(range(1, x.ndim - 1))
    last = x.ndim - 1
    numbers = lax.ConvDimensionNumbers(
        lhs_spec=(0, last, *axes),
        rhs_spec=(last, last - 1, *range(last - 1)),
        out_spec=(0, last, *axes),
    )
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=padding,
        dimension_numbers=numbers,
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
        phases.append(_native(g, turned, (1,) * len(strides), around))
    whole = jnp.stack(phases).reshape(*strides, *phases[0].shape)
    # [s..., B, places..., C] to [B, places · s..., C]
    n = len(strides)
    order = [n]
    for i in axes:
        order += [n + 1 + i, i]
    whole = whole.transpose(*order, 2 * n + 1).reshape(
        x_shape[0], *(places[i] * strides[i] for i in axes), x_shape[-1]
    )
    lows = [low for low, _ in padding]
    limits = [low + size for low, size in zip(lows, x_shape[1:-1], strict=True)]
    return lax.slice(whole, (0, *lows, 0), (x_shape[0], *limits, x_shape[-1]))


def _filter_gradient(x, g, kernel_shape, strides, padding):
    """dL/dkernel, float32: the inputs that each tap saw, times the gradient of the output."""
    *taps, _, channels = kernel_shape
    borders = [(0, 0, 0), *((*pad, 0) for pad in padding), (0, 0, 0)]
    x = lax.pad(x, jnp.zeros((), x.dtype), borders)
    rows = g.reshape(-1, channels)  # [N, O], N output positions
    gradients = [
        jnp.matmul(
            _seen_by_tap(x, tap, g.shape, strides).T,
            rows,
            preferred_element_type=jnp.float32,
        )
        for tap in itertools.product(*map(range, taps))
    ]  # taps of [C, O]
    return jnp.stack(gradients).reshape(kernel_shape)


def _seen_by_tap(x, tap, out_shape, strides):
    """The padded inputs under one kernel tap at every output position, [N, C]."""
    limits = [
        first + (size - 1) * stride + 1
        for first, size, stride in zip(tap, out_shape[1:], strides, strict=False)
    ]
    part = lax.slice(
        x,
        (0, *tap, 0),
        (x.shape[0], *limits, x.shape[-1]),
        (1, *strides, 1),
    )
    return part.reshape(-1, x.shape[-1])
