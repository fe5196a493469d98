"""Metrics of training steps as (sum, weight) pairs: added over batches, then divided.

Scores of counts are `rac_jax.counting.scores`.
"""

from collections.abc import Mapping

import flax.struct
import jax
import jax.numpy as jnp

# Begins the name of a metric that is a part of the loss.
PART = "part_"


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


def part_name(term: str) -> str:
    """The metric's name of a weighted term, of those whose sum is the loss."""
    return PART + term


def largest_share(values: Mapping[str, float]) -> tuple[str, float] | None:
    """Which term makes up most of a loss.

    Args:
      values: means of metrics by name; those that `part_name` names are looked at.

    Returns:
      The term and its share of the sum of all parts' sizes, 0 to 1; None where there are not
      two parts or all are 0.
    """
    parts = {
        name.removeprefix(PART): abs(value)
        for name, value in values.items()
        if name.startswith(PART)
    }
    total = sum(parts.values())
    if len(parts) < 2 or not total > 0:
        return None
    name = max(parts, key=lambda term: parts[term])
    return name, parts[name] / total
