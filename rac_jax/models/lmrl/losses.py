"""LMRL's two further losses: foreground (Eq. 3) and triplets (Eq. 4).

Printed wrongly and meant so: the class that is asked for in Eq. 3 is the true one, T is N, and
1 / 2N is the mean over N frames and two classes. As printed, on probabilities, without the
logarithm, the limit and the smaller weight of MS-TCN.
"""

import jax
import jax.numpy as jnp

from rac_jax.train.metrics import Mean, mean
from rac_jax.train.recipe import Batch

MARGIN = 1.0
TRIPLETS = 16  # drawn from each window
TERMS = ("count", "density", "localisation", "triplet")


def localisation(logits: jax.Array, foreground: jax.Array) -> jax.Array:
    """Eq. 3 of each window.

    Args:
      logits: [B, N, 2] of background and foreground.
      foreground: bool [B, N].

    Returns:
      [B]: the mean cross entropy, and the mean squared step of the probabilities.
    """
    log = jax.nn.log_softmax(logits)
    own = jnp.where(foreground, log[..., 1], log[..., 0])
    step = jnp.square(jnp.diff(jnp.exp(log), axis=1))  # [B, N − 1, 2]
    frames = logits.shape[1]
    smooth = jnp.sum(step, axis=(1, 2)) / (2 * frames)
    return -jnp.mean(own, axis=1) + smooth


def triplet(
    embeddings: jax.Array, foreground: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Eq. 4 of each window, over random triplets: two frames of the foreground, one of the rest.

    Args:
      embeddings: [B, N, C].
      foreground: bool [B, N].
      key: PRNG key.

    Returns:
      (loss [B], bool [B] whether a window has both kinds of frames).
    """

    def draw(key: jax.Array, allowed: jax.Array) -> jax.Array:
        # [B, TRIPLETS] frames, each as likely as another.
        logits = jnp.where(allowed, 0.0, -jnp.inf)
        shape = (TRIPLETS, len(allowed))
        return jax.random.categorical(key, logits, shape=shape).T

    both = jnp.any(foreground, axis=1) & ~jnp.all(foreground, axis=1)
    inside = jnp.where(both[:, None], foreground, True)
    outside = jnp.where(both[:, None], ~foreground, True)
    keys = jax.random.split(key, 3)
    rows = jnp.arange(len(foreground))[:, None]
    anchor, positive = (embeddings[rows, draw(k, inside)] for k in keys[:2])
    negative = embeddings[rows, draw(keys[2], outside)]  # [B, TRIPLETS, C]

    def distance(a: jax.Array, b: jax.Array) -> jax.Array:
        # The root has no slope at 0, where a frame is drawn twice.
        return jnp.sqrt(jnp.sum(jnp.square(a - b), axis=-1) + 1e-12)

    apart = distance(anchor, positive) - distance(anchor, negative) + MARGIN
    return jnp.mean(jnp.maximum(apart, 0.0), axis=1), both


def locating_terms(
    logits: jax.Array, embeddings: jax.Array, batch: Batch, key: jax.Array
) -> dict[str, Mean]:
    """{"localisation", "triplet"}: means over the windows where they are known.

    Args:
      logits: [B, N, 2].
      embeddings: [B, N, C].
      batch: "periodic" bool [B, N] and "mask" bool [B]; of videos, also "known".
      key: PRNG key.
    """
    foreground, mask = batch["periodic"], batch["mask"]
    known = mask & batch.get("known", jnp.ones_like(mask))
    apart, both = triplet(embeddings, foreground, key)
    return {
        "localisation": mean(localisation(logits, foreground), known),
        "triplet": mean(apart, known & both),
    }
