"""Networks of skeletons that count phases: two steps of both, settings, and the counter."""

import json

import jax
import numpy as np
import pytest

from rac_jax import train
from rac_jax.models.skeleton_phases import FAMILY, recipe
from rac_jax.models.skeleton_phases.counter import SkeletonCounter
from rac_jax.train import loop, mesh
from rac_jax.train.run import Run, check_stages
from tests.models.sien import tiny_run as sien_run
from tests.models.skeleton_phases import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")


def run_of(config, folder):
    network = FAMILY.network(**config.model.to_dict())
    stop = loop.StopSignal()
    return Run(config, folder, FAMILY, FAMILY.recipe(), network, mesh.make_mesh(), stop)


@pytest.mark.parametrize("variant", ["st-gcn", "ms-g3d", "quick"])
def test_every_variant_is_sound(variant, tmp_path):
    run = run_of(tiny_run.load_config(variant), tmp_path)
    check_stages(run)
    recipe.check(run)


def test_the_scenes_are_those_of_frames():
    ours, theirs = tiny_run.load_config("st-gcn"), sien_run.load_config("people")
    # What is measured on; pixels are learned from other clips, half of them easier.
    assert ours.data.test.to_dict() == theirs.data.test.to_dict()
    for scenes in (*ours.clips.scenes.values(), *theirs.clips.scenes.values()):
        assert tuple(scenes.kinds) == ("figure",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "layout"), [("st-gcn", "blazepose-33"), ("ms-g3d", "openpose-18")]
)
def test_two_steps_and_an_export(variant, layout, tmp_path):
    config = tiny_run.tiny_config({"model.layout": layout}, variant)
    trained = train.train(FAMILY, config, tmp_path)
    lines = (tmp_path / "clips" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(np.isfinite(row["error"]) for row in rows if row["kind"] != "train")
    report = trained.report
    assert len(report["videos"]) == 3 and set(report["mape"]) <= {"limb", "figure"}
    saved = json.loads((trained.export / "config.json").read_text())
    assert saved["scheme"] == "halves" and saved["arguments"]["layout"] == layout


def test_a_step_has_a_gradient_everywhere(tmp_path):
    """MS-G3D's step, without the loop around it."""
    config = tiny_run.tiny_config({"counting.scheme": "ends"}, "ms-g3d")
    run = run_of(config, tmp_path)
    recipe.check(run)
    task = recipe.SkeletonTask(run)
    variables = FAMILY.initialise(run.network, jax.random.key(0))

    @jax.jit
    def step(variables, key):
        batch = task.prepare({"row": np.arange(4)}, key)

        def loss(params):
            return task.loss(params, variables["batch_stats"], batch, key)

        return batch, jax.grad(loss, has_aux=True)(variables["params"])

    batch, (gradients, (stats, metrics)) = step(variables, jax.random.key(1))
    # Two rows of two clips of 24 frames, so 12 outputs each.
    assert batch["poses"].shape == (2, 1, 48, 33, 3)
    assert batch["targets"].shape == (2, 12)
    assert np.abs(batch["poses"]).max() > 0.1
    leaves = jax.tree.leaves(gradients["encoder"])
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert np.mean([np.abs(leaf).max() > 0 for leaf in leaves]) > 0.9
    moved = jax.tree.map(
        lambda a, b: bool(np.any(a != b)), stats, variables["batch_stats"]
    )
    assert np.mean(jax.tree.leaves(moved)) > 0.9
    assert float(metrics["phases"].value()) > 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("counting.scheme", "x", "counting.scheme: 'x' is not one of ends, middles"),
        ("counting.scheme", "middles", "model.phases: 3, the scheme middles has 4"),
        ("model.layout", "x", "layout: 'x' is not one of blazepose-33"),
        ("clips.together", 3, "clips.together: 3 does not divide a batch of 4 in 1"),
        ("clips.epoch_steps", 0, "clips.epoch_steps: must be above 0"),
        ("data.val.kind", "csv", "data.val.kind: 'csv', only scenes have poses"),
    ],
)
def test_wrong_settings_are_named(field, value, message, tmp_path):
    config = tiny_run.tiny_config({field: value})
    with pytest.raises(ValueError, match=message):
        recipe.check(run_of(config, tmp_path))


class Told:
    """A network whose phases are the first joint's x, told by hand."""

    layout, phases = "blazepose-33", 3

    def apply(self, variables, poses):
        import jax.numpy as jnp

        kind = jnp.round(poses[:, 0, ::4, 0, 0]).astype(int)
        from rac_jax.models.skeleton_phases.network import PhasesOutput

        return PhasesOutput(kind, 9.0 * jax.nn.one_hot(kind, 3))


def test_counting_by_hand():
    config = {"scheme": "halves", "preprocessing": {"fps": 16.0}}
    counter = SkeletonCounter(Told(), {}, config)
    # At 32 per second, so every second pose is looked at: nothing, three repetitions of first and
    # second halves of half a second each, and half of one.
    kinds = np.repeat([0, 1, 2, 1, 2, 1, 2, 0, 1], 16)
    poses = np.zeros((len(kinds), 33, 3), np.float32)
    poses[:, 0, 0] = kinds
    times_s = 5 + np.arange(len(kinds)) / 32
    found = counter.count(poses, times_s)
    assert found.count == 3 and len(found.sets) == 1
    np.testing.assert_allclose(found.sets[0].start_s, 5.5, atol=0.3)
    np.testing.assert_allclose(found.sets[0].end_s, 8.5, atol=0.3)
    assert found.details["scheme"] == "halves"
    nothing = counter.count(poses[:0], times_s[:0])
    assert nothing.count == 0 and nothing.streams == ()
    with pytest.raises(ValueError, match="phases: 3, the scheme middles has 4"):
        SkeletonCounter(Told(), {}, config | {"scheme": "middles"})
