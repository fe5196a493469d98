"""TA2Net's losses (paper 4, Eq. 8-14), and where its authors' code has others.

| | paper | `released` |
|---|---|---|
| weights of cross-entropy and focal | 1, .1 | .1, 1 |
| positive contrast, mean over | k (k - 1) pairs of two | k², the pairs of one with itself among them |
| smoothness | L2 norm of the second difference, summed over a clip | a tenth of the sum of its absolute values, across the borders of clips |

Cosines are kept within .0005 and .9995, as in the code. The rank of a pair is among those of its
first frame, as in the code and in C²AM (Xie et al., 2022), which the paper names; α is not given
there and .25 in the code. Frames of different clips are compared, one frame of each.
"""

import jax
import jax.numpy as jnp
import numpy as np

SIGMA, REACH = 2.0, 3  # frames, of soft labels
GAMMA = 2.0
ALPHA = 0.25
LOWEST, HIGHEST = 0.0005, 0.9995
RELEASED_SMOOTHNESS = 0.1
TERMS = ("cross_entropy", "focal", "contrast", "smoothness")
WEIGHTS = {
    "cross_entropy": 1.0,
    "focal": 0.1,
    "contrast": 0.01,
    "smoothness": 0.002,
}
RELEASED_WEIGHTS = WEIGHTS | {"cross_entropy": 0.1, "focal": 1.0}


def soft_labels(events: jax.Array) -> jax.Array:
    """Bumps around frames of sound, σ 2 frames within three, added and at most 1.

    Args:
      events: [B, N], 1 in frames of sound and else 0.

    Returns:
      [B, N] in [0, 1].
    """
    near = np.arange(-REACH, REACH + 1)
    bump = np.exp(-np.square(near) / (2 * SIGMA**2))
    padded = jnp.pad(events, ((0, 0), (REACH, REACH)))
    frames = events.shape[1]
    parts = [
        size * padded[:, place : place + frames] for place, size in enumerate(bump)
    ]
    return jnp.minimum(sum(parts), 1.0)


def cross_entropy(logits: jax.Array, events: jax.Array) -> jax.Array:
    """Cross-entropy of [B, N, 2] with soft labels of [B, N]: [B, N]."""
    soft = soft_labels(events)
    logs = jax.nn.log_softmax(logits)
    return -((1 - soft) * logs[..., 0] + soft * logs[..., 1])


def focal(logits: jax.Array, events: jax.Array) -> jax.Array:
    """Focal loss (Lin et al., 2017) of [B, N, 2] with hard labels [B, N]: [B, N]."""
    logs = jax.nn.log_softmax(logits)
    right = jnp.where(events > 0, logs[..., 1], logs[..., 0])
    return -((1 - jnp.exp(right)) ** GAMMA) * right


def _cosines(first: jax.Array, second: jax.Array) -> jax.Array:
    """[k, C] and [m, C] to cosines [k, m] within their bounds."""

    def unit(x: jax.Array) -> jax.Array:
        return x / jnp.sqrt(jnp.sum(jnp.square(x), -1, keepdims=True) + 1e-12)

    return jnp.clip(unit(first) @ unit(second).T, LOWEST, HIGHEST)


def negative_contrast(
    motion: jax.Array, rest: jax.Array, known: jax.Array
) -> jax.Array:
    """Eq. 8: what moves is unlike what does not.

    Args:
      motion: [k, C].
      rest: [k, C].
      known: bool [k], which of the k frames there are.

    Returns:
      Scalar, 0 without a frame.
    """
    pairs = known[:, None] & known[None]
    each = -jnp.log(1 - _cosines(motion, rest))
    return jnp.sum(each * pairs) / jnp.maximum(jnp.sum(pairs), 1)


def positive_contrast(
    features: jax.Array, known: jax.Array, released: bool = False
) -> jax.Array:
    """Eq. 9 and 10: regions of one sort are alike, the likest pairs count most.

    Args:
      features: [k, C].
      known: bool [k].
      released: as in the authors' code.

    Returns:
      Scalar, 0 with less than two frames.
    """
    cosines = _cosines(features, features)
    number = len(features)
    itself = jnp.eye(number, dtype=bool)
    pairs = known[:, None] & known[None] & ~itself
    # Rank 0 is the most similar other frame; those that are none come last.
    order = jnp.argsort(jnp.where(pairs, -cosines, 2.0), axis=1)
    rank = jnp.argsort(order, axis=1)
    weight = jax.lax.stop_gradient(jnp.exp(-ALPHA * rank))
    total = jnp.sum(-weight * jnp.log(cosines) * pairs)
    if released:
        # A frame with itself has rank -1 there.
        alone = -jnp.exp(ALPHA) * jnp.log(HIGHEST) * jnp.sum(known)
        return (total + alone) / jnp.maximum(jnp.sum(known) ** 2, 1)
    return total / jnp.maximum(jnp.sum(pairs), 1)


def contrast(
    motion: jax.Array, rest: jax.Array, known: jax.Array, released: bool = False
) -> jax.Array:
    """Eq. 11: the sum of the three."""
    return (
        negative_contrast(motion, rest, known)
        + positive_contrast(motion, known, released)
        + positive_contrast(rest, known, released)
    )


def smoothness(maps: jax.Array) -> jax.Array:
    """Eq. 12: how abruptly maps [B, N, h, w] change, [B]."""
    second = maps[:, 2:] + maps[:, :-2] - 2 * maps[:, 1:-1]
    squares = jnp.sum(jnp.square(second), axis=(2, 3))  # [B, N - 2]
    # The root has no slope at 0.
    return jnp.sum(jnp.sqrt(squares + 1e-12), axis=1)


def released_smoothness(maps: jax.Array) -> jax.Array:
    """The authors': clips of a batch follow one another, [B, N, h, w] to a scalar."""
    flat = maps.reshape(-1, *maps.shape[2:])
    second = flat[2:] + flat[:-2] - 2 * flat[1:-1]
    return RELEASED_SMOOTHNESS * jnp.sum(jnp.abs(second))
