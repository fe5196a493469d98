"""Batch normalisation in training, with a gradient that keeps its input and nothing else.

JAX's own derivative keeps the centred input, and for the ReLU behind it one more array of that
size; of a video network they are most of what a step moves through memory.
"""

import functools
import math

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def batch_norm(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
    relu: bool,
    dtype: str,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises by the statistics of the batch (Ioffe and Szegedy, 2015, algorithm 1).

    Args:
      x: [..., C] floats.
      scale: [C] float32.
      bias: [C] float32.
      epsilon: added to variances.
      relu: whether negative results become 0.
      dtype: type of the result; all is computed in float32.

    Returns:
      (normalised [..., C] of `dtype`, mean [C], biased variance [C]). There is no gradient
      through the last two.
    """
    return _forward(x, scale, bias, epsilon, relu, dtype)[0]


def _forward(x, scale, bias, epsilon, relu, dtype):
    axes, values = tuple(range(x.ndim - 1)), x.astype(jnp.float32)
    mean = jnp.mean(values, axes)
    squares = jnp.mean(jnp.square(values), axes)
    var = jnp.maximum(0.0, squares - jnp.square(mean))
    rate = jax.lax.rsqrt(var + epsilon)
    out = (values - mean) * (scale * rate) + bias
    out = jnp.maximum(out, 0.0) if relu else out
    return (out.astype(dtype), mean, var), (x, scale, bias, mean, rate)


def _backward(epsilon, relu, dtype, saved, gradients):
    x, scale, bias, mean, rate = saved
    axes, number = tuple(range(x.ndim - 1)), math.prod(x.shape[:-1])
    values = x.astype(jnp.float32)
    centred = (values - mean) * rate
    g = gradients[0].astype(jnp.float32)
    if relu:
        g = jnp.where(centred * scale + bias > 0, g, 0.0)
    of_bias = jnp.sum(g, axes)
    # The sum of g · centred. XLA:CPU would write `centred` to memory for it; the digits that the
    # difference loses, the variance has lost before.
    of_scale = (jnp.sum(g * values, axes) - mean * of_bias) * rate
    of_x = (scale * rate) * (g - of_bias / number - centred * (of_scale / number))
    return of_x.astype(x.dtype), of_scale, of_bias


batch_norm.defvjp(_forward, _backward)
