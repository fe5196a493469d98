"""Pooling against XLA's windowed reduction and, with its gradient, against PyTorch."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rac_jax.ops import compiling, conv, pooling

CASES = {
    "1x3x3 s2": ((2, 3, 9, 8, 4), (1, 3, 3), (1, 2, 2), (0, 1, 1)),
    "3x3x3 s1": ((2, 5, 6, 7, 3), (3, 3, 3), (1, 1, 1), (1, 1, 1)),
    "3x3x3 s2": ((1, 7, 6, 9, 3), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
    "2x2x2 s2": ((2, 5, 6, 7, 3), (2, 2, 2), (2, 2, 2), (0, 0, 0)),
    "image": ((2, 9, 13, 3), (3, 3), (2, 2), (1, 1)),
    "1x2 s1x3": ((2, 4, 12, 3), (1, 2), (1, 3), (0, 1)),
    "16x17 s1": ((1, 18, 20, 2), (16, 17), (1, 1), (2, 0)),
}


def values(shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape) - 3, jnp.float32)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_max_and_gradient(case):
    shape, window, strides, pads = case
    x, padding = values(shape), tuple((pad, pad) for pad in pads)

    def by_xla(x):
        return lax.reduce_window(
            x,
            -jnp.inf,
            lax.max,
            (1, *window, 1),
            (1, *strides, 1),
            ((0, 0), *padding, (0, 0)),
        )

    def ours(x):
        return pooling.max_pool(x, window, strides, padding)

    want, pull_want = jax.vjp(by_xla, x)
    got, pull = jax.vjp(ours, x)
    np.testing.assert_array_equal(got, want)
    g = values(got.shape)
    np.testing.assert_allclose(pull(g)[0], pull_want(g)[0], rtol=1e-5)


def test_gradient_after_relu_is_pytorchs():
    """The zeros that a ReLU leaves tie, and it passes no gradient to any of them."""
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    x = values((2, 6, 7, 3)) + 3

    def ours(x):
        return pooling.max_pool(jax.nn.relu(x), (3, 3), (2, 2), ((1, 1), (1, 1)))

    out, pull = jax.vjp(ours, x)
    g = values(out.shape)
    y = torch.from_numpy(np.array(x)).permute(0, 3, 1, 2).requires_grad_()
    pooled = torch.nn.functional.max_pool2d(torch.relu(y), 3, 2, 1)
    pooled.backward(torch.from_numpy(np.array(g)).permute(0, 3, 1, 2))
    np.testing.assert_array_equal(out, pooled.detach().permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(
        pull(g)[0], y.grad.permute(0, 2, 3, 1).numpy(), rtol=1e-5
    )


def test_tied_maxima_share_the_gradient():
    gradient = jax.grad(
        lambda x: pooling.max_pool(x, (1, 2), (1, 1), ((0, 0), (0, 0))).sum()
    )(jnp.ones((1, 1, 2, 1)))
    np.testing.assert_allclose(gradient.sum(), 1.0)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is done on CPU")
def test_is_taken_once_for_a_convolution_and_its_filter_gradient():
    x, kernel = jnp.ones((2, 3, 8, 8, 16)), jnp.ones((1, 1, 1, 16, 16))

    def total(x, kernel):
        y = pooling.max_pool(x, (3, 3, 3), (1, 1, 1), ((1, 1),) * 3)
        out = conv.conv_video(y, kernel, (1, 1, 1), ((0, 0),) * 3)
        return jnp.square(out).sum()

    text = compiling.jit(jax.grad(total, (0, 1))).lower(x, kernel).compile().as_text()
    program = text[text.index("ENTRY") :]
    # That over time goes into the padding of the other.
    assert len(re.findall(r" fusion\(.*max_pool\)/max", program)) == 1


def test_global_mean_is_float32():
    x = values((2, 3, 4, 5, 6))
    np.testing.assert_allclose(
        pooling.global_mean(x), x.mean(axis=(1, 2, 3)), rtol=1e-5
    )
    assert pooling.global_mean(x.astype(jnp.bfloat16)).dtype == jnp.float32


@pytest.mark.parametrize(
    "window,strides,padding,message",
    [
        ((3, 3), (1, 1, 1), ((0, 0),) * 3, "must each have 3 entries"),
        ((2, 2, 2), (1, 1, 1), ((2, 0), (0, 0), (0, 0)), "less than the window"),
        ((1, 9, 1), (1, 1, 1), ((0, 0),) * 3, "too short for a window of 9"),
    ],
)
def test_misfits_raise(window, strides, padding, message):
    with pytest.raises(ValueError, match=message):
        pooling.max_pool(jnp.ones((1, 3, 4, 5, 2)), window, strides, padding)
