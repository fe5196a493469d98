"""Frames at a steady rate."""

import numpy as np
import pytest

from rac_jax.counting.steady import SteadyFrames


def ticks(times_s, fps=16.0, cuts=()):
    """(numbers of the frames that are given, their ticks) of frames that are numbered."""
    frames = np.arange(len(times_s)).reshape(-1, 1, 1, 1)
    state, given, times = SteadyFrames(fps), [], []
    for part in np.split(np.arange(len(times_s)), cuts):
        state, more, more_s = state.feed(frames[part], np.asarray(times_s)[part])
        given, times = given + more, times + more_s
    more, more_s = state.finish()
    return [int(one.item()) for one in given + more], times + more_s


@pytest.mark.parametrize("fps", [10.0, 16.0, 25.0, 29.97, 60.0])
def test_the_nearest_frame_of_every_tick(fps):
    times_s = 3.0 + np.arange(round(2 * fps)) / fps
    given, at_s = ticks(times_s)
    np.testing.assert_allclose(np.diff(at_s), 1 / 16)
    assert at_s[0] == 3.0 and abs(at_s[-1] - times_s[-1]) <= 0.5 / fps + 1 / 16
    distance = np.abs(times_s[given] - at_s)
    assert distance.max() <= 0.5 / fps + 1e-9
    for cuts in ((1,), (3, 3, 7), range(1, len(times_s))):
        assert ticks(times_s, cuts=cuts) == (given, at_s)


def test_a_long_break_is_not_filled():
    given, at_s = ticks([0.0, 0.1, 0.2, 9.0, 9.1])
    assert given[-3:] == [3, 4, 4] and at_s[-3:] == [9.0, 9.0625, 9.125]
    assert len(given) <= 8
    assert SteadyFrames(16.0).finish() == ([], [])
