"""Training a student and a skimming network: configs, sweeps, settings, two steps of each."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.cli import train as command
from rac_jax.models.listen_to_look import FAMILY, skim_task
from rac_jax.models.listen_to_look.distil_task import DistilTask
from rac_jax.models.listen_to_look.student import check_senses
from rac_jax.train import loop, mesh, settings, sweep_table
from rac_jax.train import training as train
from rac_jax.train.run import Run
from tests.models.listen_to_look import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")


def run_of(config, folder):
    network = FAMILY.network(**config.model.to_dict())
    recipe, stop = FAMILY.recipe(), loop.StopSignal()
    return Run(config, folder, FAMILY, recipe, network, mesh.make_mesh(), stop)


def test_skimming_learns_to_tell_two_classes(tmp_path):
    table = tiny_run.write_features(tmp_path)
    fields = {
        "skim.epoch_steps": 40,
        "skim.batch": 8,
        # Layers this narrow begin too small for plain SGD.
        "skim.optimiser.name": "adamw",
        "skim.optimiser.learning_rate": 0.02,
    }
    config = tiny_run.skimming_config(table, fields)
    trained = train.train(FAMILY, config, tmp_path / "run")
    assert trained.report["estimators"]["skimming"]["top1"] == 1.0
    written = json.loads((tmp_path / "run" / "export" / "config.json").read_text())
    assert written["class_names"] == ["a", "b"]
    assert written["arguments"]["part"] == "skimming"


def test_batches_of_skimming_are_of_one_shape_and_drawn_again_alike(tmp_path):
    config = tiny_run.skimming_config(tiny_run.write_features(tmp_path))
    task = skim_task.SkimTask(run_of(config, tmp_path), ("a", "b"))
    read = task.examples.read
    lengths = set()
    for number in range(6):
        batch = read(number, np.arange(4))
        assert batch["bank_0"].shape == batch["bank_1"].shape == (4, 9, 6)
        lengths.add(int(batch["valid"].sum(1).max()))
        # A process that reads two of the rows reads the same.
        part = read(number, np.array([2, 3]))
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[2:], b), batch, part)
    assert len(lengths) > 1 and max(lengths) <= 9
    assert task.trained == skim_task.GROUPS


def test_settings_that_do_not_fit_are_named(tmp_path):
    table = tiny_run.write_features(tmp_path)
    single = {"model.banks": 1, "skim.joined": True, "model.features": 12}
    run = run_of(tiny_run.skimming_config(table, single), tmp_path)
    FAMILY.recipe().check(run)
    (label, banks), *_ = skim_task.of_split(run, "train")
    assert label == "a" and [bank.shape[1] for bank in banks] == [12]
    assert "attention" not in skim_task.SkimTask(run, ("a", "b")).trained
    for fields, said in (
        ({"model.classes": 3}, "model.classes: 3, but there are 2 classes"),
        ({"model.features": 5}, r"features.csv:2: has banks of \[6, 6\] features"),
        ({"skim.indexing": "blind"}, "skim.indexing: 'blind' is not one of soft, hard"),
        ({"skim.lengths": (2, 9)}, r"skim.lengths: \(2, 9\) is not"),
        ({"distil.epochs": 1}, "skim.epochs: must be above 0 and distil.epochs 0"),
        (single | {"evaluation.indexing": "visual"}, "evaluation.indexing: 'visual'"),
    ):
        config = tiny_run.skimming_config(table, fields)
        with pytest.raises(ValueError, match=said):
            FAMILY.recipe().check(run_of(config, tmp_path))
    with pytest.raises(ValueError, match="teacher: must name a model folder"):
        FAMILY.recipe().check(run_of(tiny_run.tiny_config(), tmp_path))


@pytest.mark.parametrize(
    "name,runs,variant",
    [("tableG", 4, "skimming"), ("figureF", 10, "skimming"), ("senses", 9, "quick")],
)
def test_a_sweep_is_sound(name, runs, variant):
    sweep = command.load_sweeps(str(tiny_run.CONFIG))[name]
    sweep_table.check_sweep(sweep)
    assert len(sweep["runs"]) == runs
    config = tiny_run.load_config(variant).to_dict()
    for changes in sweep["runs"].values():
        for field, value in changes.items():
            assert type(settings.find_field(config, field)) is type(value)


def test_students_of_one_sense_cost_what_those_of_both_do():
    """Multiplications of `quick`'s students, as XLA counts them, and what each has and reads."""
    sweep = command.load_sweeps(str(tiny_run.CONFIG))["senses"]
    config = tiny_run.load_config("quick")
    frames, patches = jnp.ones((1, 64, 64, 3)), jnp.ones((1, 101, 40))
    costs = {}
    for senses in ("both", "image", "audio"):
        config.update_from_flattened_dict(sweep["runs"][f"{senses}0"])
        run = run_of(config, "nowhere")
        groups = DistilTask(run, teacher=None).trained
        shapes = jax.eval_shape(run.network.init, jax.random.key(0), frames, patches)
        assert sorted(shapes["params"]) == sorted(groups)
        first = FAMILY.initialise(run.network, jax.random.key(0))
        assert jax.tree.map(jnp.shape, first) == jax.tree.map(jnp.shape, shapes)
        program = jax.jit(run.network.apply).lower(shapes, frames, patches)
        said = program.out_info
        assert said.descriptor.shape == (1, 96)
        costs[senses] = program.cost_analysis()["flops"]
        assert (said.image is None, said.audio is None) == (
            senses == "audio",
            senses == "image",
        )
    for alone in ("image", "audio"):
        assert costs[alone] == pytest.approx(costs["both"], rel=0.1)
    with pytest.raises(ValueError, match="senses: 'nose' is not one of both, image"):
        check_senses("nose", False)
    with pytest.raises(ValueError, match="the released student has both, not 'image'"):
        check_senses("image", True)


def test_the_papers_numbers():
    config = tiny_run.load_config()
    assert config.distil.epochs == 60 and config.distil.batch == 16
    assert [round(60 * one) for one in config.distil.optimiser.falls] == [30, 50]
    assert config.distil.weight == 100.0
    skimming = tiny_run.load_config("skimming")
    assert [round(25 * one) for one in skimming.skim.optimiser.falls] == [15, 20]
    assert skimming.skim.lengths == (200, 500) and skimming.skim.steps == 10
    with pytest.raises(
        ValueError, match="no variant 'big'; there are: quick, skimming"
    ):
        tiny_run.load_config("big")


@pytest.mark.slow
def test_two_steps_of_distillation(tmp_path):
    """From scenes that are rendered, looked at by the teacher and stored, once for two students."""
    fields = {"teacher": str(tiny_run.write_teacher(tmp_path))}
    fields |= {"data.features": str(tmp_path), "data.cache": str(tmp_path / "cache")}
    for place, senses in enumerate(("both", "audio")):
        own = {"model.senses": senses, "seed": place, "evaluation.teacher": place == 1}
        config = tiny_run.tiny_config(fields | own)
        trained = train.train(FAMILY, config, tmp_path / senses)
        for found in trained.report["estimators"].values():
            assert found["n"] == 3 and 0 <= found["top1"] <= 1
    assert sorted(trained.report["estimators"]) == ["student", "teacher"]
    assert len(list(tmp_path.glob("*/index.json"))) == 1
    path = tmp_path / "both" / "export" / "config.json"
    written = json.loads(path.read_text())
    assert written["class_names"][0] == "orbit"
    assert written["preprocessing"]["size"] == 16
