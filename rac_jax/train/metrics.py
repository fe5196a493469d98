"""Metrics of training steps as (sum, weight) pairs: added over batches, then divided.

Scores of counts are `rac_jax.counting.scores`.
"""

import flax.struct
import jax
import jax.numpy as jnp


@flax.struct.dataclass
class Mean:
    """A mean that can still be added to."""

    total: jax.Array
    weight: jax.Array

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(self.total + other.total, self.weight + other.weight)

    def value(self) -> jax.Array:
        """The mean; not a number if nothing was added."""
        return self.total / self.weight


def mean(values: jax.Array, mask: jax.Array) -> Mean:
    """The mean of what a mask chooses.

    Args:
      values: of any shape.
      mask: bool, same shape.

    Returns:
      The pair.

    Raises:
      ValueError: if the shapes differ.
    """
    if values.shape != mask.shape:
        raise ValueError(f"metrics: shapes differ: {values.shape}, {mask.shape}")
    weight = mask.astype(jnp.float32)
    return Mean(jnp.sum(jnp.where(mask, values, 0.0)), jnp.sum(weight))
