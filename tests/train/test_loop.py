"""The loop stops where it must, and keeps what was good."""

import contextlib
import dataclasses
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.train import checkpoints, loop
from rac_jax.train import mesh as meshes
from rac_jax.train.metrics import Mean, part_name
from tests.train import tiny_task

STEPS = 12


@dataclasses.dataclass(frozen=True)
class JudgedTask(tiny_task.TinyTask):
    """The tiny task, validated by a function."""

    judge: Callable = lambda variables, epoch: {"error": 1 / epoch}

    def validate(self, variables, epoch):
        return self.judge(variables, epoch)


def fit(
    folder,
    batches,
    stop=None,
    judge=None,
    identity=None,
    task=None,
    epoch_steps=4,
    **changes,
):
    if task is None:
        task = JudgedTask() if judge is None else JudgedTask(judge=judge)
    plan = loop.Plan(
        steps=STEPS,
        epoch_steps=epoch_steps,
        batches=batches,
        mesh=meshes.make_mesh(),
        folder=folder,
        identity=identity or {"seed": 0},
        key=jax.random.key(0),
        stop=stop or loop.StopSignal(),
    )
    return loop.fit(task, tiny_task.settings(**changes), tiny_task.variables(), plan)


def good(start):
    return (tiny_task.batch(step) for step in range(start, STEPS))


def test_it_learns_and_evaluates_at_the_ends_of_epochs(tmp_path):
    seen = []

    def judge(variables, epoch):
        seen.append((epoch, variables["params"]["last"]["kernel"].copy()))
        return {"error": 1 / epoch}

    state = fit(tmp_path, good, judge=judge)
    assert [epoch for epoch, _ in seen] == [1, 2, 3] and int(state.step) == STEPS
    assert not np.array_equal(seen[0][1], seen[1][1])
    np.testing.assert_array_equal(seen[2][1], state.params["last"]["kernel"])
    with checkpoints.Checkpoints(tmp_path / "checkpoints", {"seed": 0}) as saved:
        assert saved.latest == STEPS and saved.best == STEPS


def test_epochs_can_be_left_out_but_for_the_last(tmp_path):
    seen = []

    def judge(variables, epoch):
        seen.append(epoch)
        return {"error": 0.5}

    fit(tmp_path, good, judge=judge, evaluate_epochs=2)
    assert seen == [2, 3]


def test_a_finished_stage_takes_no_more_steps(tmp_path):
    one = fit(tmp_path, good)

    def none(start):
        assert start == STEPS
        yield from ()

    two = fit(tmp_path, none)
    np.testing.assert_array_equal(
        one.params["last"]["kernel"], two.params["last"]["kernel"]
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path, value
):
    def batches(start):
        for step in range(start, STEPS):
            batch = tiny_task.batch(step)
            if step == 7:
                batch["y"] = batch["y"] + np.float32(value)
            yield batch

    message = r"tiny: .* not finite at step 7; the last good checkpoint stays \(it is of step 6\)"
    with pytest.raises(loop.TrainingError, match=message):
        fit(tmp_path, batches, log_steps=2)
    # From there the run goes on once the cause is gone.
    state = fit(tmp_path, good)
    straight = fit(tmp_path / "straight", good)
    np.testing.assert_array_equal(
        state.params["last"]["kernel"], straight.params["last"]["kernel"]
    )


def test_asked_to_stop_it_saves_first(tmp_path):
    stop = loop.StopSignal()

    def batches(start):
        for step in range(start, STEPS):
            if step == 5:
                stop.set()
            yield tiny_task.batch(step)

    with pytest.raises(loop.Stopped, match="tiny: stopped at step 6 of 12"):
        fit(tmp_path, batches, stop=stop, checkpoint_steps=0)
    begun = []

    def rest(start):
        begun.append(start)
        return good(start)

    fit(tmp_path, rest, checkpoint_steps=0)
    assert begun == [6]


def test_another_runs_folder_is_refused(tmp_path):
    fit(tmp_path, good)
    with pytest.raises(checkpoints.CheckpointError, match="seed = 0, this run has 1"):
        fit(tmp_path, good, identity={"seed": 1})


@dataclasses.dataclass(frozen=True)
class UnevenTask(JudgedTask):
    """The tiny task, whose loss has two parts, the second of a given share."""

    share: float = 0.0

    def loss(self, params, batch_stats, batch, key):
        loss, (stats, metrics) = super().loss(params, batch_stats, batch, key)
        ones = jnp.ones(())
        parts = {"own": loss * (1 - self.share), "other": loss * self.share}
        more = {part_name(name): Mean(part, ones) for name, part in parts.items()}
        return loss, (stats, metrics | more)


