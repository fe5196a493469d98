"""When things strike each other in a scene: what should be heard, whether it is or not."""

import jax
import jax.numpy as jnp

from rac_jax.scenes.config import KINDS
from rac_jax.scenes.timeline import Timeline

# Motions in which something strikes something that stays; in all others nothing is touched,
# however fast it is.
STRIKING = ("stroke", "bounce")


def contact_frames(timeline: Timeline, kind: jax.Array, frames: int) -> jax.Array:
    """The frames nearest to a contact.

    A tool strikes where its stroke turns round, a ball lands where a cycle ends.

    Args:
      timeline: of the scene.
      kind: scalar, index of the motion.
      frames: T.

    Returns:
      bool [T].
    """
    turns = timeline.starts + timeline.strike * timeline.lengths
    lands = timeline.starts + timeline.lengths
    times = jnp.where(kind == KINDS.index("bounce"), lands, turns)  # [K]
    striking = jnp.asarray([KINDS.index(name) for name in STRIKING])
    strikes = jnp.any(kind == striking)
    nearest = jnp.round(times).astype(jnp.int32)
    there = timeline.valid & strikes & (nearest >= 0) & (nearest < frames)
    index = jnp.where(there, nearest, frames)
    return jnp.zeros(frames, bool).at[index].set(True, mode="drop")
