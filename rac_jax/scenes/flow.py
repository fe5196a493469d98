"""How the pixels of a scene move: exact optical flow there and back, and what is hidden.

Worked out from where the bodies and the camera are, pixel by pixel; no picture is looked at. A
pixel belongs to the uppermost body whose edge lies around it, else to the background. A body's
paint is fixed to its middle and turns with it, so its flow is rigid: where a body grows or the
camera comes closer, paint appears at its edge, and where it shrinks, paint vanishes there and has
no match. The background is scaled and moved with the camera, and never rolls.

Not followed are what is fixed to the picture, not to things: a gradient over the background,
noise, and the blocks of a coarse picture. A cut to another view is a jump of the camera, and so is
its flow. Soft edges mix two motions; there the flow is that of the body from half its cover on.
"""

import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.scenes.config import SceneConfig
from rac_jax.scenes.motion import SLOTS
from rac_jax.scenes.picture import (
    BLOCK_PIXELS,
    Pose,
    make_pose,
    pixel_axis,
    place_on,
)
from rac_jax.scenes.scene import stage_scene

# Of the shorter side: how far rounding may move a pixel over an edge.
ROUNDING = 1e-4


@flax.struct.dataclass
class SceneFlow:
    """How the pixels of a scene move, between T frames.

    Attributes:
      forward: [T - 1, H, W, 2] from each frame to the next, in pixels, right and down.
      backward: [T - 1, H, W, 2] from each frame but the first to the one before.
      forward_hidden: [T - 1, H, W] bool: the next frame does not show it.
      backward_hidden: [T - 1, H, W] bool: the frame before did not show it.
    """

    forward: jax.Array
    backward: jax.Array
    forward_hidden: jax.Array
    backward_hidden: jax.Array


def scene_flow(key: jax.Array, config: SceneConfig) -> SceneFlow:
    """The flow of the scene that `render_scene` draws of the same key.

    Pure, as `render_scene` is; beside it in one program what both need is worked out once.

    Args:
      key: PRNG key.
      config: the distribution of scenes; at least two frames.

    Returns:
      The flow.

    Raises:
      ValueError: for a scene of one frame.
    """
    if config.frames < 2:
        raise ValueError(f"SceneConfig.frames: {config.frames} has no flow, 2 have")
    staging = stage_scene(key, config)
    return pose_flow(make_pose(staging.tracks, staging.look, config.frames), config)


def pose_flow(pose: Pose, config: SceneConfig) -> SceneFlow:
    """The flow of bodies and a camera whose motion is known.

    Args:
      pose: of T frames.
      config: size of the pictures.

    Returns:
      The flow.
    """
    # Of everything along time: from each frame, to the next; then the other way round.
    before, after = (
        jax.tree.map(lambda x, part=part: x[..., part], pose)
        for part in (slice(None, -1), slice(1, None))
    )

    def chained(one: Pose, two: Pose) -> Pose:
        return jax.tree.map(lambda x, y: jnp.concatenate([x, y], axis=-1), one, two)

    flow, hidden = _follow(chained(before, after), chained(after, before), config)
    pairs = len(flow) // 2
    return SceneFlow(flow[:pairs], flow[pairs:], hidden[:pairs], hidden[pairs:])


def _follow(
    origin: Pose, end: Pose, config: SceneConfig
) -> tuple[jax.Array, jax.Array]:
    """Flow [P, H, W, 2] and what is hidden [P, H, W] of P pairs of frames, a few at a time."""
    pairs = origin.light.shape[0]
    block = max(1, BLOCK_PIXELS // (config.height * config.width))
    poses = jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), (origin, end))

    def one(poses):
        poses = jax.tree.map(lambda x: x[..., None], poses)
        flow, hidden = _follow_pairs(*poses, config)
        return flow[0], hidden[0]

    return jax.lax.map(one, poses, batch_size=min(block, pairs))


def _follow_pairs(
    origin: Pose, end: Pose, config: SceneConfig
) -> tuple[jax.Array, jax.Array]:
    """The same of all pairs at once."""
    height, width = config.height, config.width
    pairs, short = origin.light.shape[0], min(height, width)
    rows = pixel_axis(height, width, jnp.float32(1))[None, None, :, None]
    columns = pixel_axis(width, height, jnp.float32(1))[None, None, None, :]
    u, v, distance = place_on(origin, columns, rows)  # [N, P, H, W]

    # The background: as the camera sees it, taken back from the one view and into the other.
    def camera(pose, line):
        return pose.camera[line][:, None, None]  # [P, 1, 1]

    grow = jnp.exp(camera(end, 2) - camera(origin, 2))
    zoom = jnp.exp(camera(end, 2))
    shape = (pairs, height, width)
    x = jnp.broadcast_to(columns[0], shape)
    y = jnp.broadcast_to(rows[0], shape)
    at_x = grow * x + zoom * (camera(end, 0) - camera(origin, 0))
    at_y = grow * y + zoom * (camera(end, 1) - camera(origin, 1))
    # Body over body in drawing order: whose pixel it is, and where its paint goes.
    owner = jnp.full(shape, -1, jnp.int32)
    for n in range(SLOTS):
        inside = distance[n] < 0
        seen = (end.a[n] > 0)[:, None, None]
        c, s = (turn(end.angle[n])[:, None, None] for turn in (jnp.cos, jnp.sin))
        # A body that is not there in the other frame stays where it is, hidden.
        to_x = jnp.where(seen, end.x[n][:, None, None] + c * u[n] - s * v[n], x)
        to_y = jnp.where(seen, end.y[n][:, None, None] + s * u[n] + c * v[n], y)
        owner = jnp.where(inside, n, owner)
        at_x, at_y = jnp.where(inside, to_x, at_x), jnp.where(inside, to_y, at_y)

    # Whose pixel it is there: another's, or outside of the picture, hides it.
    _, _, distance = place_on(end, at_x[None], at_y[None])
    there = jnp.full(shape, -1, jnp.int32)
    for n in range(SLOTS):
        margin = jnp.where(owner == n, ROUNDING, -ROUNDING)
        there = jnp.where(distance[n] < margin, n, there)
    flow = short * jnp.stack([at_x - x, at_y - y], axis=-1)  # [P, H, W, 2]
    beyond = (jnp.abs(at_x) > width / 2 / short) | (jnp.abs(at_y) > height / 2 / short)
    return flow, beyond | (there != owner)
