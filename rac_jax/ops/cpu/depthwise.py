"""Depthwise convolutions as sums of shifted slices, for XLA:CPU.

XLA:CPU takes a grouped convolution a channel at a time: 20 to 70 times as long as one loop over
places and channels that adds up every tap (`benchmarks/lowerings.py` has the table). With
strides the padded picture is first looked at as its phases, the places that lie a stride apart,
so that every tap reads channels that lie together.

On other platforms each function here is XLA's own convolution with XLA's own gradients; what
runs is decided when the program is lowered for a platform.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
from jax import lax

from rac_jax.ops import native
from rac_jax.ops.cpu.conv import Padding, input_gradient, transposed


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    """Convolves every channel of images with taps of its own.

    Args:
      x: [B, H, W, C] floats.
      kernel: [kh, kw, 1, C], of x's type.
      strides: of height and width.
      padding: zeros before and after, per axis.

    Returns:
      [B, H', W', C] of x's type, accumulated in float32.
    """
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: shifted(x, kernel, strides, padding),
        default=lambda x, kernel: grouped(x, kernel, strides, padding),
    )


def _forward(x, kernel, strides, padding):
    return convolve(x, kernel, strides, padding), (x, kernel)


def _backward(strides, padding, saved, g):
    x, kernel = saved

    # Each gradient in XLA's own form first, then in the one for CPU.
    def of_input(kernel, g):
        return transposed(lambda x: grouped(x, kernel, strides, padding), x.shape, g)

    def of_input_by_phase(kernel, g):
        return input_gradient(kernel, g, x.shape, strides, padding, shifted)

    def of_kernel(x, g):
        return transposed(lambda k: grouped(x, k, strides, padding), kernel.shape, g)

    def of_kernel_by_tap(x, g):
        return filter_gradient(x, g, kernel.shape, strides, padding)

    return (
        lax.platform_dependent(kernel, g, cpu=of_input_by_phase, default=of_input),
        lax.platform_dependent(x, g, cpu=of_kernel_by_tap, default=of_kernel),
    )


convolve.defvjp(_forward, _backward)


def grouped(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    """The same as XLA's own convolution of as many groups as channels."""
    return native.convolve(x, kernel, strides, padding, groups=x.shape[-1])


def shifted(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    """The same as a sum over taps of shifted slices, each times its row of the kernel."""
    total = jnp.zeros((), jnp.float32)
    taps = itertools.product(*map(range, kernel.shape[:2]))
    seen = _under_taps(x, kernel.shape, strides, padding)
    for (i, j), part in zip(taps, seen, strict=True):
        row = kernel[i, j].reshape(1, 1, 1, -1)
        total = total + part.astype(jnp.float32) * row.astype(jnp.float32)
    return total.astype(x.dtype)


def filter_gradient(
    x: jax.Array,
    g: jax.Array,
    kernel_shape: tuple[int, ...],
    strides: tuple[int, int],
    padding: Padding,
) -> jax.Array:
    """dL/dkernel [kh, kw, 1, C] of `convolve`, of x [B, H, W, C] and g [B, H', W', C]."""
    seen = _under_taps(x, kernel_shape, strides, padding)
    wide = g.astype(jnp.float32)
    sums = [jnp.sum(part.astype(jnp.float32) * wide, (0, 1, 2)) for part in seen]
    return jnp.stack(sums).reshape(kernel_shape).astype(x.dtype)


def _under_taps(
    x: jax.Array,
    kernel_shape: tuple[int, ...],
    strides: tuple[int, int],
    padding: Padding,
) -> list[jax.Array]:
    """What lies under each tap, row by row: [B, H', W', C] each.

    As `ops.windows.under_taps`, but for the phases: a slice with steps reads every second row
    and place, where one of a phase reads what lies together.
    """
    batch, *size, channels = x.shape
    borders, shape, places = [(0, 0, 0)], [batch], []
    for axis in range(2):
        before, after = padding[axis]
        # Up to a whole number of strides; what is too much is not looked at.
        rest = -(size[axis] + before + after) % strides[axis]
        borders.append((before, after + rest, 0))
        whole = size[axis] + before + after + rest
        shape += [whole // strides[axis], strides[axis]]
        reach = size[axis] + before + after - kernel_shape[axis]
        places.append(reach // strides[axis] + 1)
    padded = lax.pad(x, jnp.zeros((), x.dtype), [*borders, (0, 0, 0)])
    phases = padded.reshape(*shape, channels)  # [B, H'', sh, W'', sw, C]
    (rows, columns), (down, right) = places, strides
    return [
        phases[
            :,
            i // down : i // down + rows,
            i % down,
            j // right : j // right + columns,
            j % right,
        ]
        for i, j in itertools.product(*map(range, kernel_shape[:2]))
    ]
