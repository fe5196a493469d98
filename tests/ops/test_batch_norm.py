"""Batch normalisation against the formula and its derivative by JAX."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.ops import compiling, conv
from rac_jax.ops.batch_norm import batch_norm

EPSILON = 1e-3


def plain(x, scale, bias, relu):
    """The formula, with JAX's own derivative."""
    axes = tuple(range(x.ndim - 1))
    mean, var = jnp.mean(x, axes), jnp.var(x, axes)
    out = (x - mean) / jnp.sqrt(var + EPSILON) * scale + bias
    return (jnp.where(out > 0, out, 0) if relu else out), mean, var


def example(shape):
    rng = np.random.default_rng(0)
    x = rng.normal(0.5, 2.0, shape).astype(np.float32)
    scale, bias = rng.normal(size=(2, shape[-1])).astype(np.float32)
    return x, scale, bias, rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(40, 3), (2, 5, 6, 4), (2, 3, 4, 5, 7)])
def test_results_and_gradients_are_those_of_the_formula(shape, relu):
    *inputs, g = example(shape)

    def weighed(function):
        return lambda *inputs: jnp.sum(g * function(*inputs, relu)[0])

    def ours(x, scale, bias, relu):
        return batch_norm(x, scale, bias, EPSILON, relu, "float32")

    for got, want in zip(ours(*inputs, relu), plain(*inputs, relu), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    got = jax.grad(weighed(ours), (0, 1, 2))(*inputs)
    want = jax.grad(weighed(plain), (0, 1, 2))(*inputs)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)


def test_gradients_hold_where_the_mean_is_far_from_zero():
    x, scale, bias, g = example((4000, 3))
    x += 60.0  # thirty standard deviations

    def ours(x, scale, bias):
        out = batch_norm(x, scale, bias, EPSILON, True, "float32")[0]
        return jnp.sum(g * out)

    got = jax.grad(ours, (0, 1, 2))(x, scale, bias)
    x, g = x.astype(np.float64), g.astype(np.float64)
    rate = 1 / np.sqrt(x.var(0) + EPSILON)
    centred = (x - x.mean(0)) * rate
    g = np.where(centred * scale + bias > 0, g, 0)
    of_scale, of_bias = (g * centred).sum(0), g.sum(0)
    of_x = scale * rate * (g - g.mean(0) - centred * (g * centred).mean(0))
    for one, other in zip(got, (of_x, of_scale, of_bias), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3 * np.abs(other).max())


def test_low_precision_in_and_out_with_statistics_in_float32():
    x, scale, bias, g = example((64, 8))
    x, g = x.astype(jnp.bfloat16), g.astype(jnp.bfloat16)

    def ours(x):
        return batch_norm(x, scale, bias, EPSILON, True, "bfloat16")

    (out, mean, var), back = jax.vjp(ours, x)
    assert out.dtype == jnp.bfloat16 and mean.dtype == var.dtype == jnp.float32
    want = plain(x.astype(np.float32), scale, bias, True)
    np.testing.assert_allclose(out.astype(np.float32), want[0], rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(mean, want[1], rtol=1e-5)
    (of_x,) = back((g, jnp.zeros(8), jnp.zeros(8)))
    assert of_x.dtype == jnp.bfloat16


def test_only_the_input_is_kept_for_the_gradient():
    x, scale, bias, _ = example((64, 8))

    def kept(x):
        return jax.vjp(
            lambda x: batch_norm(x, scale, bias, EPSILON, True, "float32"), x
        )[1]

    sizes = [leaf.size for leaf in jax.tree.leaves(jax.eval_shape(kept, x))]
    assert sizes.count(x.size) == 1 and sum(sizes) < 2 * x.size


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is done on CPU")
def test_gradient_is_taken_once_for_both_of_the_convolution_before_it():
    x, kernel = jnp.ones((2, 3, 8, 8, 16)), jnp.ones((1, 1, 1, 16, 32))
    weights = jnp.ones((2, 3, 8, 8, 32))

    def total(x, kernel, scale, bias):
        out = conv.conv_video(x, kernel, (1, 1, 1), ((0, 0),) * 3)
        return jnp.sum(
            weights * batch_norm(out, scale, bias, EPSILON, True, "float32")[0]
        )

    gradient = compiling.jit(jax.grad(total, (0, 1)))
    text = gradient.lower(x, kernel, *jnp.ones((2, 32))).compile().as_text()
    program = text[text.index("ENTRY") :]
    # The masked gradient, and that of the convolution's result.
    assert len(re.findall(r"= f32\[384,32\]\S* fusion", program)) == 2
    assert not re.findall(r"= f32\[(6,8,8|2,3,8,8),32\]\S* fusion", program)
