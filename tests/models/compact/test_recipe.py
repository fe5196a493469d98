"""`rac train` of the compact counter at toy size: its stages run, go on, and leave a model."""

import json
import pathlib

import numpy as np
import pytest

import rac_jax
from rac_jax.cli import train
from rac_jax.models.compact import decoder as sets
from rac_jax.models.compact import recipe as compact

ROOT = pathlib.Path(__file__).parents[2]
FIELDS = {
    "data.size": 16,
    "model.sight_features": ("pixels",),
    "sight.batch": 4,
    "sound.batch": 2,
    "sound.strides": (1, 2),
    "sound.scenes.all.frames": 160,
    "reader.batch": 4,
}


def arguments(workdir, **fields):
    """Arguments of `rac train`; "__" in a field's name stands for a dot."""
    chosen = dict(FIELDS)
    for stage in ("sight", "sound", "reader"):
        chosen |= {f"{stage}.epochs": 1, f"{stage}.epoch_steps": 2}
    for split in ("train", "val", "test"):
        for part in ("brief", "short", "long", "coarse"):
            number = 3 if part == "brief" else 0
            chosen[f"data.{split}.scenes.{part}.number"] = number
    chosen |= {name.replace("__", "."): value for name, value in fields.items()}
    flags = [f"--config.{name}={value}" for name, value in chosen.items()]
    config = ROOT / "configs" / "compact.py"
    return [f"--config={config}:quick", f"--workdir={workdir}", *flags]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compact")
    assert train.main(arguments(folder)) == 0
    return folder


def test_it_leaves_a_model_that_counts(workdir, clip):
    counter = rac_jax.load(workdir / "export")
    result = counter.count(clip)
    assert np.isfinite(result.count) and 0 <= result.confidence <= 1
    config = counter.config
    assert config["family"] == "compact" and config["training"]["seed"] == 0
    assert set(config["accuracy"]["ways"]) == {"sight", "sound", "average", "fused"}


def test_finished_stages_are_not_run_again(workdir, caplog):
    times = {path: path.stat().st_mtime_ns for path in workdir.rglob("finished.json")}
    assert {path.parent.name for path in times} == {"sight", "sound", "reader"}
    assert train.main(arguments(workdir)) == 0
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_other_settings_need_another_workdir(workdir, capsys):
    assert train.main(arguments(workdir, sight__padded=0.5)) == 1
    assert "sight.padded" in capsys.readouterr().err


def test_the_measurement_has_the_confidence(workdir):
    report = json.loads((workdir / "evaluation.json").read_text())
    table = report["confidence"]
    for kind in ("positive", "negative"):
        assert table[f"{kind}_score"] == sorted(table[f"{kind}_score"])
        assert table[kind] == sorted(table[kind])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sound__scenes__all__frames", 100, "100 frames are too few for stride 2"),
        ("sight__epoch_steps", 0, "sight.epoch_steps: must be above 0"),
        ("data__val__scenes__brief__fps", 0.0, "fps: 0.0 is not positive"),
        ("sound__batch", 3, "sound.batch: 3 is not a multiple of the 2 strides"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path, capsys, field, value, message):
    assert train.main(arguments(tmp_path, **{field: value})) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "sight" / "finished.json").exists()


def test_an_unknown_family_is_named(tmp_path, capsys):
    assert train.main(arguments(tmp_path, family="lmrl")) == 1
    assert (
        "family: 'lmrl' is not one of sight_sound, compact" in capsys.readouterr().err
    )


def test_calibration_rises_with_the_score():
    rng = np.random.default_rng(0)
    scores = np.linspace(0, 1, 200)
    right = rng.random(200) < scores
    found = [
        sets.Tally(5.0 if ok else 9.0, ("one",), np.zeros(1), score)
        for ok, score in zip(right, scores, strict=True)
    ]
    knots, shares = compact.calibrate(found, np.full(200, 5.0), positive=True)
    assert shares == sorted(shares) and len(knots) == 12
    np.testing.assert_allclose(
        np.interp([0.2, 0.8], knots, shares), [0.2, 0.8], atol=0.2
    )
    assert compact.calibrate(found, np.full(200, 5.0), positive=False)[1] == [0.5, 0.5]
