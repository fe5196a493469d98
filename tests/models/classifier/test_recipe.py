"""The recipe of classifiers: settings that cannot be, classes of folders, and whole runs."""

import json

import numpy as np
import pytest
import safetensors.numpy

from rac_jax import models, train
from rac_jax.cli.main import main
from rac_jax.models.classifier import FAMILY, recipe
from rac_jax.train.classes import class_names
from rac_jax.train.run import check_stages
from tests.models.classifier import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")


@pytest.mark.parametrize(
    "variant", ["", "i3d", "images", "quick", "r2plus1d", "sound", "swin"]
)
def test_variants_are_sound(variant, tmp_path):
    config = tiny_run.load_config(variant)
    number = config.model.classes
    for split in ("train", "val", "test"):
        if config.data[split].kind == "csv":
            labels = tmp_path / f"{split}.csv"
            rows = "".join(f"a.mp4,,,0,{i:03}\n" for i in range(number))
            labels.write_text("file,start_s,end_s,count,label\n" + rows)
            config.data[split].path = str(labels)
    run = tiny_run.run_of(config, tmp_path)
    check_stages(run)
    recipe.check(run)
    assert len(class_names(run, "classes")) == number
    written = json.loads(json.dumps(recipe.model_config(run)))
    again = FAMILY.network(**written["arguments"])
    assert again == run.network and len(written["class_names"]) == number


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.encoder", "vgg", "encoder: 'vgg' is not one of"),
        ("model.input", "touch", "model.input: 'touch' is not frames or sound"),
        ("model.input", "sound", "model.encoder: plain cannot hear"),
        ("model.classes", 8, "model.classes: 8, but there are 7 classes"),
        (
            "classify.examples",
            "x",
            "classify.examples: 'x' is not one of videos, scenes",
        ),
        ("classify.epoch_steps", 0, "classify.epoch_steps: must be above 0"),
        ("classify.label_smoothing", 1.5, "label_smoothing: 1.5 is not from 0 to 1"),
        ("classify.augment.area", (0.0, 1.0), r"augment.area: \(0.0, 1.0\) is not"),
        ("classify.augment.rows", 300, "augment.rows: 300 is not from 0 to 256"),
        ("classify.augment.mixup", -1.0, "mixup must be at least 0"),
        ("clips.size", 64, "clips.size: 64 is not from 1 to data.size, 20"),
        ("clips.colours", "x", "clips.colours: 'x' is not one of imagenet"),
        ("evaluation.crops", 0, "crops: 0 is not positive"),
        ("classes", ("orbit", "jump"), "classes: must be some of orbit"),
        ("data.val.kind", "x", "data.val.kind: 'x' is not one of"),
    ],
)
def test_wrong_settings_are_named(field, value, message, tmp_path):
    config = tiny_run.tiny_config({field: value})
    with pytest.raises(ValueError, match=message):
        recipe.check(tiny_run.run_of(config, tmp_path))


def test_the_classes_are_the_folders(tmp_path):
    for name in ("run/a.mp4", "hop/b.mp4"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    config = tiny_run.video_config(tmp_path / "videos")
    run = tiny_run.run_of(config, tmp_path)
    recipe.check(run)
    assert class_names(run, "classes") == ("hop", "run")
    config.model.classes = 3
    with pytest.raises(ValueError, match="model.classes: 3, but there are 2 classes"):
        recipe.check(tiny_run.run_of(config, tmp_path))


@pytest.mark.slow
def test_a_kinetics_style_folder_is_learned_from(tmp_path, capsys):
    """`rac train` on rendered media: two steps, an export that others take, and no counter."""
    videos = tiny_run.write_videos(tmp_path / "videos")
    fields = {
        "model.classes": 2,
        "classes": "()",
        "classify.examples": "videos",
        "classify.epoch_steps": 0,
        "classify.epochs": 2,
    }
    for split in ("train", "val", "test"):
        fields[f"data.{split}.kind"] = "folder"
        fields[f"data.{split}.path"] = str(videos)
    flags = [f"--config.{k}={v}" for k, v in (tiny_run.FIELDS | fields).items()]
    folder = tmp_path / "run"
    arguments = ["train", f"--config={tiny_run.CONFIG}:quick", f"--workdir={folder}"]
    assert main([*arguments, *flags]) == 0
    assert "top1 / top5 / map" in capsys.readouterr().out
    written = json.loads((folder / "export" / "config.json").read_text())
    assert written["class_names"] == ["fast", "slow"]
    report = json.loads((folder / "evaluation.json").read_text())
    assert list(report["estimators"]) == ["1x1 views", "2x1 views"]
    assert report["estimators"]["2x1 views"]["n"] == 4
    assert {row["label"] for row in report["videos"]} == {"fast", "slow"}
    assert main(["count", "a.mp4", "--model", str(folder / "export")]) == 2
    assert "family classifier, which does not count" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("sound", [False, True])
def test_resumed_it_ends_bit_for_bit_the_same(sound, tmp_path):
    """Stopped half-way, on clips or sounds of videos, augmented at random."""
    videos = tiny_run.write_videos(tmp_path / "videos")

    def config():
        made = tiny_run.video_config(videos, sound)
        made.classify.update({"epochs": 4, "checkpoint_steps": 1, "log_steps": 1})
        made.data.cache = str(tmp_path / "cache")
        return made

    straight = train.train(FAMILY, config(), tmp_path / "straight")
    stop = StopAfter(2)
    with pytest.raises(train.Stopped, match="stopped at step 2 of 4"):
        train.train(FAMILY, config(), tmp_path / "again", stop=stop)
    resumed = train.train(FAMILY, config(), tmp_path / "again")
    assert straight.report == resumed.report
    one, two = (
        safetensors.numpy.load_file(tmp_path / name / "classify/variables.safetensors")
        for name in ("straight", "again")
    )
    assert one.keys() == two.keys() and len(one) > 5
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name])


class StopAfter(train.StopSignal):
    """Asks to stop when so many steps are done."""

    def __init__(self, steps):
        super().__init__()
        self._steps = steps

    def agreed(self, step, every):
        return step >= self._steps


def test_the_family_is_in_the_table():
    assert models.find_family("classifier") is FAMILY
