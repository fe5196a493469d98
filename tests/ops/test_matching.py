"""Flow by matching: laws that hold without a network; parity with PyTorch is the network's."""

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.ops import matching
from rac_jax.ops.warp import warp

RNG = np.random.default_rng(0)
# Every pixel has features like no other, so that a match is certain.
FEATURES = 40 * RNG.normal(size=(1, 7, 9, 16)).astype(np.float32)


def moved(features, right, down):
    """Features moved, and the flow of those that stay in the picture, as [rows, columns]."""
    return np.roll(features, (down, right), (1, 2))


def test_a_global_match_finds_any_shift_and_the_way_back():
    there, back = matching.match_globally(FEATURES, moved(FEATURES, 3, 2), True)
    np.testing.assert_allclose(
        there[0, :-2, :-3], np.full((5, 6, 2), [3, 2]), atol=1e-3
    )
    np.testing.assert_allclose(back[0, 2:, 3:], np.full((5, 6, 2), [-3, -2]), atol=1e-3)


def test_a_local_match_finds_what_is_near():
    found = matching.match_locally(FEATURES, moved(FEATURES, -2, 1), 2)
    np.testing.assert_allclose(
        found[0, :-1, 2:], np.full((6, 7, 2), [-2, 1]), atol=1e-3
    )


def test_correlations_between_pixels_are_those_of_interpolated_features():
    first, second = RNG.normal(size=(2, 1, 5, 6, 8)).astype(np.float32)
    flow = RNG.uniform(-3, 3, (1, 5, 6, 2)).astype(np.float32)
    found = matching.correlate_locally(first, second, jnp.asarray(flow), 1)
    assert found.shape == (1, 5, 6, 9)
    for place, (down, right) in enumerate(np.ndindex(3, 3)):
        offset = np.float32([right - 1, down - 1]).reshape(1, 1, 1, 2)
        seen = warp(second, jnp.asarray(flow + offset))
        wanted = np.sum(first * seen, -1) / np.sqrt(8)
        np.testing.assert_allclose(found[..., place], wanted, atol=1e-4)


def test_enlarging_keeps_a_uniform_flow():
    flow = np.broadcast_to(np.float32([1.5, -0.5]), (1, 4, 5, 2))
    large = matching.enlarge(jnp.asarray(flow), 4)
    np.testing.assert_allclose(
        large, np.broadcast_to([6, -2], (1, 16, 20, 2)), atol=1e-5
    )
    # With the middle one of the nine alone, every pixel is its origin's.
    scores = np.full((1, 4, 5, 9, 16), -50, np.float32)
    scores[..., 4, :] = 50
    flow = RNG.normal(size=(1, 4, 5, 2)).astype(np.float32)
    large = matching.enlarge_convexly(flow, scores.reshape(1, 4, 5, -1), 4)
    wanted = 4 * flow.repeat(4, 1).repeat(4, 2)
    np.testing.assert_allclose(large, wanted, atol=1e-5)


def test_gradients_of_a_local_match_are_finite():
    def loss(first, second):
        return jnp.sum(matching.match_locally(first, second, 2) ** 2)

    small = RNG.normal(size=(2, 1, 4, 5, 4)).astype(np.float32)
    slopes = jax.grad(loss, argnums=(0, 1))(*small)
    assert all(np.isfinite(slope).all() and np.abs(slope).max() > 0 for slope in slopes)
