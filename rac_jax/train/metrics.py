"""Metrics of the field as (sum, weight) pairs: pairs are added over batches, then divided.

MAE is the mean of |ĉ − l| / l of the count as predicted, OBO the share of videos whose rounded
count is off by at most one (Eq. 12-13 of paper 1). Videos without repetitions have no relative
error: they are left out of MAE and reported by their mean count.
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
    if values.shape != mask.shape:
        raise ValueError(f"metrics: shapes differ: {values.shape}, {mask.shape}")
    weight = mask.astype(jnp.float32)
    return Mean(jnp.sum(jnp.where(mask, values, 0.0)), jnp.sum(weight))


def mae(prediction: jax.Array, target: jax.Array, mask: jax.Array) -> Mean:
    """Mean relative error of the counts as predicted, over videos with repetitions.

    Args:
      prediction: predicted counts, unrounded.
      target: true counts, same shape.
      mask: bool, same shape.

    Returns:
      The pair.

    Raises:
      ValueError: if the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"mae: shapes differ: {prediction.shape}, {target.shape}")
    positive = target > 0
    error = jnp.abs(prediction - target) / jnp.where(positive, target, 1.0)
    return mean(error, mask & positive)


def obo(prediction: jax.Array, target: jax.Array, mask: jax.Array) -> Mean:
    """Share of videos whose rounded count is off by at most one.

    Halves are rounded up, as a reader would.

    Args:
      prediction: predicted counts.
      target: true counts, same shape, whole.
      mask: bool, same shape.

    Returns:
      The pair.

    Raises:
      ValueError: if the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"obo: shapes differ: {prediction.shape}, {target.shape}")
    close = jnp.abs(jnp.floor(prediction + 0.5) - target) <= 1
    return mean(close.astype(jnp.float32), mask)


def mean_count(prediction: jax.Array, mask: jax.Array) -> Mean:
    """Mean predicted count, for videos without repetitions.

    Args:
      prediction: predicted counts.
      mask: bool, same shape.

    Returns:
      The pair.

    Raises:
      ValueError: if the shapes differ.
    """
    return mean(prediction, mask)
