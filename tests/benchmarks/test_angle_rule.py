"""The usual rule on a joint's angle: what it counts, and which angle it reads."""

import numpy as np
import pytest

from benchmarks import angle_rule
from rac_jax.data.skeletons import BLAZEPOSE, LANDMARKS, Skeletons


def test_one_is_counted_when_it_bends_after_it_was_straight():
    degrees = np.array([100, 80, 170, 120, 85, 120, 80, 165, np.nan, 20, 170])
    # Bent at the start, and bent again before it was straight, is none.
    assert angle_rule.by_rule(degrees, 160, 90) == 2
    assert angle_rule.by_rule(degrees, 160, 30) == 1


def test_the_angle_is_that_of_the_surer_side_in_the_pictures_own_shape():
    poses = np.zeros((2, 1, 33, 3), np.float32)

    def put(side, sure, *places):
        for name, (x, y) in zip(angle_rule.LEG, places, strict=True):
            poses[0, 0, LANDMARKS.index(f"{side}_{name}")] = x, y, sure

    put("left", 0.9, (0.0, -0.2), (0.0, 0.0), (0.1, 0.2))
    put("right", 0.5, (0.0, -0.2), (0.0, 0.0), (0.0, 0.2))
    record = Skeletons("a", BLAZEPOSE, np.arange(2.0), poses)
    # Twice as wide as high: the shank goes as far to the side as down.
    found = angle_rule.angles(record, angle_rule.LEG, 2.0)
    assert found[0] == pytest.approx(135, abs=1e-3)
    assert np.isnan(found[1])  # nobody is there


def test_repetitions_are_equal_parts_of_the_span():
    clip = angle_rule.Clip("a.mp4", "squat", 1.0, 5.0, 2.0, None)
    assert angle_rule.equal_parts(clip).cycles == ((1.0, 2.0, 3.0), (3.0, 4.0, 5.0))
