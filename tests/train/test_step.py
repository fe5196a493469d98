"""The pure step: accumulation, averages, and steps that are not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.train import state as states
from rac_jax.train.step import make_train_step
from tests.train import tiny_task
from tests.train.tiny_task import TinyTask


class Plain(TinyTask):
    """Without draws and batch statistics, so that pieces of a batch are like the whole."""

    trained = ("w",)

    def prepare(self, batch, key):
        return batch

    def loss(self, params, stats, batch, key):
        error = jnp.square(batch["x"] @ params["w"] - batch["y"])
        return jnp.mean(error), (stats, {"error": tiny_task.mean(error, batch["mask"])})


def start(task, variables, **changes):
    settings = tiny_task.settings(**changes)
    labels = states.trained_paths(variables["params"], task.trained)
    optimiser = states.make_optimiser(settings.optimiser, 10, labels)
    averaged = settings.average_decay > 0
    state = states.first_state(variables, optimiser, jax.random.key(1), averaged)
    step = make_train_step(
        task,
        optimiser,
        labels,
        accumulate=settings.accumulate,
        average_decay=settings.average_decay,
    )
    return state, jax.jit(step)


def plain_variables():
    return {"params": {"w": jnp.full((128,), 0.1)}, "batch_stats": {}}


def test_accumulated_gradients_are_those_of_the_whole_batch():
    results = []
    for pieces in (1, 4):
        state, step = start(Plain(), plain_variables(), accumulate=pieces)
        for index in range(4):
            state, metrics = step(state, tiny_task.batch(index))
        results.append((state.params["w"], metrics))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    for name in ("loss", "error", "gradient_norm"):
        whole, pieces = (float(metrics[name].value()) for _, metrics in results)
        assert pieces == pytest.approx(whole, rel=1e-4)


def test_a_batch_must_divide_into_its_pieces():
    state, step = start(Plain(), plain_variables(), accumulate=3)
    with pytest.raises(ValueError, match="batch of 8 does not divide by accumulate=3"):
        step(state, tiny_task.batch(0))


def test_the_average_follows_the_parameters():
    state, step = start(Plain(), plain_variables(), average_decay=0.5)
    expected = np.asarray(state.params["w"])
    for index in range(5):
        state, _ = step(state, tiny_task.batch(index))
        decay = min(0.5, (1 + index) / (10 + index))
        expected = decay * expected + (1 - decay) * np.asarray(state.params["w"])
    np.testing.assert_allclose(state.average["w"], expected, rtol=1e-5)
    assert state.variables["params"] is state.average


def test_a_step_is_a_function_of_its_arguments():
    state, step = start(TinyTask(), tiny_task.variables())
    state, _ = step(state, tiny_task.batch(1))  # warm-up: the first step moves nothing
    one, _ = step(state, tiny_task.batch(0))
    two, _ = step(state, tiny_task.batch(0))
    for a, b in zip(
        jax.tree.leaves(one.params), jax.tree.leaves(two.params), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    # Draws differ from step to step.
    later, _ = step(state.replace(step=state.step + 1), tiny_task.batch(0))
    assert not np.array_equal(
        later.params["last"]["kernel"], one.params["last"]["kernel"]
    )


def test_nothing_changes_from_the_first_step_that_is_not_finite():
    state, step = start(TinyTask(), tiny_task.variables(), average_decay=0.9)
    state, _ = step(state, tiny_task.batch(0))
    bad = tiny_task.batch(1)
    bad["y"] = bad["y"].copy()
    bad["y"][2] = np.nan
    broken, _ = step(state, bad)
    assert int(broken.bad_step) == 1 and int(broken.step) == 2
    again, _ = step(broken, tiny_task.batch(2))
    assert int(again.bad_step) == 1
    for kept, before in zip(
        jax.tree.leaves(
            (again.params, again.batch_stats, again.average, again.optimiser)
        ),
        jax.tree.leaves(
            (state.params, state.batch_stats, state.average, state.optimiser)
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(kept, before)
