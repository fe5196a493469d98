"""The pure training step: (state, batch) -> (state, metrics).

Nothing here knows of devices: the loop jits it with shardings and donates the state.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from rac_jax.ops.conv import CONVOLVED
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, Task
from rac_jax.train.state import TrainState

REMATERIALISE = ("nothing", "norms")


def _pieces(batch: Any, number: int) -> Any:
    """[B, ...] to [number, B / number, ...]; row r goes to piece r mod number.

    Striding leaves every piece split over all devices, as the batch is.
    """

    def split(leaf):
        if leaf.shape[0] % number:
            raise ValueError(
                f"batch of {leaf.shape[0]} does not divide by accumulate={number}"
            )
        folded = leaf.reshape(leaf.shape[0] // number, number, *leaf.shape[1:])
        return jnp.moveaxis(folded, 1, 0)

    return jax.tree.map(split, batch)


def check_rematerialise(what: str) -> None:
    """Checks a name.

    Raises:
      ValueError: if it is not one of `REMATERIALISE`.
    """
    if what not in REMATERIALISE:
        raise ValueError(
            f"rematerialise: {what!r} is not one of {', '.join(REMATERIALISE)}"
        )


def rematerialised(loss: Callable, what: str) -> Callable:
    """A loss whose backward pass works something out again instead of keeping it.

    Args:
      loss: a function of arrays.
      what: of `REMATERIALISE`: "nothing", or "norms", everything between the convolutions,
        whose results alone are kept: less memory for a little more arithmetic. XLA:CPU
        undoes it when it compiles, so that nothing is won there.

    Returns:
      The same function to call.

    Raises:
      ValueError: for another `what`.
    """
    check_rematerialise(what)
    if what == "nothing":
        return loss
    keep = jax.checkpoint_policies.save_only_these_names(CONVOLVED)
    return jax.checkpoint(loss, policy=keep)


def step_keys(key: jax.Array, step: jax.Array) -> jax.Array:
    """[2] keys of a step, for preparing its batch and for its loss, of the stage's key."""
    return jax.random.split(jax.random.fold_in(key, step))


def make_train_step(
    task: Task,
    optimiser: optax.GradientTransformation,
    labels: Any,
    *,
    accumulate: int = 1,
    average_decay: float = 0.0,
    rematerialise: str = "nothing",
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Mean]]]:
    """Builds a stage's step.

    Args:
      task: what is learned; its `prepare` and `loss` become part of the step.
      optimiser: of the stage.
      labels: "trained" or "frozen" for every parameter, as `state.trained_paths` gives them.
      accumulate: pieces that a batch is cut into; gradients are averaged over the pieces and
        batch statistics updated piece by piece.
      average_decay: of the moving average of the parameters, if the state has one. It is
        min(decay, (1 + step) / (10 + step)), so that the first steps are soon forgotten.
      rematerialise: see `rematerialised`.

    Returns:
      The step. Where the loss or the gradient is not finite the state stays as it was, but for
      `bad_step`. The metrics are the task's, "loss" and "gradient_norm".

    Raises:
      ValueError: for another `rematerialise`.
    """
    loss = rematerialised(task.loss, rematerialise)
    gradient = jax.value_and_grad(loss, has_aux=True)

    def one_piece(params, stats, batch, key):
        (loss, (stats, metrics)), gradients = gradient(params, stats, batch, key)
        return gradients, stats, metrics | {"loss": Mean(loss, jnp.ones(()))}

    # A scan over the pieces, so that the memory of only one of them is needed at a time.
    def accumulated(params, stats, batch, key):
        def body(carry, piece):
            gradients, stats, metrics = carry
            index, part = piece
            more = one_piece(params, stats, part, jax.random.fold_in(key, index))
            gradients = jax.tree.map(jnp.add, gradients, more[0])
            return (gradients, more[1], jax.tree.map(jnp.add, metrics, more[2])), None

        pieces = (jnp.arange(accumulate), _pieces(batch, accumulate))
        first = jax.tree.map(lambda leaf: leaf[0], pieces)
        shapes = jax.eval_shape(one_piece, params, stats, first[1], key)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        carry = (zeros[0], stats, zeros[2])
        (gradients, stats, metrics), _ = jax.lax.scan(body, carry, pieces)
        return jax.tree.map(lambda g: g / accumulate, gradients), stats, metrics

    def train_step(state: TrainState, batch: Batch):
        # What is drawn depends on the run's key and the number of the step, nothing else.
        prepare_key, loss_key = step_keys(state.key, state.step)
        batch = task.prepare(batch, prepare_key)
        run = one_piece if accumulate == 1 else accumulated
        gradients, stats, metrics = run(
            state.params, state.batch_stats, batch, loss_key
        )

        # Without the frozen parameters' gradients, which then need not be computed at all.
        pairs = zip(jax.tree.leaves(gradients), jax.tree.leaves(labels), strict=True)
        norm = optax.tree.norm([g for g, label in pairs if label == "trained"])

        # The state after the step, if all goes well.
        updates, inner = optimiser.update(gradients, state.optimiser, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average is not None:
            decay = jnp.minimum(average_decay, (1 + state.step) / (10 + state.step))
            average = optax.incremental_update(params, average, 1 - decay)
        changed = state.replace(
            params=params, batch_stats=stats, optimiser=inner, average=average
        )

        # From the first step on that is not finite nothing changes any more: whoever looks at
        # the state later, every so many steps, still finds the last good one.
        fine = jnp.isfinite(metrics["loss"].total) & jnp.isfinite(norm)
        fine &= state.bad_step < 0
        bad = jnp.where(fine | (state.bad_step >= 0), state.bad_step, state.step)
        chosen = jax.tree.map(
            lambda new, old: new if new is old else jnp.where(fine, new, old),
            changed,
            state,
        )
        metrics = metrics | {"gradient_norm": Mean(norm, jnp.ones(()))}
        chex.assert_trees_all_equal_shapes_and_dtypes(chosen, state)
        return chosen.replace(step=state.step + 1, bad_step=bad), metrics

    return train_step
