"""The same thing mirrored, turned, or the other way round in time: clips, their flow and labels.

A stored window is seen in sixteen ways. Whatever strikes also strikes when it is looked at so.
"""

import jax
import jax.numpy as jnp

from rac_jax.train.feature_task import FEATURES
from rac_jax.train.recipe import Batch

# Labels that go with the frames.
LABELS = ("rate", "periodic")


def _choose(which: jax.Array, changed: jax.Array, x: jax.Array) -> jax.Array:
    """Per window `changed` or x [B, ...]."""
    return jnp.where(which.reshape(-1, *[1] * (x.ndim - 1)), changed, x)


def vary(batch: Batch, key: jax.Array) -> Batch:
    """Draws one of the sixteen ways for each window.

    Args:
      batch: "features.0" clips [B, N, H, H, 3], and where there are such "features.1" and
        "features.2" flow there and back [B, N, H, H, 2]; `LABELS` [B, N].
      key: PRNG key.

    Returns:
      The batch; flow points as it would on the other picture, and what led forward leads back
      where time runs backward.
    """
    names = [name for name in sorted(batch) if name.startswith(FEATURES)]
    clips, *flows = (batch[name] for name in names)
    coins = jax.random.bernoulli(key, 0.5, (4, len(clips)))
    back, across, down, turned = coins
    labels = {name: batch[name] for name in LABELS}

    # Backward in time: the way back is the way on.
    clips = _choose(back, clips[:, ::-1], clips)
    reversed_flows = [flow[:, ::-1] for flow in flows[::-1]]
    flows = [_choose(back, *pair) for pair in zip(reversed_flows, flows, strict=True)]
    labels = {name: _choose(back, x[:, ::-1], x) for name, x in labels.items()}

    # Mirrored: so is that part of the flow.
    for which, axis, signs in ((across, 3, (-1, 1)), (down, 2, (1, -1))):
        clips = _choose(which, jnp.flip(clips, axis), clips)
        signs = jnp.asarray(signs, clips.dtype)
        flows = [_choose(which, jnp.flip(x, axis) * signs, x) for x in flows]

    # Rows for columns.
    clips = _choose(turned, jnp.swapaxes(clips, 2, 3), clips)
    flows = [_choose(turned, jnp.swapaxes(x, 2, 3)[..., ::-1], x) for x in flows]
    return batch | labels | dict(zip(names, (clips, *flows), strict=True))
