"""Convolutions over clips and images, channels last.

A kernel that spans only space, (1, k, k), or only time, (k, 1, 1), is a 2-D convolution of the
reshaped clip, and one of 1x1x1 a matmul over the channels: both are faster than the 3-D
convolution. All else is XLA's own convolution (`ops.native`), unless the program is lowered for
a CPU, where XLA is slow at some; `_convolve` is the one place where that is decided.
`benchmarks/lowerings.py` measures what there is to choose from.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from rac_jax.ops import native
from rac_jax.ops.cpu import conv as cpu_conv
from rac_jax.ops.cpu import depthwise, pointwise

Padding = tuple[tuple[int, int], ...]

# What a network names the results of its convolutions (`jax.ad_checkpoint.checkpoint_name`), so
# that a training step can keep them alone for the backward pass and work out the rest again.
CONVOLVED = "convolved"


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
    # Space alone: every frame is an image.
    if kt == 1 and strides[0] == 1 and padding[0] == (0, 0):
        images = x.reshape(batch * frames, height, width, depth)  # [B·T, H, W, C]
        out = conv_image(images, kernel[0], strides[1:], padding[1:])
        return out.reshape(batch, frames, *out.shape[1:])  # [B, T, H', W', O]
    # Time alone: an image whose rows are the frames, with a column per place.
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


def conv_depthwise(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Padding
) -> jax.Array:
    """Convolves every channel over height and width by itself.

    On CPU it is a sum of shifted slices (`ops.cpu.depthwise`), elsewhere XLA's own convolution.

    Args:
      x: [B, H, W, C] floats.
      kernel: [kh, kw, 1, C], of x's type.
      strides: of height and width.
      padding: zeros before and after, per axis.

    Returns:
      [B, H', W', C] of x's type, accumulated in float32.

    Raises:
      ValueError: if the shapes do not fit.
    """
    if x.ndim != 4 or kernel.ndim != 4 or kernel.shape[2:] != (1, x.shape[-1]):
        raise ValueError(
            f"x {x.shape} must be [B, H, W, C], kernel {kernel.shape} [kh, kw, 1, C]"
        )
    _check_reach(x, kernel, strides, padding, 2)
    return depthwise.convolve(x, kernel, tuple(strides), tuple(map(tuple, padding)))


def _check(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Padding,
    axes: int,
) -> None:
    if x.ndim != axes + 2 or kernel.ndim != axes + 2:
        raise ValueError(
            f"x {x.shape} and kernel {kernel.shape} must both have {axes + 2} axes"
        )
    if x.shape[-1] != kernel.shape[-2]:
        raise ValueError(
            f"x has {x.shape[-1]} channels, the kernel takes {kernel.shape[-2]}"
        )
    _check_reach(x, kernel, strides, padding, axes)


def _check_reach(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Padding,
    axes: int,
) -> None:
    if len(strides) != axes or len(padding) != axes:
        raise ValueError(f"strides {strides} and padding {padding} must have {axes}")
    for size, taps, pad in zip(x.shape[1:], kernel.shape, padding, strict=False):
        if size + sum(pad) < taps:
            raise ValueError(f"x {x.shape} is smaller than the kernel {kernel.shape}")


def _convolve(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding
) -> jax.Array:
    """The convolution itself: a matmul over the channels, or XLA's convolution.

    This is the one place where a lowering for CPU is chosen (`ops.cpu`). Each computes the same
    sums as the plain operation, which is what runs on every other platform: that is decided when
    the program is lowered for a platform, not when it is traced.
    """
    # One tap without padding is a matmul over the channels of every stride-th position.
    if math.prod(kernel.shape[:-2]) == 1 and not any(map(sum, padding)):
        seen = x[(slice(None), *(slice(None, None, s) for s in strides))]
        return lax.platform_dependent(
            seen, kernel, cpu=pointwise.convolve, default=_matmul
        )
    # Strides, or three taps and many channels: convolutions with gradients of their own.
    lowering = cpu_conv.find_lowering(x, kernel, strides, padding)
    if lowering is not None:
        return lowering(x, kernel, strides, padding)
    # Everything else is XLA's convolution on CPU, too.
    return native.convolve(x, kernel, strides, padding)


def _matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """[B, *space, C] times a kernel [1, ..., C, O]: [B, *space, O] of x's type."""
    matrix = kernel.reshape(kernel.shape[-2:])
    return jnp.matmul(x, matrix, preferred_element_type=jnp.float32).astype(x.dtype)
