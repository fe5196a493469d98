"""Depthwise convolutions against XLA's own, forward and both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.ops import conv
from rac_jax.ops.cpu import depthwise

ONE, TWO = ((1, 1), (1, 1)), ((2, 2), (2, 2))
CASES = {
    "3x3": ((2, 7, 6, 5), (3, 3), (1, 1), ONE),
    "3x3, stride 2, even": ((2, 8, 6, 5), (3, 3), (2, 2), ONE),
    "3x3, stride 2, odd": ((1, 7, 9, 4), (3, 3), (2, 2), ONE),
    "5x5, stride 2": ((1, 9, 8, 3), (5, 5), (2, 2), TWO),
    "uneven": ((1, 9, 7, 3), (4, 3), (3, 2), ((2, 0), (0, 1))),
    "fewer taps than strides": ((1, 7, 8, 3), (1, 1), (2, 3), ((0, 0), (0, 0))),
}


def run(function, x, kernel, strides, padding):
    """What comes out, and both gradients of a weighted sum of it."""
    out, pull = jax.vjp(lambda x, k: function(x, k, strides, padding), x, kernel)
    weights = np.random.default_rng(1).normal(size=out.shape)
    return out, *pull(jnp.asarray(weights, out.dtype))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_as_xla_has_it(case):
    shape, size, strides, padding = case
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*size, 1, shape[-1])), jnp.float32)
    got = jax.jit(run, static_argnums=(0, 3, 4))(
        conv.conv_depthwise, x, kernel, strides, padding
    )
    want = run(depthwise.grouped, x, kernel, strides, padding)
    for have, wish in zip(got, want, strict=True):
        assert have.shape == wish.shape
        np.testing.assert_allclose(have, wish, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_summed_in_float32():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(1, 6, 6, 4)), jnp.bfloat16)
    kernel = jnp.asarray(rng.normal(size=(5, 5, 1, 4)), jnp.bfloat16)
    got = run(conv.conv_depthwise, x, kernel, (1, 1), TWO)
    wide = (one.astype(jnp.float32) for one in (x, kernel))
    want = depthwise.shifted(*wide, (1, 1), TWO)
    assert {one.dtype for one in got} == {jnp.dtype("bfloat16")}
    np.testing.assert_array_equal(got[0], want.astype(jnp.bfloat16))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is done on CPU")
def test_chosen_when_a_program_is_lowered():
    x, kernel = jnp.ones((1, 6, 6, 4)), jnp.ones((3, 3, 1, 4))

    def total(x, kernel):
        out = conv.conv_depthwise(x, kernel, (2, 2), ONE)
        return jnp.square(out).sum()

    traced = jax.jit(jax.grad(total, (0, 1))).trace(x, kernel)
    here = traced.lower().as_text()
    there = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "stablehlo.convolution" not in here
    # Forward and both gradients.
    assert there.count("stablehlo.convolution") == 3


@pytest.mark.parametrize(
    "shape, size, strides, message",
    [
        ((1, 4, 5, 3), (3, 3, 1, 2), (1, 1), r"must be \[B, H, W, C\], kernel"),
        ((1, 4, 5, 3), (3, 3, 3), (1, 1), r"must be \[B, H, W, C\], kernel"),
        ((1, 4, 5, 3), (3, 3, 1, 3), (1,), "strides"),
        ((1, 2, 4, 3), (3, 3, 1, 3), (1, 1), "smaller than the kernel"),
    ],
)
def test_misfits_raise(shape, size, strides, message):
    with pytest.raises(ValueError, match=message):
        conv.conv_depthwise(jnp.ones(shape), jnp.ones(size), strides, ((0, 0), (0, 0)))
