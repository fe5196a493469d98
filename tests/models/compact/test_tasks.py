"""The compact counter's losses, against hand-computed values, and that its tasks learn."""

import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from rac_jax.models import registry
from rac_jax.models.compact import network as compact
from rac_jax.models.compact import posteriors as periods
from rac_jax.models.compact import stream_task as period_tasks
from rac_jax.models.compact.decoder_task import ReaderTask

CONFIG = ml_collections.ConfigDict(
    {
        "loss": {"sigma": 0.8, "periodicity": 2.0},
        "reader": {"stride_dropout": 0.0, "one_stride": 0.0},
    }
)


def test_targets_are_gaussians_in_log_period():
    rate = jnp.array([[1 / 10.0, 0.0, 1 / 200.0, 1 / 36.0]])
    targets = period_tasks.period_targets(
        rate, jnp.array([[True, False, True, True]]), 0.8
    )
    grid = np.log(compact.period_grid())
    bins = (np.log(10.0) - grid) / (0.8 * (grid[1] - grid[0]))
    hand = np.exp(-0.5 * bins**2)
    np.testing.assert_allclose(targets.periods[0, 0], hand / hand.sum(), atol=1e-5)
    assert targets.period_mask.tolist() == [[1, 0, 0, 0]]
    assert targets.periodicity.tolist() == [[1, 0, 0, 0]]
    # 36 frames are just beyond the grid's 34: neither periodic nor not.
    assert targets.periodicity_mask.tolist() == [[1, 1, 1, 0]]


def test_stream_loss_by_hand():
    logits = compact.PeriodLogits(jnp.zeros((1, 2, 28)), jnp.array([[0.0, 3.0]]))
    targets = period_tasks.PeriodTargets(
        periods=jnp.full((1, 2, 28), 1 / 28),
        period_mask=jnp.array([[1.0, 0.0]]),
        periodicity=jnp.array([[1.0, 0.0]]),
        periodicity_mask=jnp.ones((1, 2)),
    )
    loss, terms = period_tasks.stream_loss(logits, targets, 2.0)
    periodicity = (np.log(2) + np.log1p(np.exp(3.0))) / 2
    assert float(loss) == pytest.approx(np.log(28) + 2 * periodicity, rel=1e-5)
    assert float(terms["period"].value()) == pytest.approx(np.log(28), rel=1e-5)


def _example(rng, period, helpful):
    """Evidence of a period at stride 1 in sight, and of another in the sound if that is wrong."""

    def evidence(frames):
        line = np.zeros((80, 29), np.float32)
        line[:, np.argmin(np.abs(compact.period_grid() - frames))] = 1.0
        line[:, -1] = rng.uniform(0.7, 0.9)
        return periods.stack_evidence({1: line}, 0, 20).astype(np.float32)

    heard = evidence(period)
    if not helpful:
        heard = evidence(period / 2) * 0.3
    seen = evidence(period)
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


def test_the_gate_learns_which_sound_to_trust():
    rng = np.random.default_rng(0)
    rows = [_example(rng, 6.0 + i % 12, i % 2 == 0) for i in range(32)]
    batch = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    model = registry.build_model("compact", sight_features=("pixels",))
    variables = registry.init_variables(model, jax.random.key(0))
    task = ReaderTask(model, CONFIG)
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
    reading = model.apply(
        {"params": params}, batch["sight"], batch["sound"], method="read"
    )
    gamma = np.asarray(reading.gamma).mean(1)
    helpful = batch["helpful"]
    faint = batch["sight"].max((1, 2, 3)) < 0.1
    assert 4 < (helpful & faint).sum() < 14
    assert gamma[helpful & faint].min() > gamma[~helpful].max()


def _prepared(stride_dropout: float, one_stride: float, log_period: float) -> dict:
    settings = {"stride_dropout": stride_dropout, "one_stride": one_stride}
    task = ReaderTask(None, ml_collections.ConfigDict({"reader": settings}))
    batch = {
        "sight": jnp.ones((64, 3, 54, 14)),
        "sound": jnp.ones((64, 3, 54, 14)),
        "log_period": jnp.full((64, 3), log_period),
        "periodic": jnp.ones((64, 3), bool),
        "helpful": jnp.ones(64, bool),
    }
    return task.prepare(batch, jax.random.key(0))


def _kept(batch: dict) -> np.ndarray:
    """[B, S], having checked that both streams and all channels of a stride agree."""
    channels = np.asarray(batch["sight"]).reshape(64, -1, 2, 7)
    assert (channels == channels[:, :1, :1]).all()
    np.testing.assert_array_equal(batch["sight"], batch["sound"])
    return channels[:, 0, 0]


def test_strides_are_dropped_whole():
    batch = _prepared(0.5, 0.0, 3.0)
    assert set(np.unique(_kept(batch))) == {0.0, 1.0}
    assert batch["periodic"].all()


def test_one_stride_is_asked_only_for_periods_it_has():
    period = 40.0  # not every stride has a class for it
    batch = _prepared(0.0, 1.0, float(np.log(period)))
    kept = _kept(batch)
    np.testing.assert_array_equal(kept.sum(1), 1)
    assert (kept.sum(0) > 0).all()
    grid = compact.period_grid()
    stride = np.array(compact.STRIDES)[kept.argmax(1)]
    within = (period / stride >= grid[0]) & (period / stride <= grid[-1])
    assert within.any() and not within.all()
    expected = np.broadcast_to(within[:, None], (64, 3))
    np.testing.assert_array_equal(batch["periodic"], expected)


def test_stream_groups():
    model = types.SimpleNamespace(sight_features=("pixels", "learned"))
    assert period_tasks.stream_groups(model, "sight") == (
        "sight_pixels",
        "sight_learned",
    )
    assert period_tasks.stream_groups(model, "sound") == ("sound_stream",)
