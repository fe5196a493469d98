"""The loss that the sight and the sound stream share, paper 1, Eq. 4-7."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import ml_collections

from rac_jax.models.sight_sound import losses
from rac_jax.models.sight_sound.heads import RepetitionOutput
from rac_jax.models.sight_sound.network import SightOutput, SoundOutput
from rac_jax.train.metrics import Mean, mean, part_name
from rac_jax.train.recipe import Batch

TERMS = ("squared", "relative", "diversity")
ACTION_CLASS = "action_class"
# Parameter group of the auxiliary linear layer, which is thrown away after training.
LOCAL = "local"
PROBABILITY_FLOOR = 1e-7


def check_loss(settings: ml_collections.ConfigDict) -> None:
    """Checks a config's `loss` section.

    Raises:
      ValueError: naming the field.
    """
    unknown = set(settings.terms) - set(TERMS)
    if unknown or not settings.terms:
        raise ValueError(
            f"loss.terms: {min(unknown, default='none')!r} is not one of {', '.join(TERMS)}"
        )
    known = (*losses.DIVERSITIES, ACTION_CLASS)
    if settings.diversity not in known:
        raise ValueError(
            f"loss.diversity: {settings.diversity!r} is not one of {', '.join(known)}"
        )


def first_local(channels: int) -> dict[str, jax.Array]:
    """First parameters of the layer that reads the rate of repetition along time."""
    return {"kernel": jnp.zeros((channels, 1)), "bias": jnp.zeros(1)}


def class_term(
    settings: ml_collections.ConfigDict,
    classes: jax.Array,
    labels: jax.Array,
    mask: jax.Array,
) -> jax.Array:
    """What keeps repetition classes apart: diversity, or action labels (Table 10).

    Args:
      settings: the `loss` section.
      classes: [B, P] softmax over repetition classes.
      labels: [B] int action classes, -1 for none.
      mask: [B] bool.

    Returns:
      Scalar.
    """
    if settings.diversity == ACTION_CLASS:
        mask = mask & (labels >= 0)
        chosen = jnp.take_along_axis(classes, jnp.maximum(labels, 0)[:, None], axis=1)
        entropy = -jnp.log(jnp.maximum(chosen[:, 0], PROBABILITY_FLOOR))
        return jnp.sum(entropy * mask) / jnp.maximum(jnp.sum(mask), 1)
    return losses.DIVERSITIES[settings.diversity](classes, mask)


def local_term(
    timeline: jax.Array,
    local: Mapping[str, jax.Array],
    rates: jax.Array,
    mask: jax.Array,
) -> jax.Array:
    """An auxiliary term of ours for training from scratch: the rate of repetition along time.

    A linear layer reads it from the stage-3 features, which gives every clip as many targets as
    the features have steps. Nothing of it is left in the trained model.

    Args:
      timeline: [B, T', C] features.
      local: kernel [C, 1] and bias [1].
      rates: [B, n] repetitions per frame or column.
      mask: [B] bool.

    Returns:
      Scalar, the mean absolute error in repetitions per clip.
    """
    steps, total = timeline.shape[1], rates.shape[1]
    # Step j stands for [j total / steps, (j + 1) total / steps).
    edges, places = jnp.linspace(0, total, steps + 1), jnp.arange(total + 1.0)
    done = jnp.cumsum(jnp.pad(rates, ((0, 0), (1, 0))), axis=1)
    done = jax.vmap(lambda row: jnp.interp(edges, places, row))(done)  # [B, T' + 1]
    target = jnp.diff(done, axis=1) * steps
    found = (timeline @ local["kernel"] + local["bias"][None, None])[..., 0]  # [B, T']
    return jnp.sum(jnp.mean(jnp.abs(found - target), axis=1) * mask) / jnp.maximum(
        jnp.sum(mask), 1
    )


def repetition_loss(
    settings: ml_collections.ConfigDict,
    output: SightOutput | SoundOutput | RepetitionOutput,
    local: Mapping[str, jax.Array] | None,
    batch: Batch,
) -> tuple[jax.Array, dict[str, Mean]]:
    """Eq. 6 and 7: L2 + λ1 relative error + λ2 diversity, of the terms that are chosen.

    Args:
      settings: the `loss` section.
      output: of a stream, or of the head that fuses by itself.
      local: parameters for `local_term`, None to leave it out.
      batch: "count" [B], "rate" [B, n], "label" [B], "mask" [B].

    Returns:
      Scalar loss, and as means over the batch its terms, and the parts that it is the sum of:
      the terms that are chosen, with their weights.
    """
    mask = batch["mask"]
    terms = {
        "squared": mean(losses.squared_error(output.count, batch["count"], mask), mask),
        "relative": mean(
            losses.relative_error(output.count, batch["count"], mask), mask
        ),
    }
    apart = class_term(settings, output.classes, batch["label"], mask)
    terms["diversity"] = Mean(apart, jnp.ones(()))
    weights = {
        "squared": settings.squared,
        "relative": settings.relative,
        "diversity": settings.diversity_weight,
    }
    chosen = {name: weights[name] for name in TERMS if name in settings.terms}
    if local is not None:
        along = local_term(output.timeline, local, batch["rate"], mask)
        terms["local"] = Mean(along, jnp.ones(()))
        chosen["local"] = settings.local
    parts = {
        name: weight * terms[name].total / jnp.maximum(terms[name].weight, 1)
        for name, weight in chosen.items()
    }
    means = {part_name(name): Mean(part, jnp.ones(())) for name, part in parts.items()}
    return sum(parts.values()), terms | means
