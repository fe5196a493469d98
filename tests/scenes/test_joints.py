"""The joints of a scene's person lie on the bodies that are drawn."""

import functools

import jax
import numpy as np
import pytest

from rac_jax.ops.skeletons import BLAZEPOSE_JOINTS
from rac_jax.scenes import SceneConfig, render_scene

pytestmark = pytest.mark.usefixtures("quick_compiling")


@functools.cache
def joints_and_masks(kinds):
    """(joints, mask) of six scenes."""
    config = SceneConfig(
        frames=10, height=48, width=64, kinds=kinds, period=(4.0, 6.0), still=0.0
    )

    @jax.jit
    def render(key):
        scene = render_scene(key, config)
        return scene.joints, scene.mask

    return [jax.device_get(render(jax.random.key(seed))) for seed in range(6)]


def test_joints_lie_on_the_person():
    on = []
    for joints, mask in joints_and_masks(("figure",)):
        assert joints.shape == (10, 33, 3)
        seen = joints[..., 2] > 0
        assert not joints[~seen].any() and np.abs(joints[..., :2]).max() <= 0.5
        places = ((joints[..., :2] + 0.5) * (64, 48)).astype(int)
        frames = np.indices(seen.shape)[0]
        hit = mask[frames, places[..., 1].clip(0, 47), places[..., 0].clip(0, 63)]
        on.append(hit[seen])
    on = np.concatenate(on)
    # All but a few, which noise puts beside a thin arm, are on the bodies.
    assert len(on) > 500 and on.mean() > 0.8


def test_the_arms_go_up_and_down_with_the_stage():
    """A left wrist moves along with its own elbow, never with the other side's."""
    names = [
        f"{side} {joint}" for side in ("left", "right") for joint in ("elbow", "wrist")
    ]
    places = [BLAZEPOSE_JOINTS.index(name) for name in names]
    for joints, _ in joints_and_masks(("figure",)):
        left_elbow, left_wrist, right_elbow, right_wrist = np.moveaxis(
            joints[:, places], 1, 0
        )
        both = (joints[:, places, 2] > 0).all(1)
        for wrist, own, other in (
            (left_wrist, left_elbow, right_elbow),
            (right_wrist, right_elbow, left_elbow),
        ):
            near = np.linalg.norm(wrist[both, :2] - own[both, :2], axis=1)
            far = np.linalg.norm(wrist[both, :2] - other[both, :2], axis=1)
            assert (near < far).all()


def test_scenes_without_a_person_have_no_joints():
    for joints, _ in joints_and_masks(("stroke",))[:1]:
        assert not joints.any()
