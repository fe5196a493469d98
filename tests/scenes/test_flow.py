"""The exact flow of scenes takes one frame to the next, and hits are where things touch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.ops.warp import warp
from rac_jax.scenes import KINDS, SceneConfig, picture, scene_contacts, scene_flow
from rac_jax.scenes.flow import pose_flow
from rac_jax.scenes.motion import HITTING, OTHERS
from rac_jax.scenes.scene import stage_scene

pytestmark = pytest.mark.usefixtures("quick_compiling")

# Everything moves: the camera, a thing behind, and the activity; noise and light do not.
MOVING = SceneConfig(
    frames=5,
    height=56,
    width=64,
    max_cycles=8,
    period=(6, 12),
    still=0.0,
    distractor=1.0,
    shot_change=0.0,
    clean=True,
)
HITS = SceneConfig(
    frames=40, height=32, width=48, max_cycles=12, period=(6, 12), still=0.0
)


def one(key):
    """A scene's frames, the cover of its bodies, and its flow; its last frame is held twice."""
    staging = stage_scene(key, MOVING)
    pose = picture.make_pose(staging.tracks, staging.look, MOVING.frames)
    covers, _, _ = picture._cover(pose, staging.look, MOVING)
    frames = picture.draw_frames(staging.tracks, staging.look, MOVING)
    held = jax.tree.map(
        lambda x: jnp.concatenate([x, x[..., -1:], x[..., -1:]], axis=-1), pose
    )
    return frames, covers, pose_flow(held, MOVING)


@pytest.fixture(scope="module")
def scenes(quick_compiling):
    keys = jax.random.split(jax.random.key(0), 12)
    frames, covers, flow = jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(keys))
    last = MOVING.frames - 1
    moving, held = (
        jax.tree.map(lambda x, part=part: x[:, part], flow)
        for part in (slice(None, last), slice(last, None))
    )
    return frames, covers, moving, held


def warped(images, flow):
    """Images [B, T, H, W, C] by flows [B, T, H, W, 2]."""
    flat = (
        jnp.asarray(x.reshape(-1, *x.shape[2:]), jnp.float32) for x in (images, flow)
    )
    return np.asarray(warp(*flat)).reshape(images.shape)


def both_ways(frames, covers, flow):
    """(frame, next one, edges of both, flow, hidden) forward, then backward."""
    edges = ((covers > 0.02) & (covers < 0.98)).any(1)[..., None]  # [B, T, H, W, 1]
    first, second = (frames[:, :-1], edges[:, :-1]), (frames[:, 1:], edges[:, 1:])
    yield *first, *second, flow.forward, flow.forward_hidden
    yield *second, *first, flow.backward, flow.backward_hidden


def test_flow_takes_each_frame_to_the_other(scenes):
    frames, covers, flow, _ = scenes
    for here, edge, there, far_edge, moves, hidden in both_ways(frames, covers, flow):
        sharp = ~edge[..., 0] & (warped(far_edge, moves)[..., 0] < 1e-6)
        error = np.abs(warped(there, moves) - here).mean(-1)
        still = np.abs(there.astype(float) - here).mean(-1)
        moving = sharp & ~hidden & (np.linalg.norm(moves, axis=-1) > 0.5)
        assert moving.mean() > 0.2
        # Half a level of rounding, noise of one, and what lies between pixels.
        assert error[moving].mean() < 2.5 and np.quantile(error[moving], 0.95) < 10
        assert still[moving].mean() > 3 * error[moving].mean()
        # What is hidden is not found.
        assert 0.005 < hidden.mean() < 0.2 and error[hidden].mean() > 30


def test_the_way_back_is_the_way_there(scenes):
    _, _, flow, _ = scenes
    back = warped(flow.backward, flow.forward)
    hidden = flow.forward_hidden
    # Where the partner and its neighbours belong to one thing.
    smooth = warped(flow.backward**2, flow.forward) - back**2 < 1e-2
    kept = ~hidden & smooth.all(-1)
    apart = np.linalg.norm(flow.forward + back, axis=-1)[kept]
    assert kept.mean() > 0.8 and np.quantile(apart, 0.99) < 0.1


def test_what_stays_has_no_flow_and_hides_nothing(scenes):
    _, _, _, held = scenes
    for flow in (held.forward, held.backward):
        assert np.abs(flow).max() < 1e-3
    # But for what lies outside of the picture by rounding.
    assert not held.forward_hidden.any() and not held.backward_hidden.any()


def test_one_frame_has_no_flow():
    config = dataclasses.replace(MOVING, frames=1)
    with pytest.raises(ValueError, match="frames: 1 has no flow"):
        scene_flow(jax.random.key(0), config)


@pytest.fixture(scope="module")
def hits(quick_compiling):
    """Contacts, those with nothing to hit, kinds, how far tools are from their base [B, T]."""
    config = dataclasses.replace(HITS, camera=0.0, clean=True)

    def of(key):
        staging = stage_scene(key, config)
        pose = picture.make_pose(staging.tracks, staging.look, config.frames)
        base, tool = OTHERS, OTHERS + jnp.asarray(list(HITTING.values()))
        apart = pose.y[base] - pose.y[tool]  # [2, T]
        stroke = staging.kind == KINDS.index("stroke")
        apart = jnp.where(stroke, apart[0], apart[1])
        top = pose.y[base] - pose.b[base]
        air = scene_contacts(key, dataclasses.replace(config, air=1.0))
        return scene_contacts(key, config), air, staging.kind, apart, top

    keys = jax.random.split(jax.random.key(1), 48)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(of))(keys))


def test_hits_are_where_a_tool_meets_its_base(hits):
    contacts, _, kinds, apart, top = hits
    hitting = np.isin(kinds, [KINDS.index(name) for name in HITTING])
    assert 5 < hitting.sum() < 40
    assert (
        not contacts.mask[~hitting].any() and contacts.mask[hitting].any(1).mean() > 0.9
    )
    for scene in np.flatnonzero(hitting):
        found = contacts.mask[scene]
        for time, point in zip(
            contacts.times[scene][found], contacts.points[scene][found], strict=True
        ):
            frame = time * HITS.fps
            near = apart[scene][max(0, int(frame) - 1) : int(frame) + 3]
            span = np.ptp(apart[scene])
            # Nearer than half of its way: strokes differ in size, and turn between frames.
            assert near.min() < apart[scene].min() + 0.6 * span
            # Clean scenes are upright: the upper edge is a row of the picture.
            row = top[scene][round(frame)] * HITS.height + (HITS.height - 1) / 2
            assert abs(point[1] - row) < 0.5
            assert 0 <= point[0] <= HITS.width - 1


def test_strokes_into_the_air_hit_nothing(hits):
    contacts, air, _, _, _ = hits
    assert contacts.mask.any() and not air.mask.any()
    assert np.isfinite(air.points).all()
    np.testing.assert_array_equal(air.times, contacts.times)
