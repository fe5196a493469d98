"""Targets, losses and batches of the compact counter, and two steps of its training."""

import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.models import compact as model
from rac_jax.train import compact, compact_reliability, compact_scenes

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config():
    spec = importlib.util.spec_from_file_location("c", ROOT / "configs/compact.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.sight.size = 16
    config.sight.scenes = ((2, dict(config.sight.scenes[0][1])),)
    config.sight.batch = config.sound.batch = 2
    config.sight.steps = config.sound.steps = 2
    config.sound.number = 2
    config.sound.scenes.frames = 128
    config.sound.strides = (1, 2)
    return config


def test_targets_peak_at_the_period():
    grid = model.period_grid()
    rate = jnp.asarray(1 / grid[None])  # [1, 28]: every bin once
    targets = compact.period_targets(rate, jnp.ones((1, 28), bool), 0.8)
    np.testing.assert_array_equal(targets.periods[0].argmax(-1), np.arange(28))
    np.testing.assert_allclose(targets.periods.sum(-1), 1, rtol=1e-5)
    assert targets.period_mask.sum() >= 26  # the ends are a matter of rounding


def test_other_periods_are_not_periodic_here():
    rate = 1 / jnp.array([[1.5, 2.4, 10.0, 36.0, 60.0, 10.0]])
    periodic = jnp.array([[True] * 5 + [False]])
    targets = compact.period_targets(rate, periodic, 0.8)
    np.testing.assert_array_equal(targets.periodicity[0], [0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(targets.periodicity_mask[0], [1, 0, 1, 0, 1, 1])
    np.testing.assert_array_equal(targets.period_mask[0], [0, 0, 1, 0, 0, 0])


def test_loss_is_least_at_the_truth():
    rate = jnp.full((1, 64), 0.1)
    periodic = (jnp.arange(64) < 40)[None]
    targets = compact.period_targets(rate, periodic, 0.8)
    right = model.PeriodLogits(
        jnp.log(targets.periods + 1e-6), jnp.where(periodic, 20.0, -20.0)
    )
    wrong = model.PeriodLogits(jnp.roll(right.periods, 5, -1), -right.periodicity)
    entropy = -jnp.sum(targets.periods * jnp.log(targets.periods + 1e-6), axis=-1)
    least, terms = compact.stream_loss(right, targets, 2.0)
    np.testing.assert_allclose(least, entropy[0, 0], rtol=1e-3)
    assert terms["periodicity"] < 1e-6
    assert compact.stream_loss(wrong, targets, 2.0)[0] > least + 10


def test_ending_early_repeats_the_last_frame():
    batch = compact.WindowBatch(
        np.arange(128).reshape(2, 64), np.ones((2, 64)), np.ones((2, 64), bool)
    )
    short = compact.end_early(batch, np.array([64, 20]))
    np.testing.assert_array_equal(short.windows[0], batch.windows[0])
    assert (short.windows[1, 20:] == batch.windows[1, 19]).all()
    assert short.rate[1].sum() == 20 and not short.periodic[1, 20:].any()


def test_sight_scenes_and_steps(config):
    data = compact_scenes.sight_scenes(config.sight, jax.random.key(0))
    assert data["windows"].shape == (2, 64, 16, 16)
    assert data["windows"].dtype == np.uint8
    assert data["rate"].shape == data["periodic"].shape == (2, 64)
    variables = compact.train_stream(config, "pixels", config.sight, data)
    again = compact.train_stream(config, "pixels", config.sight, data)
    for a, b in zip(jax.tree.leaves(variables), jax.tree.leaves(again), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


def test_sound_scenes_and_steps(config):
    data = compact_scenes.sound_scenes(config.sound, jax.random.key(0))
    assert data["windows"].shape == (4, 64, 4, 32)
    assert data["windows"].dtype == np.float16
    compact.train_stream(config, "spectrum", config.sound, data)


def test_kept_arrays_are_made_once(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"a": np.arange(3)}

    for _ in range(2):
        arrays = compact_scenes.kept(tmp_path / "folder" / "x.npz", make)
        np.testing.assert_array_equal(arrays["a"], [0, 1, 2])
    assert made == [1]
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["x.npz"]


def test_reliability_learns_whom_to_believe():
    """Sound is right where it is sure and the picture is not; sight is right elsewhere."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(3, 20, 200)
    dark = rng.random(200) < 0.4
    counts = {"sight": np.where(dark, 0, truth), "sound": np.where(dark, truth, 2)}
    confidence = {
        "sight": np.where(dark, 0.0, 0.9),
        "sound": np.where(dark, 0.8, rng.uniform(0, 0.9, 200)),
    }
    weights = compact_reliability.fit(counts, confidence, truth)
    gamma = compact_reliability.gate(weights, confidence["sight"], confidence["sound"])
    assert gamma[dark].min() > 0.9 and gamma[~dark].max() < 0.1
