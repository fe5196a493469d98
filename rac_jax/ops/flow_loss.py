"""How far a flow is from the true one, and what GMFlow learns from it."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp

GAMMA = 0.9  # of the loss: each prediction weighs so much of the next one
LONGEST = 400.0  # pixels; longer flows teach nothing (GMFlow, section 4)


def endpoint_error(flow: jax.Array, target: jax.Array) -> jax.Array:
    """Distance between the ends of two flows.

    Args:
      flow: [..., 2] in pixels.
      target: [..., 2].

    Returns:
      [...] pixels.

    Raises:
      AssertionError: if their shapes differ.
    """
    chex.assert_equal_shape([flow, target])
    return jnp.sqrt(jnp.sum(jnp.square(flow - target), axis=-1))


def sequence_loss(
    steps: Sequence[jax.Array], target: jax.Array, gamma: float = GAMMA
) -> jax.Array:
    """GMFlow's loss: sum over predictions i of n of γ^(n - i) · |flow_i - target|₁ / 2.

    Args:
      steps: each [..., 2], in the order in which they were made.
      target: [..., 2], in pixels.
      gamma: weight of each prediction beside the next.

    Returns:
      [...] the mean over both directions; 0 where the true flow is not finite or longer than
      `LONGEST`.

    Raises:
      ValueError: if there are no predictions.
      AssertionError: if a shape differs.
    """
    if not steps:
        raise ValueError("steps: there are none; GMFlow gives them with train=True")
    length = jnp.sqrt(jnp.sum(jnp.square(target), axis=-1))
    known = length < LONGEST  # not where it is no number
    target = jnp.where(known[..., None], target, 0.0)
    total = jnp.zeros(known.shape)
    for step in steps:
        chex.assert_equal_shape([step, target])
        apart = jnp.mean(jnp.abs(step.astype(jnp.float32) - target), axis=-1)
        total = gamma * total + apart
    return jnp.where(known, total, 0.0)
