"""The pure step: accumulation, averages, and steps that are not finite."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.encoders import layers
from rac_jax.train import state as states
from rac_jax.train.step import REMATERIALISE, make_train_step, rematerialised
from tests.train import tiny_task
from tests.train.tiny_task import TinyTask

pytestmark = pytest.mark.usefixtures("quick_compiling")


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
        rematerialise=settings.rematerialise,
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


class Stack:
    """Convolutions, normalised, over images."""

    trained = ("layers",)

    def __init__(self):
        self.module = Layers(6)

    def variables(self):
        """{"params", "batch_stats"} under the name of the group."""
        first = self.module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 4)))
        return {kind: {"layers": tree} for kind, tree in first.items()}

    def prepare(self, batch, key):
        """As it is."""
        del key
        return batch

    def loss(self, params, stats, batch, key):
        """The mean square of what comes out."""
        del key
        variables = {"params": params["layers"], "batch_stats": stats["layers"]}
        out, stats = self.module.apply(
            variables, batch["x"], train=True, mutable=["batch_stats"]
        )
        loss = jnp.mean(jnp.square(out - 1))
        return loss, ({"layers": stats["batch_stats"]}, {})


class Layers(nn.Module):
    """`depth` layers of 32 channels."""

    depth: int

    @nn.compact
    def __call__(self, x, train=False):
        for _ in range(self.depth):
            x = layers.ConvNorm(32, (3, 3), (1, 1), (1, 1))(x, train=train)
        return x


def test_rematerialising_saves_memory_and_changes_nothing():
    images = np.random.default_rng(0).normal(size=(4, 24, 24, 4))
    batch, found, kept = {"x": jnp.asarray(images, jnp.float32)}, {}, {}
    for what in REMATERIALISE:
        task = Stack()
        state, step = start(task, task.variables(), rematerialise=what)
        for _ in range(2):
            state, _ = step(state, batch)
        found[what] = (state.params, state.batch_stats)

        def scalar(params, task=task, state=state):
            return task.loss(params, state.batch_stats, batch, None)[0]

        _, pull = jax.vjp(rematerialised(scalar, what), state.params)
        kept[what] = sum(leaf.nbytes for leaf in jax.tree.leaves(pull))
    for a, b in zip(*map(jax.tree.leaves, found.values()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    # Of each of the six layers its convolution's result [4, 24, 24, 32], of the last also what
    # follows; else of each also what the next convolution takes.
    result = 4 * 24 * 24 * 32 * 4
    assert 6 * result < kept["norms"] < 7 * result
    assert kept["nothing"] > 12 * result


def test_unknown_rematerialisation_is_named():
    with pytest.raises(ValueError, match="rematerialise: 'all' is not one of"):
        start(Plain(), plain_variables(), rematerialise="all")