@pytest.mark.parametrize(("share", "epochs"), [(0.95, 3), (0.85, 0)])
def test_a_term_that_is_nearly_all_of_the_loss_is_reported(
    share, epochs, tmp_path, caplog
):
    fit(tmp_path, good, task=UnevenTask(share=share))
    said = [
        r.getMessage()
        for r in caplog.records
        if r.name == loop.LOG.name and r.levelname == "WARNING"
    ]
    assert len(said) == epochs
    for epoch, line in enumerate(said, start=1):
        assert line.startswith(f"tiny: in epoch {epoch} the term 'other' is 95 % of")


@pytest.mark.parametrize(("keep_best", "kept"), [(False, 3), (True, 2)])
def test_the_best_epoch_is_kept_where_it_is_asked_for(keep_best, kept, tmp_path):
    seen = []

    def judge(variables, epoch):
        seen.append(variables["params"]["last"]["kernel"].copy())
        return {"error": {1: 3.0, 2: 1.0, 3: 2.0}[epoch]}

    def last():
        state = fit(tmp_path, good, judge=judge, keep_best=keep_best)
        return np.asarray(state.params["last"]["kernel"])

    left = last()
    np.testing.assert_array_equal(left, seen[kept - 1])
    # A finished stage that is asked for again gives the same.
    np.testing.assert_array_equal(last(), left)
    assert len(seen) == 3


def test_validation_scores_are_shown(tmp_path, caplog):
    caplog.set_level("INFO", logger="rac_jax.train")
    fit(tmp_path, good, judge=lambda variables, epoch: {"error": epoch / 8, "mae": 0.5})
    lines = [line for line in caplog.messages if "validation" in line]
    assert lines[0] == "tiny 4/12  validation: error 0.125  mae 0.500"
    assert len(lines) == 3


@dataclasses.dataclass(frozen=True)
class SlowTask(JudgedTask):
    """The tiny task, whose step takes a while on the device."""

    def prepare(self, batch, key):
        matrix = jax.random.normal(key, (400, 400)) / 20
        slow = jax.lax.fori_loop(0, 20, lambda _, x: jnp.tanh(x @ matrix), matrix)
        return batch | {"y": batch["y"] + 1e-9 * slow[0, 0]}


def test_the_counter_moves_with_the_steps(tmp_path, monkeypatch):
    times = []

    class Noting(loop.Progress):
        def step(self):
            times.append(time.monotonic())
            super().step()

        def report(self, step, values):
            times.append(time.monotonic())
            return super().report(step, values)

    monkeypatch.setattr(loop, "Progress", Noting)
    changes = {"log_steps": STEPS, "checkpoint_steps": 0}
    fit(tmp_path, good, task=SlowTask(), epoch_steps=STEPS, **changes)
    *steps, reported = times
    assert len(steps) == STEPS
    # Without the first, which is compiled. If they were only waited for when they are reported,
    # they would all be counted at once.
    assert steps[-1] - steps[1] > 0.5 * (reported - steps[1])


def test_no_step_is_waited_for_between_logs(tmp_path, monkeypatch):
    """The host sends all steps up to the next log before it waits for the first of them."""
    order = []

    class Noting(loop.Progress):
        def fetched(self, waited_s):
            order.append("sent")
            super().fetched(waited_s)

        def step(self):
            order.append("done")
            super().step()

    monkeypatch.setattr(loop, "Progress", Noting)
    changes = {"log_steps": STEPS // 2, "checkpoint_steps": 0}
    fit(tmp_path, good, epoch_steps=STEPS, **changes)
    half = ["sent"] * (STEPS // 2) + ["done"] * (STEPS // 2)
    assert order == half * 2


def test_the_compile_of_the_step_is_said_once(tmp_path, monkeypatch):
    said = []

    @contextlib.contextmanager
    def busy(what, active):
        said.append((what, active))
        yield

    monkeypatch.setattr(loop, "busy", busy)
    fit(tmp_path, good, evaluate_epochs=2)
    assert said == [
        ("tiny: compiling the training step", True),
        ("tiny: validating after epoch 2", True),
        ("tiny: validating after epoch 3", True),
    ]
