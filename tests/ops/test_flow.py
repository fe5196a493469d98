"""TV-L1 against known shifts."""

import numpy as np
import pytest
import scipy.ndimage

from rac_jax.ops import flow

SIDE, MARGIN = 48, 40


@pytest.fixture(scope="module")
def pictures():
    """A function from shifts [n, 2] to pictures before and after, [n, SIDE, SIDE] each."""
    rng = np.random.default_rng(0)
    scene = scipy.ndimage.zoom(rng.uniform(0, 255, (22, 22)), 6, order=3)
    rows, columns = np.mgrid[:SIDE, :SIDE] + MARGIN

    def shifted(x, y):
        places = [rows - y, columns - x]
        return scipy.ndimage.map_coordinates(scene, places, order=1)

    def make(shifts):
        first = np.stack([shifted(0, 0) for _ in shifts])
        return first, np.stack([shifted(*shift) for shift in shifts])

    return make


def test_known_shifts(pictures):
    shifts = np.asarray([(0, 0), (1, 0), (0, -2.5), (4, 3), (-3, 1.5)])
    first, second = pictures(shifts)
    found = np.asarray(flow.tv_l1(first, second))
    assert found.shape == (5, SIDE, SIDE, 2)
    far = np.linalg.norm(found - shifts[:, None, None], axis=-1)[:, 8:-8, 8:-8]
    assert far.mean(axis=(1, 2)).max() < 0.15
    assert far[0].max() < 1e-3
    # The other way round it leads back, and no picture of a batch knows of another.
    back = np.asarray(flow.tv_l1(second[::-1], first[::-1]))[::-1]
    assert np.abs((found + back)[:, 10:-10, 10:-10]).mean() < 0.2
    assert abs(float(back[3, 24, 24, 0]) + 4) < 0.3


def test_a_thing_that_moves_over_a_still_ground(pictures):
    ground, texture = pictures([(9, 9)])
    first, second = ground.copy(), ground.copy()
    first[0, 16:30, 10:24] = texture[0, :14, :14]
    second[0, 16:30, 12:26] = texture[0, :14, :14]
    found = np.asarray(flow.tv_l1(first, second))[0]
    assert found[20:26, 14:20, 0].mean() == pytest.approx(2, abs=0.4)
    assert np.abs(found[:8]).max() < 0.3
    assert np.abs(found[:, -10:]).max() < 0.3


def test_two_sizes_are_refused():
    with pytest.raises(ValueError, match=r"are \[1, 8, 8\] and \[1, 8, 9\]"):
        flow.tv_l1(np.zeros((1, 8, 8)), np.zeros((1, 8, 9)))
