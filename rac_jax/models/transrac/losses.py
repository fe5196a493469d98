"""What a density is compared with: the count and the density of every frame (paper 2, Eq. 2).

The paper's sentence before the equation has the two errors the other way round; the equation is
meant: relative error of the count, squared error of the density. TransRAC's text has both terms,
its released script the second one alone.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp

from rac_jax.models.transrac.blended import LONGEST, SHORTEST
from rac_jax.scenes import Scene
from rac_jax.train.metrics import Mean, mean, part_name
from rac_jax.train.recipe import Batch

TERMS = ("count", "density")


def pick(key: jax.Array, scene: Scene) -> dict[str, jax.Array]:
    """What a window needs of a scene: the density of the cycles that its stride can show."""
    del key
    # The bump of a cycle lies within it, where the rate is that of its length.
    slowest = 1 / (LONGEST * len(scene.rate))
    fits = scene.periodicity & (scene.rate <= 1 / SHORTEST) & (scene.rate >= slowest)
    return {
        "windows": scene.frames,
        "rate": jnp.where(fits, scene.density, 0.0),
        "periodic": fits,
    }


def counting_terms(density: jax.Array, batch: Batch) -> dict[str, Mean]:
    """Both terms of Eq. 2, each a mean over the windows where it is known.

    Args:
      density: [B, N] predicted.
      batch: "rate" [B, N], the true density; "mask" bool [B]. Of videos, also "count" [B] and
        "known" bool [B], false where only the count is known.

    Returns:
      {"count": |c − ĉ| / max(ĉ, 1), "density": the mean squared error of a frame}. The equation
      divides by the true count alone, which of a window may be a part of a cycle or nothing.
    """
    target, mask = batch["rate"], batch["mask"]
    total = batch.get("count", jnp.sum(target, axis=1))
    known = mask & batch.get("known", jnp.ones_like(mask))
    relative = jnp.abs(jnp.sum(density, axis=1) - total) / jnp.maximum(total, 1.0)
    squared = jnp.mean(jnp.square(density - target), axis=1)
    return {"count": mean(relative, mask), "density": mean(squared, known)}


def weighed(
    terms: dict[str, Mean], names: Iterable[str], weights: dict[str, float]
) -> tuple[jax.Array, dict[str, Mean]]:
    """The loss of some terms and, as metrics, all terms and what each is of the loss.

    Args:
      terms: by name; one without weight, of which nothing is known in the batch, counts as 0.
      names: of those that are learned.
      weights: by name.

    Returns:
      (loss, metrics).
    """
    loss, metrics = jnp.zeros(()), dict(terms)
    for name in names:
        value = terms[name].total / jnp.maximum(terms[name].weight, 1.0)
        part = weights[name] * value
        loss += part
        metrics[part_name(name)] = Mean(part, jnp.ones(()))
    return loss, metrics
