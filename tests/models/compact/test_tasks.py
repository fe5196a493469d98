"""The compact counter's losses, against hand-computed values, and that its tasks learn."""

import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from rac_jax.models.compact import FAMILY, grid, posteriors, recipe, stream_task
from rac_jax.models.compact.decoder_task import DecoderTask
from rac_jax.models.compact.network import PeriodLogits
from rac_jax.train.recipe import ArrayExamples
from tests.models.compact.tiny_run import make_run, tiny_config

pytestmark = pytest.mark.usefixtures("quick_compiling")

CONFIG = ml_collections.ConfigDict(
    {
        "loss": {"sigma": 0.8, "periodicity": 2.0},
        "decoder": {"stride_dropout": 0.0, "one_stride": 0.0},
    }
)


def decoder_task(network, config) -> DecoderTask:
    """The task without videos."""
    run = types.SimpleNamespace(network=network, config=config)
    return DecoderTask(run, ArrayExamples(lambda step: {}), None)


def test_targets_are_gaussians_in_log_period():
    rate = jnp.array([[1 / 10.0, 0.0, 1 / 200.0, 1 / 36.0]])
    targets = stream_task.period_targets(
        rate, jnp.array([[True, False, True, True]]), 0.8
    )
    periods = np.log(grid.period_grid())
    bins = (np.log(10.0) - periods) / (0.8 * (periods[1] - periods[0]))
    hand = np.exp(-0.5 * bins**2)
    np.testing.assert_allclose(targets.periods[0, 0], hand / hand.sum(), atol=1e-5)
    assert targets.period_mask.tolist() == [[1, 0, 0, 0]]
    assert targets.periodicity.tolist() == [[1, 0, 0, 0]]
    # 36 frames are just beyond the grid's 34: neither periodic nor not.
    assert targets.periodicity_mask.tolist() == [[1, 1, 1, 0]]


def test_stream_loss_by_hand():
    logits = PeriodLogits(jnp.zeros((1, 2, 28)), jnp.array([[0.0, 3.0]]))
    targets = stream_task.PeriodTargets(
        periods=jnp.full((1, 2, 28), 1 / 28),
        period_mask=jnp.array([[1.0, 0.0]]),
        periodicity=jnp.array([[1.0, 0.0]]),
        periodicity_mask=jnp.ones((1, 2)),
    )
    loss, terms = stream_task.stream_loss(logits, targets, 2.0)
    periodicity = (np.log(2) + np.log1p(np.exp(3.0))) / 2
    assert float(loss) == pytest.approx(np.log(28) + 2 * periodicity, rel=1e-5)
    assert float(terms["period"].value()) == pytest.approx(np.log(28), rel=1e-5)


def _example(rng, period, helpful):
    """Posteriors of a period at stride 1 in sight, and in the sound, another if that is wrong."""

    def told(frames):
        rows = np.zeros((80, 29), np.float32)
        rows[:, np.argmin(np.abs(grid.period_grid() - frames))] = 1.0
        rows[:, -1] = rng.uniform(0.7, 0.9)
        return posteriors.stack_posteriors({1: rows}, 0, 20).astype(np.float32)

    heard = told(period)
    if not helpful:
        heard = told(period / 2) * 0.3
    seen = told(period)
    if rng.random() < 0.5:  # nothing to be seen
        seen = rng.uniform(0, 0.02, seen.shape).astype(np.float32)
    return {
        "sight": seen,
        "sound": heard,
        "log_period": np.full(20, np.log(period), np.float32),
        "periodic": np.ones(20, bool),
        "real": np.ones(20, bool),
        "helpful": helpful,
    }


@pytest.mark.slow
def test_the_reliability_learns_which_sound_to_trust():
    rng = np.random.default_rng(0)
    rows = [_example(rng, 6.0 + i % 12, i % 2 == 0) for i in range(32)]
    batch = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    network = FAMILY.network(sight_features=("pixels",))
    variables = FAMILY.initialise(network, jax.random.key(0))
    task = decoder_task(network, CONFIG)
    params = {name: variables["params"][name] for name in task.trained}
    optimiser = optax.adam(5e-3)
    state = optimiser.init(params)

    @jax.jit
    def step(params, state):
        prepared = task.prepare(batch, jax.random.key(1))
        (_, (_, metrics)), gradient = jax.value_and_grad(task.loss, has_aux=True)(
            params, {}, prepared, jax.random.key(2)
        )
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, updates), state, metrics

    first = None
    for _ in range(80):
        params, state, metrics = step(params, state)
        first = first or jax.device_get(metrics)
    assert metrics["fused"].value() < 0.5 * first["fused"].value()
    found = network.apply(
        {"params": params}, batch["sight"], batch["sound"], method="decode"
    )
    weight = np.asarray(found.reliability).mean(1)
    helpful = batch["helpful"]
    faint = batch["sight"].max((1, 2, 3)) < 0.1
    assert 4 < (helpful & faint).sum() < 14
    assert weight[helpful & faint].min() > weight[~helpful].max()


def _prepared(stride_dropout: float, one_stride: float, log_period: float) -> dict:
    settings = {"stride_dropout": stride_dropout, "one_stride": one_stride}
    task = decoder_task(None, ml_collections.ConfigDict({"decoder": settings}))
    batch = {
        "sight": jnp.ones((64, 3, 54, 14)),
        "sound": jnp.ones((64, 3, 54, 14)),
        "log_period": jnp.full((64, 3), log_period),
        "periodic": jnp.ones((64, 3), bool),
        "helpful": jnp.ones(64, bool),
    }
    return task.prepare(batch, jax.random.key(0))


def _left(batch: dict) -> np.ndarray:
    """[B, S], having checked that both streams and all channels of a stride agree."""
    channels = np.asarray(batch["sight"]).reshape(64, -1, 2, 7)
    assert (channels == channels[:, :1, :1]).all()
    np.testing.assert_array_equal(batch["sight"], batch["sound"])
    return channels[:, 0, 0]


def test_strides_are_dropped_whole():
    batch = _prepared(0.5, 0.0, 3.0)
    assert set(np.unique(_left(batch))) == {0.0, 1.0}
    assert batch["periodic"].all()


def test_one_stride_is_asked_only_for_periods_it_has():
    period = 40.0  # not every stride has a class for it
    batch = _prepared(0.0, 1.0, float(np.log(period)))
    left = _left(batch)
    np.testing.assert_array_equal(left.sum(1), 1)
    assert (left.sum(0) > 0).all()
    periods = grid.period_grid()
    stride = np.array(grid.STRIDES)[left.argmax(1)]
    within = (period / stride >= periods[0]) & (period / stride <= periods[-1])
    assert within.any() and not within.all()
    expected = np.broadcast_to(within[:, None], (64, 3))
    np.testing.assert_array_equal(batch["periodic"], expected)


def test_stream_groups():
    network = types.SimpleNamespace(sight_features=("pixels", "learned"))
    assert stream_task.stream_groups(network, "sight") == (
        "sight_pixels",
        "sight_learned",
    )
    assert stream_task.stream_groups(network, "sound") == ("sound_stream",)


def test_validation_is_always_of_the_same_windows(tmp_path):
    """Of sound; sight takes long to compile and is validated where the recipe is trained."""
    run = make_run(tiny_config(), tmp_path)
    variables = FAMILY.initialise(run.network, jax.random.key(0))
    task = recipe.stream_task("sound", run, variables)
    found = task.validate(variables, 1)
    assert set(found) == {
        "error",
        "sound_stream_period",
        "sound_stream_periodicity",
    }
    assert found == task.validate(variables, 2)
    assert np.isfinite(list(found.values())).all()
