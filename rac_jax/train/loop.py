"""The training loop of one stage, whatever the stage learns."""

import contextlib
import dataclasses
import logging
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import NamedSharding

from rac_jax.counting.family import Variables
from rac_jax.ops import compiling
from rac_jax.train import checkpoints
from rac_jax.train import mesh as meshes
from rac_jax.train.logging import MetricWriter, Progress, busy
from rac_jax.train.metrics import Mean, largest_share
from rac_jax.train.recipe import Batch, Task
from rac_jax.train.state import TrainState, first_state, make_optimiser, trained_paths
from rac_jax.train.step import make_train_step

LOG = logging.getLogger("rac_jax.train")
# A term that is more than this of an epoch's loss leaves the others no say.
LARGEST_SHARE = 0.9


class TrainingError(RuntimeError):
    """Training that cannot go on: one line with the stage, the step and the reason."""


class Stopped(Exception):
    """The run was asked to stop, and has saved where it was."""


class StopSignal:
    """Remembers that the process was asked to stop (SIGTERM)."""

    def __init__(self):
        self._asked = threading.Event()

    def listen(self) -> "StopSignal":
        """Takes over SIGTERM; only from the main thread."""
        signal.signal(signal.SIGTERM, lambda *_: self._asked.set())
        return self

    def set(self) -> None:
        """Asks to stop."""
        self._asked.set()

    def agreed(self, step: int, every: int) -> bool:
        """Whether all hosts are to stop at this step; several ask one another every so often."""
        if jax.process_count() == 1:
            return self._asked.is_set()
        if step % every:
            return False
        from jax.experimental import multihost_utils

        asked = np.array(self._asked.is_set())
        return bool(multihost_utils.process_allgather(asked).any())


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a stage is trained, on what, and where it leaves its files.

    Attributes:
      steps: batches to take in all.
      epoch_steps: batches to an epoch.
      batches: (batches already taken) -> the device batches that follow; closed at the end.
      mesh: devices.
      folder: of the stage; checkpoints and metrics go there.
      identity: what makes a checkpoint fit this run.
      key: of the stage.
      stop: asks to stop.
    """

    steps: int
    epoch_steps: int
    batches: Callable[[int], Generator[Batch, None, None]]
    mesh: jax.sharding.Mesh
    folder: pathlib.Path
    identity: Mapping[str, Any]
    key: jax.Array
    stop: StopSignal


def fit(
    task: Task,
    settings: ml_collections.ConfigDict,
    variables: Variables,
    plan: Plan,
) -> TrainState:
    """Trains one stage, from its last checkpoint if there is one.

    Args:
      task: what is learned.
      settings: the stage's section, see `settings.STAGE_FIELDS`.
      variables: what the stage begins with.
      plan: how long, on what, and where.

    Returns:
      The state after the last step, or of the lowest validation error where the settings
      keep the best.

    Raises:
      TrainingError: if a loss or gradient is not finite any more.
      Stopped: when asked to; a checkpoint of the last step is written.
      CheckpointError: if the folder's checkpoints are of another run.
    """
    state, train_step = _begin(task, settings, variables, plan)
    steps, active = plan.steps, jax.process_index() == 0
    with contextlib.ExitStack() as closing:
        saved = closing.enter_context(
            checkpoints.Checkpoints(plan.folder / checkpoints.FOLDER, plan.identity)
        )
        done, restored = 0, None
        found = saved.restore_latest(state)
        if found is not None:
            state, done = found
            restored = done
            LOG.info("%s: goes on from step %d", task.name, done)

        writer = MetricWriter(plan.folder, done, active)
        closing.callback(writer.close)
        progress = Progress(task.name, steps, done, settings.batch, active)
        closing.callback(progress.close)
        upcoming = closing.enter_context(contextlib.closing(plan.batches(done)))
        compiling_step = busy(f"{task.name}: compiling the training step", active)

        # The order is law: evaluate, save, then fetch the next batch, step, log. So the
        # checkpoint of step k holds what batch k, counted from 0, is given to.
        recent: list[dict[str, Mean]] = []
        in_epoch: list[dict[str, Mean]] = []
        # Metrics of the steps that nobody has waited for.
        running: list[dict[str, Mean]] = []
        compiled = False
        while True:
            # Evaluate: every so many whole epochs, and at the end. A step that was restored has
            # been evaluated and saved before.
            error = None
            if done != restored and _is_validated(done, settings, plan):
                _wait(running, progress)
                _check_finite(task.name, state, saved)
                epoch = done // plan.epoch_steps
                with busy(f"{task.name}: validating after epoch {epoch}", active):
                    found = task.validate(kept(task, state), epoch)
                error = found["error"]
                writer.write(done, "validation", found)
                progress.validated(done, found)

            # Save: what was evaluated, every so many steps, and before stopping.
            stopping = done < steps and plan.stop.agreed(done, settings.log_steps)
            often = settings.checkpoint_steps
            due = bool(often and done and done % often == 0)
            if done != restored and (error is not None or stopping or due):
                _check_finite(task.name, state, saved)
                saved.save(done, state, error)
            if stopping:
                saved.wait()
                raise Stopped(f"{task.name}: stopped at step {done} of {steps}")
            if done == steps:
                return _chosen(task.name, state, done, settings, saved)

            # Fetch and step. No step is waited for until steps are logged, so the device always
            # has one to go on with.
            began = time.monotonic()
            batch = next(upcoming)
            progress.fetched(time.monotonic() - began)
            if compiled:
                state, metrics = train_step(state, batch)
            else:
                with compiling_step:
                    state, metrics = train_step(state, batch)
                compiled = True
                progress.restart()
            done += 1
            for rows in (recent, in_epoch, running):
                rows.append(metrics)

            # Log.
            if done % settings.log_steps == 0 or done == steps:
                _wait(running, progress)
                _check_finite(task.name, state, saved)
                values = _means(_added(recent))
                recent, in_epoch = [], [_added(in_epoch)]
                timing = progress.report(done, values)
                writer.write(done, "train", values | timing)
            if done % plan.epoch_steps == 0 or done == steps:
                means = _means(_added(in_epoch))
                _check_balance(task.name, -(-done // plan.epoch_steps), means)
                in_epoch = []


def _wait(running: list[dict[str, Mean]], progress: Progress) -> None:
    """Waits for steps one by one, so that the counter moves with them, and empties the list."""
    for metrics in running:
        jax.block_until_ready(metrics)
        progress.step()
    running.clear()


def kept(task: Task, state: TrainState) -> Variables:
    """The variables of a state on the host, without what only training needs."""
    return {
        kind: {name: tree[name] for name in tree if name not in task.auxiliary}
        for kind, tree in meshes.to_host(state.variables).items()
    }


def _chosen(
    name: str,
    state: TrainState,
    done: int,
    settings: ml_collections.ConfigDict,
    saved: checkpoints.Checkpoints,
) -> TrainState:
    """The state that the stage is left with: the last, or the best by validation."""
    if not settings.keep_best:
        return state
    found = saved.restore_best(state)
    if found is None:
        return state
    best, step = found
    LOG.info("%s: keeps step %d of %d, the best by validation", name, step, done)
    return best


def _begin(
    task: Task,
    settings: ml_collections.ConfigDict,
    variables: Variables,
    plan: Plan,
) -> tuple[TrainState, Callable[[TrainState, Batch], tuple[TrainState, dict]]]:
    """The state before the first step, on its devices, and the step, compiled when it is used."""
    variables = task.first(variables)
    labels = trained_paths(variables["params"], task.trained)
    optimiser = make_optimiser(settings.optimiser, plan.steps, labels)
    averaged = settings.average_decay > 0
    state = first_state(variables, optimiser, plan.key, averaged)
    shardings = meshes.state_shardings(state, plan.mesh)
    step = make_train_step(
        task,
        optimiser,
        labels,
        accumulate=settings.accumulate,
        average_decay=settings.average_decay,
        rematerialise=settings.rematerialise,
    )
    # The state that a step is given is donated: its memory becomes that of the next.
    compiled = compiling.jit(
        step,
        in_shardings=(shardings, NamedSharding(plan.mesh, meshes.BATCH)),
        out_shardings=(shardings, NamedSharding(plan.mesh, meshes.REPLICATED)),
        donate_argnums=0,
    )
    return meshes.put(state, shardings), compiled


def _is_validated(done: int, settings: ml_collections.ConfigDict, plan: Plan) -> bool:
    """Whether the state after so many steps is validated."""
    epoch, rest = divmod(done, plan.epoch_steps)
    whole = epoch > 0 and rest == 0
    return done == plan.steps or (whole and epoch % settings.evaluate_epochs == 0)


def _check_finite(name: str, state: TrainState, saved: checkpoints.Checkpoints) -> None:
    """Waits for the state and raises if a step was not finite."""
    bad = int(state.bad_step)
    if bad >= 0:
        saved.wait()
        last = "there is none"
        if saved.latest is not None:
            last = f"it is of step {saved.latest}"
        raise TrainingError(
            f"{name}: the loss or its gradient is not finite at step {bad}; the last good "
            f"checkpoint stays ({last})"
        )


def _check_balance(name: str, epoch: int, values: Mapping[str, float]) -> None:
    """Warns where one term is nearly all of an epoch's loss; the first process does."""
    largest = largest_share(values)
    if largest is None or largest[1] <= LARGEST_SHARE or jax.process_index():
        return
    LOG.warning(
        "%s: in epoch %d the term %r is %.0f %% of the loss, the others hardly count: "
        "change its weight or its scale",
        name,
        epoch,
        largest[0],
        100 * largest[1],
    )


def _added(rows: list[dict[str, Mean]]) -> dict[str, Mean]:
    """The sums of metrics over steps, on the host."""
    rows = jax.device_get(rows)
    return jax.tree.map(lambda *leaves: np.sum(leaves, dtype=np.float64), *rows)


def _means(added: dict[str, Mean]) -> dict[str, float]:
    """Means of metrics that were added up."""
    return {
        name: float(one.total) / max(float(one.weight), 1e-9)
        for name, one in added.items()
    }
