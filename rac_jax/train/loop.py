"""The training loop of one stage, whatever the stage learns."""

import logging
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from rac_jax.ops import compiling
from rac_jax.train import checkpoints
from rac_jax.train import mesh as meshes
from rac_jax.train.logging import MetricWriter, Progress
from rac_jax.train.state import TrainState, first_state, make_optimiser, trained_paths
from rac_jax.train.step import make_train_step

LOG = logging.getLogger("rac_jax.train")
AGREE_STEPS = (
    10  # several hosts ask one another this often whether one was told to stop
)


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

    def agreed(self, step: int) -> bool:
        """Whether all hosts are to stop at this step."""
        if jax.process_count() == 1:
            return self._asked.is_set()
        if step % AGREE_STEPS:
            return False
        from jax.experimental import multihost_utils

        asked = np.array(self._asked.is_set())
        return bool(multihost_utils.process_allgather(asked).any())


def fit(
    task: Any,
    settings: Any,
    variables: dict[str, Any],
    *,
    steps: int,
    epoch_steps: int,
    batches: Callable[[int], Iterator[Any]],
    evaluate: Callable[[dict[str, Any], int], Mapping[str, float]],
    mesh: Any,
    folder: pathlib.Path,
    identity: Mapping[str, Any],
    key: jax.Array,
    stop: StopSignal,
) -> TrainState:
    """Trains one stage, from its last checkpoint if there is one.

    Args:
      task: see `tasks`: `trained`, `first`, `prepare`, `loss`.
      settings: the stage's section: `batch`, `accumulate`, `average_decay`, `optimiser`,
        `rematerialise` (see `make_train_step`), `log_steps`, `evaluate_epochs` (every so many,
        and the last), `checkpoint_steps` (0: at evaluations only).
      variables: what the stage begins with.
      steps: batches to take in all.
      epoch_steps: batches to an epoch.
      batches: (batches already taken) -> the device batches that follow.
      evaluate: (variables, epoch from 1) -> metrics with "error", the validation error.
      mesh: devices.
      folder: of the stage; checkpoints and metrics go there.
      identity: what makes a checkpoint fit this run.
      key: of the stage.
      stop: asks to stop.

    Returns:
      The state after the last step.

    Raises:
      TrainingError: if a loss or gradient is not finite any more.
      Stopped: when asked to; a checkpoint of the last step is written.
      CheckpointError: if the folder's checkpoints are of another run.
    """
    variables = task.first(variables)
    labels = trained_paths(variables["params"], task.trained)
    optimiser = make_optimiser(settings.optimiser, steps, labels)
    averaged = settings.average_decay > 0
    state = first_state(variables, optimiser, key, averaged)
    shardings = meshes.state_shardings(state, mesh)
    state = meshes.put(state, shardings)
    batch_sharding = NamedSharding(mesh, meshes.BATCH)
    replicated = NamedSharding(mesh, meshes.REPLICATED)
    train_step = compiling.jit(
        make_train_step(
            task,
            optimiser,
            labels,
            accumulate=settings.accumulate,
            average_decay=settings.average_decay,
            rematerialise=settings.rematerialise,
        ),
        in_shardings=(shardings, batch_sharding),
        out_shardings=(shardings, replicated),
        donate_argnums=0,
    )
    first = jax.process_index() == 0
    with checkpoints.Checkpoints(folder / "checkpoints", identity) as saved:
        done, restored = 0, None
        if saved.latest is not None:
            restored = saved.latest
            state, done = saved.restore(restored, state)
            LOG.info("%s: goes on from step %d", task.name, done)
        writer = MetricWriter(folder, done, active=first)
        progress = Progress(task.name, steps, done, settings.batch, active=first)
        upcoming, recent = batches(done), []
        # The order is law: evaluate, save, then fetch the next batch, step, log. So the
        # checkpoint of step k holds what batch k, counted from 0, is given to.
        try:
            while True:
                error = None
                epoch, rest = divmod(done, epoch_steps)
                judged = epoch and not rest and epoch % settings.evaluate_epochs == 0
                if done != restored and (judged or done == steps):
                    _check_finite(task.name, state, saved)
                    found = evaluate(meshes.to_host(state.variables), epoch)
                    error = found["error"]
                    writer.write(done, "validation", found)
                    progress.restart()
                stopping = done < steps and stop.agreed(done)
                due = (
                    settings.checkpoint_steps and done % settings.checkpoint_steps == 0
                )
                if done != restored and (
                    error is not None or stopping or done == steps or (due and done)
                ):
                    _check_finite(task.name, state, saved)
                    saved.save(done, state, error)
                if stopping:
                    saved.wait()
                    raise Stopped(f"{task.name}: stopped at step {done} of {steps}")
                if done == steps:
                    break
                began = time.monotonic()
                batch = next(upcoming)
                waited = time.monotonic() - began
                state, metrics = train_step(state, batch)
                done += 1
                recent.append(metrics)
                progress.step(waited)
                if done % settings.log_steps == 0 or done == steps:
                    _check_finite(task.name, state, saved)
                    values = _means(recent)
                    recent = []
                    timing = progress.report(done, values)
                    writer.write(done, "train", values | timing)
        finally:
            if hasattr(upcoming, "close"):
                upcoming.close()
            progress.close()
            writer.close()
    return state


def _check_finite(name: str, state: TrainState, saved: checkpoints.Checkpoints) -> None:
    """Waits for the state and raises if a step was not finite."""
    bad = int(state.bad_step)
    if bad >= 0:
        saved.wait()
        kept = (
            "there is none" if saved.latest is None else f"it is of step {saved.latest}"
        )
        raise TrainingError(
            f"{name}: the loss or its gradient is not finite at step {bad}; the last good "
            f"checkpoint stays ({kept})"
        )


def _means(rows: list[dict]) -> dict[str, float]:
    """Means of metrics over steps."""
    rows = jax.device_get(rows)
    return {
        name: float(sum(row[name].total for row in rows))
        / max(float(sum(row[name].weight for row in rows)), 1e-9)
        for name in rows[0]
    }
