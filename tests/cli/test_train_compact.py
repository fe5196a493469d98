"""The command that trains the compact counter, shrunk, from a config to a model that counts."""

import json
import pathlib

import numpy as np
import pytest

import rac_jax
from rac_jax.cli import train_compact
from rac_jax.cli.config_file import load_config

CONFIG = pathlib.Path(__file__).parents[2] / "configs/compact.py"


def shrunk():
    config = load_config(CONFIG)
    config.sight.size = 16
    config.sight.scenes = ((2, {}),)
    config.sight.batch = config.sound.batch = 2
    config.sight.steps = config.sound.steps = 1
    config.sound.number = 2
    config.sound.scenes.frames = 128
    config.sound.strides = (1, 2)
    config.strides = (1, 4)
    config.validation.scenes = ((3, 80, {"still": 0.0, "period": (6.0, 20.0)}),)
    return config


@pytest.mark.slow
def test_from_config_to_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(train_compact, "load_config", lambda path: shrunk())
    arguments = ["--config", "configs/compact.py", "--out", str(tmp_path)]
    assert train_compact.main(arguments) == 0
    written = json.loads((tmp_path / "model" / "config.json").read_text())
    assert set(written["accuracy"]["procedural"]) == {"sight", "sound", "fused"}
    assert str(tmp_path) not in json.dumps(written)
    counter = rac_jax.load(tmp_path / "model")
    frames = np.random.default_rng(0).integers(0, 255, (70, 16, 16, 3), np.uint8)
    assert counter.count(frames).count >= 0
    # Finished stages are not run again.
    monkeypatch.setattr("rac_jax.train.compact.train_stream", None)
    assert train_compact.main(arguments) == 0


def test_a_missing_config_is_one_line(tmp_path, capsys):
    arguments = ["--config", str(tmp_path / "none.py"), "--out", str(tmp_path)]
    assert train_compact.main(arguments) == 1
    assert capsys.readouterr().err.count("\n") == 1
