"""Minimal filtering against sums written out, and its precision at the sizes that it serves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.ops.cpu import winograd


def direct(x, kernel):
    """The convolution, tap by tap in float64, with a zero around axes of three taps."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    kh, kw = kernel.shape[:2]
    padded = np.pad(x, ((0, 0), (kh // 2,) * 2, (kw // 2,) * 2, (0, 0)))
    _, height, width, _ = x.shape
    return sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j]
        for i in range(kh)
        for j in range(kw)
    )


@pytest.mark.parametrize("taps", [(3, 1), (1, 3), (3, 3)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (8, 7)])
def test_is_the_direct_sum(taps, size):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *size, 3)).astype(np.float32)
    kernel = rng.normal(size=(*taps, 3, 4)).astype(np.float32)
    got = winograd.convolve(jnp.asarray(x), jnp.asarray(kernel))
    np.testing.assert_allclose(got, direct(x, kernel), atol=2e-5)


@pytest.mark.parametrize("taps", [(3, 1), (1, 3), (3, 3)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (8, 7)])
def test_filter_gradient_is_the_direct_sums(taps, size):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *size, 3)).astype(np.float32)
    g = rng.normal(size=(2, *size, 4)).astype(np.float32)
    shape = (*taps, 3, 4)
    got = winograd.filter_gradient(jnp.asarray(x), jnp.asarray(g), shape)
    # The convolution is linear in its kernel: a weight's gradient is what g makes of it alone.
    want = np.zeros(shape)
    for place in np.ndindex(shape):
        kernel = np.zeros(shape)
        kernel[place] = 1
        want[place] = np.sum(direct(x, kernel) * g)
    np.testing.assert_allclose(got, want, atol=5e-5)


@pytest.mark.parametrize("tile", winograd.POINTS)
def test_matrices_filter_a_row_by_hand(tile):
    """y = A ((G g) * (B d)) with d = 1, 2, 3, ... and the taps 1, 10, 100."""
    outputs, taps, inputs = winograd.MATRICES[tile]
    d = np.arange(1, tile + 3)
    y = outputs @ ((taps @ [1, 10, 100]) * (inputs @ d))
    # 1 + 10 * 2 + 100 * 3, and 111 more for every step to the right.
    np.testing.assert_allclose(y, 321 + 111 * np.arange(tile), rtol=1e-12)


@pytest.mark.parametrize("taps", [(3, 1), (3, 3)])
def test_keeps_the_digits_of_deep_layers(taps):
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(1, 16, 28, 192)), 0).astype(np.float32)
    kernel = rng.normal(size=(*taps, 192, 96)).astype(np.float32)
    want = direct(x, kernel)
    got = jax.jit(winograd.convolve)(x, kernel)
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


def test_filter_gradient_keeps_the_digits_of_deep_layers():
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(1, 16, 784, 192)), 0).astype(np.float32)
    g = rng.normal(size=(1, 16, 784, 96)).astype(np.float32)
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (0, 0), (0, 0)))
    want = np.stack(
        [np.einsum("btnc,btno->co", padded[:, i : i + 16], g) for i in range(3)]
    )[:, None]
    got = jax.jit(winograd.filter_gradient, static_argnums=2)(x, g, (3, 1, 192, 96))
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


def test_suits_three_taps_with_a_zero_around():
    x, one, none = jnp.zeros((16, 28, 28, 96)), (1, 1), (0, 0)
    assert winograd.suits(x, jnp.zeros((3, 3, 96, 96)), (one, one))
    assert winograd.suits(x, jnp.zeros((3, 1, 96, 96)), (one, none))
    for taps, padding in [
        ((5, 3), (one, one)),
        ((3, 3), (none, one)),
        ((1, 1), (none, none)),
        ((3, 1), (one, one)),
    ]:
        assert not winograd.suits(x, jnp.zeros((*taps, 96, 96)), padding)
    assert not winograd.suits(
        x.astype(jnp.bfloat16), jnp.zeros((3, 3, 96, 96), jnp.bfloat16), (one, one)
    )
