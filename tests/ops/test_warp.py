"""Sampling and warping of images, and which pixels have no partner."""

import jax.numpy as jnp
import numpy as np

from rac_jax.ops.warp import pixel_grid, sample, unmatched, warp


def by_hand(image, x, y):
    """One bilinear sample with zeros outside."""
    height, width, channels = image.shape
    total = np.zeros(channels)
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < height and 0 <= column < width:
                share = (1 - abs(x - column)) * (1 - abs(y - row))
                total += share * image[row, column]
    return total


def test_samples_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 5, 6, 2)).astype(np.float32)
    places = rng.uniform(-2, 7, (1, 4, 9, 2)).astype(np.float32)
    found = sample(image, jnp.asarray(places))
    wanted = [[by_hand(image[0], *point) for point in row] for row in places[0]]
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)


def test_a_shift_is_undone():
    image = np.random.default_rng(1).normal(size=(1, 6, 8, 3)).astype(np.float32)
    flow = np.broadcast_to(np.float32([2, -1]), (1, 6, 8, 2))
    np.testing.assert_allclose(
        warp(image, jnp.asarray(flow))[0, 1:, :-2], image[0, :-1, 2:], atol=1e-6
    )


def test_what_the_other_flow_denies_is_unmatched():
    """A block of 4 x 4 pixels moves 3 to the right before a still background."""
    forward, backward = np.zeros((2, 1, 12, 16, 2), np.float32)
    forward[0, 4:8, 4:8, 0] = 3
    backward[0, 4:8, 7:11, 0] = -3
    hidden = np.asarray(unmatched(forward, backward))[0]
    wanted = np.zeros((12, 16), bool)
    wanted[4:8, 8:11] = True  # the background that the block moves before
    np.testing.assert_array_equal(hidden, wanted)


def test_the_grid_has_x_before_y():
    np.testing.assert_array_equal(pixel_grid(3, 4)[2, 1], [1, 2])
