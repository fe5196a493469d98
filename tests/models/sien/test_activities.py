"""Naming activities: the loss by hand, whole videos in pieces, settings, and a run on videos."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.cli.main import main
from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sien import FAMILY, activities, recipe
from rac_jax.models.sien.crops import RandomCrops
from rac_jax.train import loop, mesh
from rac_jax.train.run import Run, check_stages
from tests.models.classifier.tiny_run import write_videos
from tests.models.sien import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")

TINY = tiny_run.FIELDS | {
    "model.activities": 2,
    "clips.epoch_steps": 0,
    "clips.together": 1,
    "clips.layers": 2,
    "data.workers": 0,
}


def run_of(fields, folder, variant="exercises"):
    config = tiny_run.load_config(variant)
    with config.unlocked():
        config.update_from_flattened_dict(TINY | fields)
    for split in ("train", "val", "test"):
        config.data[split].update({"kind": "folder", "path": str(folder)})
    network = FAMILY.network(**config.model.to_dict())
    stop = loop.StopSignal()
    return Run(config, folder, FAMILY, FAMILY.recipe(), network, mesh.make_mesh(), stop)


@pytest.fixture
def folder(tmp_path):
    """Of two classes; nothing is decoded."""
    for name in ("hop", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").write_text("")
    return tmp_path


def test_loss_by_hand():
    logits = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    labels, mask = jnp.array([0, 1, 1]), jnp.array([True, True, False])
    loss, metrics = activities.activity_loss(logits, labels, mask)
    over_time = logits.mean(1)
    log = over_time - np.log(np.exp(over_time).sum(-1, keepdims=True))
    assert float(loss) == pytest.approx(-(log[0, 0] + log[1, 1]) / 2, rel=1e-5)
    right = (over_time.argmax(1) == np.asarray(labels))[:2].mean()
    assert float(metrics["top1"].value()) == pytest.approx(right)
    nothing = activities.activity_loss(logits, labels, jnp.zeros(3, bool))
    assert float(nothing[0]) == 0


def test_a_whole_video_is_looked_at_in_pieces(folder):
    run = run_of({}, folder)
    variables = FAMILY.initialise(run.network, jax.random.key(0))
    pixels = np.random.default_rng(0).integers(0, 255, (47, 24, 24, 3), np.uint8)
    video = LabelledVideo("v", pixels, 16.0, count=0.0)
    fields = recipe.model_config(run)["preprocessing"]
    found = activities.mean_logits(run.network, variables, fields, video)
    # In the network's colours, blue first, without what makes no whole output.
    shown = pixels[None, :44, ..., ::-1] / np.float32(255)
    whole = jax.jit(run.network.apply)(variables, shown)
    expected = np.asarray(whole.activities)[0].mean(0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    short = LabelledVideo("v", pixels[:3], 16.0, count=0.0)
    assert not activities.mean_logits(run.network, variables, fields, short).any()


def test_the_variant_is_sound_and_its_classes_are_the_folders(folder):
    run = run_of({}, folder)
    check_stages(run)
    recipe.check(run)
    task = recipe.make_task(run, {})
    last = run.network.entries - 1
    assert task.trained[-2:] == (f"encoder/entry{last}", "activity_head")
    assert task.examples.sampler == RandomCrops(22, 16.0, 24, ("hop", "run"))
    assert recipe.model_config(run)["class_names"] == ["hop", "run"]
    run = run_of({"model.phases": 3}, folder, "tagged")
    check_stages(run)
    recipe.check(run)
    assert recipe.make_task(run, {}).examples.sampler.classes is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("clips.learns", "x", "clips.learns: 'x' is not one of phases, activities"),
        ("clips.examples", "x", "clips.examples: 'x' is not one of scenes, videos"),
        ("clips.examples", "scenes", "clips.examples: activities are those of videos"),
        ("clips.together", 2, "clips.together: must be 1"),
        ("model.activities", 3, "model.activities: 3, but there are 2 classes"),
        ("classes", ("a",), "model.activities: 2, but there are 1 classes"),
    ],
)
def test_wrong_settings_are_named(field, value, message, folder):
    with pytest.raises(ValueError, match=message):
        recipe.check(run_of({field: value}, folder))


@pytest.mark.slow
def test_folders_of_videos_are_learned_from(tmp_path):
    videos = write_videos(tmp_path / "videos")
    fields = TINY | {"data.train.per_class": 1, "clips.epochs": 1}
    for split in ("train", "val", "test"):
        fields |= {f"data.{split}.kind": "folder", f"data.{split}.path": str(videos)}
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    config, folder = f"--config={tiny_run.CONFIG}:exercises", tmp_path / "run"
    assert main(["train", config, f"--workdir={folder}", *flags]) == 0
    report = json.loads((folder / "evaluation.json").read_text())
    assert report["estimators"]["whole videos"]["n"] == 4
    assert {row["label"] for row in report["videos"]} == {"fast", "slow"}
    written = json.loads((folder / "export" / "config.json").read_text())
    assert written["class_names"] == ["fast", "slow"]
    # Its encoder is what phases are learned over.
    variables = FAMILY.initialise(
        FAMILY.network(**written["arguments"]), jax.random.key(0)
    )
    assert "activity_head" in variables["params"]


@pytest.mark.slow
def test_phases_of_a_project_of_sense_are_learned(tmp_path):
    write_videos(tmp_path / "videos_train")
    config = {"classes": {"fast": [1, 2], "slow": []}, "tags": {"1": "up", "2": "down"}}
    (tmp_path / "project_config.json").write_text(json.dumps(config))
    (tmp_path / "tags_train" / "fast").mkdir(parents=True)
    tags = json.dumps({"fps": 4, "time_annotation": [1, 2, 1, 0, 1, 2, 1, 0]})
    for name in ("0.json", "1.json"):
        (tmp_path / "tags_train" / "fast" / name).write_text(tags)
    fields = TINY | {"model.activities": 0, "clips.together": 2, "clips.epochs": 1}
    for split in ("train", "val", "test"):
        fields |= {f"data.{split}.path": f"sense:{tmp_path}"}
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    config, folder = f"--config={tiny_run.CONFIG}:tagged", tmp_path / "run"
    assert main(["train", config, f"--workdir={folder}", *flags]) == 0
    report = json.loads((folder / "evaluation.json").read_text())
    assert report["mape"].keys() == {"fast"} and len(report["videos"]) == 4
    assert {row["label"] for row in report["videos"]} == {"fast", "slow"}
    assert (folder / "export" / "model.safetensors").exists()
