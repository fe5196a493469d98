"""When things strike each other in a scene: what should be heard, whether it is or not."""

import jax
import jax.numpy as jnp

from rac_jax.scenes.config import KINDS
from rac_jax.scenes.motion import HITTING
from rac_jax.scenes.timeline import Timeline


def contact_times(timeline: Timeline, kind: jax.Array) -> jax.Array:
    """When each cycle would hit: a tool where its stroke turns round, a ball where a cycle ends.

    Args:
      timeline: of the scene.
      kind: scalar, index of the motion.

    Returns:
      [K] frames, a fraction between two of them; of motions that touch nothing, too.
    """
    share = jnp.where(kind == KINDS.index("bounce"), 1.0, timeline.strike)
    return timeline.starts + share * timeline.lengths


def strikes(kind: jax.Array) -> jax.Array:
    """Whether something strikes something that stays: `HITTING`; else nothing is touched."""
    hitting = jnp.asarray([KINDS.index(name) for name in HITTING])
    return jnp.any(kind == hitting)


def contact_frames(
    timeline: Timeline, kind: jax.Array, base: jax.Array, frames: int
) -> jax.Array:
    """The frames nearest to a contact.

    Args:
      timeline: of the scene.
      kind: scalar, index of the motion.
      base: scalar bool, whether what would be struck is there.
      frames: T.

    Returns:
      bool [T].
    """
    nearest = jnp.round(contact_times(timeline, kind)).astype(jnp.int32)
    there = timeline.valid & strikes(kind) & base & (nearest >= 0) & (nearest < frames)
    index = jnp.where(there, nearest, frames)
    return jnp.zeros(frames, bool).at[index].set(True, mode="drop")
