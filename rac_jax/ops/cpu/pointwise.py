"""Convolutions of one tap, which are matmuls over the channels, as XLA:CPU is quickest at them."""

import jax
import jax.numpy as jnp
from jax import lax

from rac_jax.ops import native


@jax.custom_vjp
def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The matmul over the channels.

    It is written as a convolution of one tap, for which large ones are the quicker (see
    `ops.compiling`), and its filter gradient as a product: XLA:CPU takes that of a convolution
    by transposing both arrays first, which takes longer than the product itself.

    Args:
      x: [B, *space, C] floats, two or three axes of space.
      kernel: [1, ..., C, O], of x's type.

    Returns:
      [B, *space, O] of x's type, accumulated in float32.
    """
    axes = x.ndim - 2
    return native.convolve(x, kernel, (1,) * axes, ((0, 0),) * axes)


def _forward(x, kernel):
    return convolve(x, kernel), (x, kernel)


def _backward(saved, g):
    x, kernel = saved
    return convolve(g, kernel.swapaxes(-1, -2)), filter_gradient(x, g)


convolve.defvjp(_forward, _backward)


def filter_gradient(x: jax.Array, g: jax.Array) -> jax.Array:
    """dL/dkernel [1, ..., C, O] of `convolve`, of x [B, *space, C] and g [B, *space, O]."""
    # A product of matrices contracts their rows as they lie; of more axes, XLA:CPU would move
    # the channels to the front.
    rows, columns = (array.reshape(-1, array.shape[-1]) for array in (x, g))
    product = lax.dot_general(
        rows, columns, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32
    )
    return product.reshape(*(1,) * (x.ndim - 2), *product.shape).astype(x.dtype)
