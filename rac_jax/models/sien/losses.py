"""What SI-EN learns: phases of frames as classes, the frequent one with less weight (3.6)."""

import jax
import jax.numpy as jnp
import optax

from rac_jax.encoders.strided_inflated import STRIDE
from rac_jax.models.sien.phases import SCHEMES
from rac_jax.train.metrics import Mean, mean

# Frames that are marked as a middle or an end: as many as an output stands for, so that none of
# these falls between two outputs.
MARKED = STRIDE
WITHIN = "within"


def phase_targets(
    scheme: str, stage: jax.Array, phase: jax.Array, rate: jax.Array, inside: jax.Array
) -> jax.Array:
    """Classes of frames.

    Args:
      scheme: of `SCHEMES`.
      stage: [B, T] of the motion, 0.5 where it turns round.
      phase: [B, T] of the repetition, in [0, 1).
      rate: [B, T] repetitions per frame.
      inside: bool [B, T], whether a frame is in a repetition.

    Returns:
      int32 [B, T], numbers of the scheme's classes.
    """
    names = SCHEMES[scheme]
    second = inside & (stage >= 0.5)
    if scheme == "halves":
        return jnp.where(second, 2, inside.astype(jnp.int32))
    found = inside.astype(jnp.int32)
    if "middle" in names:
        # The frames after the turn: a few before, the motion was not there yet.
        before = jnp.pad(second, ((0, 0), (MARKED, 0)))[:, : second.shape[1]]
        since = jnp.pad(inside, ((0, 0), (MARKED, 0)))[:, : second.shape[1]]
        turned = second & ~(before & since)
        found = jnp.where(turned, names.index("middle"), found)
    ends = inside & ((1 - phase) <= MARKED * rate)
    return jnp.where(ends, names.index("end"), found)


def class_weights(scheme: str, frequent: float) -> jax.Array:
    """[P] weights of the scheme's classes: `frequent` of the inside, 1 of the others."""
    return jnp.array([frequent if n == WITHIN else 1.0 for n in SCHEMES[scheme]])


def phase_loss(
    logits: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, dict[str, Mean]]:
    """Cross entropy of outputs, weighed by their class.

    Args:
      logits: [B, m, P].
      targets: int32 [B, m]; negative where nothing is known, which is not learned.
      weights: [P] of the classes.

    Returns:
      (the weighted mean, {"phases": the same, "right": share of outputs whose class is right}).
    """
    known = targets >= 0
    targets = jnp.maximum(targets, 0)
    cross = optax.softmax_cross_entropy_with_integer_labels(logits, targets)  # [B, m]
    own = jnp.where(known, weights[targets], 0.0)
    term = Mean(jnp.sum(cross * own), jnp.sum(own))
    hits = (jnp.argmax(logits, axis=-1) == targets).astype(jnp.float32)
    metrics = {"phases": term, "right": mean(hits, known)}
    return term.total / jnp.maximum(term.weight, 1e-6), metrics


def joined(leaf: jax.Array, together: int) -> jax.Array:
    """Videos one after the other in time: [B, T, ...] to [B / together, together · T, ...]."""
    number, frames = leaf.shape[:2]
    return leaf.reshape(number // together, together * frames, *leaf.shape[2:])
