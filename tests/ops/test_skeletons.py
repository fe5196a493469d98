"""Skeletons: OpenPose's joints of BlazePose's, and a camera that moves."""

import jax
import numpy as np
import pytest

from rac_jax.ops import skeletons


def test_openpose_by_name():
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(2, 33, 3)).astype(np.float32)
    poses[..., 2] = rng.uniform(0.5, 1, (2, 33))
    poses[1, skeletons.BLAZEPOSE_JOINTS.index("left shoulder")] = 0
    found = skeletons.to_openpose(poses)
    assert found.shape == (2, 18, 3) and found.dtype == np.float32

    def joint(name):
        return poses[0, skeletons.BLAZEPOSE_JOINTS.index(name)]

    for name in ("nose", "right elbow", "left ankle", "left ear"):
        place = skeletons.OPENPOSE_JOINTS.index(name)
        np.testing.assert_array_equal(found[0, place], joint(name))
    left, right = joint("left shoulder"), joint("right shoulder")
    np.testing.assert_allclose(found[0, 1, :2], (left + right)[:2] / 2, rtol=1e-6)
    assert found[0, 1, 2] == min(left[2], right[2])
    # A shoulder is not seen, so there is no neck.
    np.testing.assert_array_equal(found[1, 1], 0)


def test_the_camera_moves_along_a_line():
    poses = np.zeros((5, 1, 3, 3), np.float32)
    poses[:, :, :2, 2] = 1
    poses[:, :, 1, :2] = (0.3, 0.4)
    for seed in range(4):
        moved = np.asarray(skeletons.move_camera(jax.random.key(seed), poses))
        # What is not seen stays away, and how sure a joint is stays.
        np.testing.assert_array_equal(moved[:, :, 2], 0)
        np.testing.assert_array_equal(moved[..., 2], poses[..., 2])
        # The origin is shifted along a line, from one of the shifts to another.
        origin = moved[:, 0, 0, :2]
        for end in origin[0], origin[-1]:
            assert np.abs(end[:, None] - skeletons.SHIFTS).min(1).max() < 1e-6
        np.testing.assert_allclose(np.diff(origin, n=2, axis=0), 0, atol=1e-6)
        # Lengths are scaled by .9 to 1.1, and turned by at most 10 degrees.
        arm = moved[:, 0, 1, :2] - origin
        assert 0.449 <= np.hypot(*arm.T).min() and np.hypot(*arm.T).max() <= 0.551
        turned = np.arctan2(arm[:, 1], arm[:, 0]) - np.arctan2(0.4, 0.3)
        assert np.abs(turned).max() <= np.deg2rad(10) + 1e-5
    other = skeletons.move_camera(jax.random.key(9), poses)
    assert np.abs(other - moved).max() > 0
    with pytest.raises(ValueError, match="layout: 'x' is not one of"):
        skeletons.find_layout("x")
