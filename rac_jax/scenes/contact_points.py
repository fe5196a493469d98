"""Where one thing of a scene hits another, and when: strokes upon their base, balls upon a floor.

All other motions touch nothing, and so do those whose base is not there (`SceneConfig.air`). The
sounds of `render_scene` are another matter: they may come at any phase of a cycle.
"""

import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.scenes.config import KINDS, SceneConfig
from rac_jax.scenes.contacts import contact_times, strikes
from rac_jax.scenes.motion import HITTING, OTHERS
from rac_jax.scenes.picture import make_pose
from rac_jax.scenes.scene import stage_scene


@flax.struct.dataclass
class SceneContacts:
    """The hits of a scene, at most one for each of K cycles.

    Attributes:
      times: [K] seconds from the scene's start.
      points: [K, 2] where, in pixels, x before y; 0 is the middle of the first one.
      mask: [K] bool, which of them there are: inside the scene and the picture. Others hold
        anything finite.
    """

    times: jax.Array
    points: jax.Array
    mask: jax.Array


def scene_contacts(key: jax.Array, config: SceneConfig) -> SceneContacts:
    """The hits in the scene that `render_scene` draws of the same key.

    A stroke hits where it turns round, even if a weak one stops a little short of its base; a
    ball hits the floor at the end of every cycle.

    Args:
      key: PRNG key.
      config: the distribution of scenes.

    Returns:
      The contacts.
    """
    staging = stage_scene(key, config)
    when = staging.timeline
    pose = make_pose(staging.tracks, staging.look, config.frames)
    frame = jnp.arange(config.frames, dtype=jnp.float32)
    bounces = staging.kind == KINDS.index("bounce")
    times = contact_times(when, staging.kind)  # [K] frames

    # Whose upper edge is hit, and what hits it: between two frames, as the camera sees them.
    hits = jnp.where(bounces, HITTING["bounce"], HITTING["stroke"])

    def at(track: jax.Array, actor: int | jax.Array) -> jax.Array:
        return jnp.interp(times, frame, track[OTHERS + actor])  # [K]

    x, y, angle = at(pose.x, 0), at(pose.y, 0), at(pose.angle, 0)
    c, s = jnp.cos(angle), jnp.sin(angle)
    along = c * (at(pose.x, hits) - x) + s * (at(pose.y, hits) - y)
    half = at(pose.a, 0)
    along = jnp.clip(along, -jnp.abs(half), jnp.abs(half))
    across = -at(pose.b, 0)
    x, y = x + c * along - s * across, y + s * along + c * across

    short = min(config.height, config.width)
    size = jnp.asarray([config.width, config.height])
    points = short * jnp.stack([x, y], axis=-1) + (size[None] - 1) / 2  # [K, 2]
    mask = when.valid & strikes(staging.kind) & (half > 0)
    mask &= (times >= 0) & (times <= config.frames - 1)
    mask &= jnp.all((points > -0.5) & (points < size[None] - 0.5), axis=-1)
    return SceneContacts(times / config.fps, points, mask)
