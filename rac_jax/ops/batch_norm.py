"""Batch normalisation in training, with a gradient that keeps its input and nothing else.

JAX's own derivative keeps the centred input, and for the ReLU behind it one more array of that
size; of a video network they are most of what a step moves through memory.
"""

import functools

import jax
import jax.numpy as jnp


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
    rows = x.reshape(-1, x.shape[-1])
    out, mean, var = _normalised(rows, scale, bias, epsilon, relu, dtype)
    return out.reshape(x.shape), mean, var


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def _normalised(x, scale, bias, epsilon, relu, dtype):
    """`batch_norm` of x [N, C]."""
    return _forward(x, scale, bias, epsilon, relu, dtype)[0]


def _forward(x, scale, bias, epsilon, relu, dtype):
    values = x.astype(jnp.float32)
    mean = jnp.mean(values, 0)
    squares = jnp.mean(jnp.square(values), 0)
    var = jnp.maximum(0.0, squares - jnp.square(mean))
    rate = jax.lax.rsqrt(var + epsilon)
    out = (values - mean) * (scale * rate) + bias
    out = jnp.maximum(out, 0.0) if relu else out
    return (out.astype(dtype), mean, var), (x, scale, bias, mean, rate)


def _backward(epsilon, relu, dtype, saved, gradients):
    x, scale, bias, mean, rate = saved
    values, factor = x.astype(jnp.float32), scale * rate
    centred = values - mean
    g = gradients[0].astype(jnp.float32)
    if relu:
        g = jnp.where(centred * factor + bias > 0, g, 0.0)
    of_bias = jnp.sum(g, 0)
    # The sum of g · centred. XLA:CPU would write `centred` to memory for it; the digits that the
    # difference loses, the variance has lost before.
    of_factor = jnp.sum(g * values, 0) - mean * of_bias
    # Ends in a sum of two arrays. XLA:CPU computes anything that ends in one array's product with
    # a constant once for the input gradient of the convolution before it and once for the filter's.
    shift = of_bias * factor / len(x)
    slope = of_factor * factor * jnp.square(rate) / len(x)
    of_x = g * factor - (centred * slope + shift)
    return of_x.astype(x.dtype), of_factor * rate, of_bias


_normalised.defvjp(_forward, _backward)
