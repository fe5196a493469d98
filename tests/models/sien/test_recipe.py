"""SI-EN's targets and loss by hand, its settings, and a step of every variant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.models.sien import FAMILY, losses, recipe
from rac_jax.train import loop, mesh
from rac_jax.train.run import Run, check_stages
from tests.models.sien import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")


def run_of(config, folder):
    network = FAMILY.network(**config.model.to_dict())
    stop = loop.StopSignal()
    return Run(config, folder, FAMILY, FAMILY.recipe(), network, mesh.make_mesh(), stop)


def test_targets_by_hand():
    # Nothing, a cycle of 12 frames that turns round after 7, and one that has begun.
    place = np.arange(12) / 12
    stage = np.concatenate([np.arange(7) / 14, 0.5 + np.arange(5) / 10])
    phase = np.concatenate([[0, 0], place, place[:3]])[None].astype(np.float32)
    stage = np.concatenate([[0, 0], stage, stage[:3]])[None].astype(np.float32)
    inside = np.arange(17)[None] >= 2
    rate = np.where(inside, 1 / 12, 0).astype(np.float32)

    def text(scheme):
        found = losses.phase_targets(scheme, stage, phase, rate, inside)
        return "".join(map(str, found[0].tolist()))

    assert text("halves") == "00" + "1" * 7 + "2" * 5 + "111"
    assert text("ends") == "00" + "1" * 8 + "2" * 4 + "111"
    assert text("middles") == "00" + "1" * 7 + "2" + "3" * 4 + "111"


def test_loss_by_hand():
    weights = losses.class_weights("middles", 0.2)
    np.testing.assert_allclose(weights, [1, 0.2, 1, 1])
    np.testing.assert_allclose(losses.class_weights("halves", 0.2), [1, 1, 1])
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    targets = jnp.array([[0, 1, 1], [2, 3, 1]])
    loss, metrics = losses.phase_loss(logits, targets, weights)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    cross = -np.take_along_axis(log, np.asarray(targets)[..., None], -1)[..., 0]
    own = np.asarray(weights)[targets]
    assert float(loss) == pytest.approx((cross * own).sum() / own.sum(), rel=1e-5)
    right = (logits.argmax(-1) == np.asarray(targets)).mean()
    assert float(metrics["right"].value()) == pytest.approx(right)


def test_videos_are_joined_in_time():
    leaf = jnp.arange(4 * 3).reshape(4, 3)
    np.testing.assert_array_equal(losses.joined(leaf, 2), [range(6), range(6, 12)])


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("", marks=pytest.mark.slow),
        pytest.param("small", marks=pytest.mark.slow),
        "quick",
    ],
)
def test_every_variant_is_sound_and_steps(variant, tmp_path):
    run = run_of(tiny_run.load_config(variant), tmp_path)
    check_stages(run)
    recipe.check(run)
    if variant == "":
        # The published network, whose last ten entries the paper trains.
        run.config.clips.layers = 10
        trained = recipe.make_task(run, {}).trained
        assert trained[0] == "encoder/entry22" and trained[-2] == "encoder/entry31"

    run = run_of(tiny_run.tiny_config({"clips.layers": 2}, variant), tmp_path)
    recipe.check(run)
    variables = FAMILY.initialise(run.network, jax.random.key(0))
    task = recipe.make_task(run, variables)
    entries = run.network.entries
    names = (f"encoder/entry{entries - 2}", f"encoder/entry{entries - 1}")
    assert task.trained == (*names, "phase_head")

    # Of a part of the encoder the normalisations stay; here all of it learns.
    run.config.clips.layers = -1

    @jax.jit
    def step(params, stats, key):
        batch = task.prepare({"row": jnp.arange(4)}, key)
        loss = jax.grad(lambda p: task.loss(p, stats, batch, key), has_aux=True)
        return batch, *loss(params)

    stats = variables["batch_stats"]
    batch, gradients, (after, _) = step(variables["params"], stats, jax.random.key(1))
    moved = jax.tree.map(lambda old, new: bool((old != new).any()), stats, after)
    assert all(jax.tree.leaves(moved))
    assert bool(jax.tree.leaves(moved)) == run.config.model.norm
    # Two rows of two clips of 22 frames, so 11 outputs each.
    assert batch["clips"].shape == (2, 44, 24, 24, 3)
    assert batch["targets"].shape == (2, 11)
    assert 0 <= float(batch["clips"].min()) and float(batch["clips"].max()) <= 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    # What is seen last depends on what was seen first; nothing is dead or bursts.
    stem = float(jnp.abs(gradients["encoder"]["entry0"]["kernel"]).max())
    assert 1e-7 < stem < 1e3


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("counting.scheme", "x", "counting.scheme: 'x' is not one of ends, middles"),
        ("counting.scheme", "middles", "model.phases: 3, the scheme middles has 4"),
        ("counting.decoder", "x", "counting.decoder: 'x' is not one of argmax"),
        ("input.colour", "grey", "input.colour: 'grey' is not one of rgb, bgr"),
        ("clips.layers", 99, "clips.layers: 99 is not from -1, which is all, to 1"),
        ("clips.together", 3, "clips.together: 3 does not divide a batch of 4 in 1"),
        ("clips.epoch_steps", 0, "clips.epoch_steps: must be above 0"),
        ("data.val.kind", "x", "data.val.kind: 'x' is not one of"),
    ],
)
def test_wrong_settings_are_named(field, value, message, tmp_path):
    config = tiny_run.tiny_config({field: value})
    with pytest.raises(ValueError, match=message):
        recipe.check(run_of(config, tmp_path))
