"""What a training step changes, and the optimiser that changes it."""

import math
import re
from collections.abc import Collection, Sequence
from typing import Any

import flax.struct
import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import optax

from rac_jax.counting.family import Variables

SCHEDULES = ("constant", "cosine", "linear", "falling")
OPTIMISERS = ("sgd", "adamw")


@flax.struct.dataclass
class TrainState:
    """Arrays only.

    Attributes:
      step: int32 scalar, batches taken.
      params: nested dict of float32, the model's groups and the task's own.
      batch_stats: nested dict of float32.
      optimiser: of the trained parameters.
      average: exponential moving average of `params`, None without.
      bad_step: int32 scalar, the first step whose loss or gradient was not finite, -1 for none.
        From that step on nothing changes.
      key: the run's PRNG key; a step draws from `fold_in(key, step)`.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    optimiser: Any
    average: Any
    bad_step: jax.Array
    key: jax.Array

    @property
    def variables(self) -> Variables:
        """What counts: the averaged parameters where there are any."""
        params = self.params if self.average is None else self.average
        return {"params": params, "batch_stats": self.batch_stats}


def learning_rate(settings: ml_collections.ConfigDict, steps: int) -> optax.Schedule:
    """A schedule: linear warm-up, then constant, falling, or a decay to zero at the last step.

    Args:
      settings: `schedule` of `SCHEDULES`, `learning_rate`, `warmup` in steps; with "falling"
        `falls`, the shares of what follows the warm-up after which it is a tenth.
      steps: of the whole stage.

    Returns:
      step -> learning rate.

    Raises:
      ValueError: for another schedule.
    """
    peak, warmup = settings.learning_rate, min(settings.warmup, max(steps - 1, 0))
    rest = max(steps - warmup, 1)
    match settings.schedule:
        case "constant":
            after = optax.constant_schedule(peak)
        case "cosine":
            after = optax.cosine_decay_schedule(peak, rest)
        case "linear":
            after = optax.linear_schedule(peak, 0.0, rest)
        case "falling":
            falls = {round(share * rest): 0.1 for share in settings.falls}
            after = optax.piecewise_constant_schedule(peak, falls)
        case other:
            raise ValueError(
                f"optimiser.schedule: {other!r} is not one of {', '.join(SCHEDULES)}"
            )
    # Without a warm-up optax's own would say in the log that it does nothing.
    if not warmup:
        return after
    return optax.join_schedules(
        [optax.linear_schedule(0.0, peak, warmup), after], [warmup]
    )


def trained_paths(params: Any, trained: Collection[str]) -> Any:
    """Which parameters a stage trains.

    Args:
      params: nested dict.
      trained: prefixes of paths joined with "/": "encoder", "encoder/layer4".

    Returns:
      The same tree of "trained" and "frozen".

    Raises:
      ValueError: for a prefix that no parameter has.
    """
    flat = flax.traverse_util.flatten_dict(params, sep="/")

    def matches(name: str, prefix: str) -> bool:
        return name == prefix or name.startswith(prefix + "/")

    for prefix in trained:
        if not any(matches(name, prefix) for name in flat):
            groups = ", ".join(sorted(params))
            raise ValueError(f"trained: no parameter is under {prefix!r} ({groups})")
    labels = {
        name: "trained"
        if any(matches(name, prefix) for prefix in trained)
        else "frozen"
        for name in flat
    }
    return flax.traverse_util.unflatten_dict(labels, sep="/")


def scale_by_path(rates: Sequence[tuple[str, float]]) -> optax.GradientTransformation:
    """Multiplies updates by factors of the parameters' paths.

    Args:
      rates: (regular expression, factor) each; all factors whose expression is found in a path,
        such as "predictor/dense/bias", are multiplied.

    Returns:
      The transformation, without state.

    Raises:
      ValueError: for what is no expression, or a factor below 0.
    """
    for pattern, factor in rates:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"optimiser.rates: {pattern!r}: {error}") from error
        if factor < 0:
            raise ValueError(f"optimiser.rates: {factor} of {pattern!r} is below 0")

    def scaled(path: tuple[Any, ...], update: jax.Array) -> jax.Array:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        factors = [factor for pattern, factor in rates if re.search(pattern, name)]
        return update * math.prod(factors)

    return optax.stateless(
        lambda updates, _: jax.tree_util.tree_map_with_path(scaled, updates)
    )


def make_optimiser(
    settings: ml_collections.ConfigDict, steps: int, labels: Any
) -> optax.GradientTransformation:
    """The optimiser of one stage; frozen parameters have no state and no update.

    Args:
      settings: `name` of `OPTIMISERS`, `momentum`, `weight_decay`, `clip` (largest norm of the
        gradient, 0 for no clipping), and what `learning_rate` reads. Where it is there, `rates`
        are factors of the learning rate for some parameters, see `scale_by_path`.
      steps: of the whole stage.
      labels: as `trained_paths` gives them.

    Returns:
      The transformation. Weight decay of SGD is added to the gradient, as PyTorch does.

    Raises:
      ValueError: for another name.
    """
    rate = learning_rate(settings, steps)
    clip = [optax.clip_by_global_norm(settings.clip)] if settings.clip else []
    match settings.name:
        case "sgd":
            decay = optax.add_decayed_weights(settings.weight_decay)
            update = [decay, optax.sgd(rate, settings.momentum or None)]
        case "adamw":
            update = [optax.adamw(rate, weight_decay=settings.weight_decay)]
        case other:
            raise ValueError(
                f"optimiser.name: {other!r} is not one of {', '.join(OPTIMISERS)}"
            )
    if rates := settings.get("rates", ()):
        update.append(scale_by_path(rates))
    transforms = {"trained": optax.chain(*clip, *update), "frozen": optax.set_to_zero()}
    return optax.partition(transforms, labels)


def first_state(
    variables: Variables,
    optimiser: optax.GradientTransformation,
    key: jax.Array,
    averaged: bool,
) -> TrainState:
    """The state before the first step.

    Args:
      variables: {"params", "batch_stats"}.
      optimiser: of the stage.
      key: typed PRNG key of the stage.
      averaged: whether there is to be a moving average of the parameters.

    Returns:
      The state; its arrays are copies, so that a step may be given them to reuse.
    """
    params, stats = jax.tree.map(
        lambda leaf: jnp.array(leaf, jnp.float32),
        (variables["params"], variables["batch_stats"]),
    )
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=stats,
        optimiser=optimiser.init(params),
        average=jax.tree.map(jnp.array, params) if averaged else None,
        bad_step=jnp.full((), -1, jnp.int32),
        key=key,
    )
