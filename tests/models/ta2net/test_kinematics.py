"""Flow and its inflection: which frames, which signs, which colours."""

import numpy as np
import pytest
import scipy.ndimage

from rac_jax.models.ta2net.kinematics import (
    check_flow,
    colours,
    flows,
    kinematics,
    strengths,
)


def test_inflection_is_where_a_thing_turns_round():
    """A ground that goes right for four frames, then left: only there does the flow change."""
    rng = np.random.default_rng(0)
    scene = scipy.ndimage.zoom(rng.uniform(-0.8, 0.8, (16, 16)), 6, order=3)
    places = [0, 2, 4, 6, 4, 2, 0]
    clip = np.stack([scene[24:56, 30 - x : 62 - x] for x in places])
    clips = np.repeat(clip[None, ..., None], 3, axis=-1).astype(np.float32)
    forward, backward = flows(clips, "tv_l1_quick")
    assert forward.shape == backward.shape == (1, 7, 32, 32, 2)
    inner = (0, slice(None), slice(8, 24), slice(8, 24), 0)
    wanted = [2, 2, 2, -2, -2, -2, -2]
    np.testing.assert_allclose(np.mean(forward[inner], (1, 2)), wanted, atol=0.3)
    wanted = [-2, -2, -2, -2, 2, 2, 2]
    np.testing.assert_allclose(np.mean(backward[inner], (1, 2)), wanted, atol=0.3)
    found = kinematics(forward, backward)
    # v+ changes between frames 2 and 3, v- between 3 and 4.
    wanted = [0, 0, -4, 0, 0, 0, 0]
    np.testing.assert_allclose(
        np.mean(found.forward_inflection[inner], (1, 2)), wanted, atol=0.5
    )
    wanted = [0, 0, 0, 0, -4, 0, 0]
    np.testing.assert_allclose(
        np.mean(found.backward_inflection[inner], (1, 2)), wanted, atol=0.5
    )
    with pytest.raises(ValueError, match="flow: 'none' is not one of tv_l1, "):
        check_flow("none")


@pytest.mark.slow
def test_pictures_lose_the_speed():
    flow = np.random.default_rng(1).normal(size=(2, 5, 6, 2)).astype(np.float32)
    picture = np.asarray(colours(flow))
    assert picture.shape == (2, 5, 6, 3)
    assert picture.min() >= 0 and picture.max() <= 1
    np.testing.assert_allclose(colours(3 * flow), picture, atol=1e-5)
    np.testing.assert_allclose(colours(np.zeros((1, 4, 4, 2))), 1.0)
    right = np.zeros((1, 1, 1, 2), np.float32)
    right[..., 0] = 1
    # What moves to the right is red.
    np.testing.assert_allclose(np.asarray(colours(right))[0, 0, 0], [1, 0, 0], atol=0.1)
    known = kinematics(flow[None], flow[None], pictures=True)
    assert known.forward_inflection.shape == (1, 2, 5, 6, 3)


def test_strengths_are_of_what_moves_and_turns():
    there, back = np.random.default_rng(2).normal(size=(2, 1, 3, 4, 5, 2))
    # A thing that goes on does not turn; one that comes back does not get on.
    there[0, 1], back[0, 1], back[0, 2] = 2.0, -2.0, there[0, 2]
    found = np.asarray(strengths(there, back, ("motion", "inflection")))
    assert found.shape == (1, 3, 10)
    speed = np.log1p(np.linalg.norm(there - back, axis=-1) / 2)
    wanted = [np.mean(speed**p, axis=(2, 3)) ** (1 / p) for p in (1, 2, 4, 8, 16)]
    np.testing.assert_allclose(found[0, :2, :5], np.stack(wanted, -1)[0, :2], rtol=1e-4)
    np.testing.assert_allclose(found[0, 1, :5], np.log1p(8**0.5), rtol=1e-4)
    assert found[0, 1, 5:].max() < 0.2 and found[0, 2, :5].max() < 0.2
    alone = strengths(there, back, ("inflection",))
    np.testing.assert_allclose(alone, found[..., 5:], rtol=1e-6)
    assert strengths(there, back, ()) is None
