"""The whole training, shrunk: every stage runs, leaves its file, and the model loads."""

import importlib.util
import json
import pathlib

import jax
import numpy as np
import pytest

from rac_jax.cli import first_weights as command
from rac_jax.train import first_weights, stage_files

CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "first_weights.py"


def shrunk():
    spec = importlib.util.spec_from_file_location("first_weights_config", CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.model.sight_width = config.model.sound_width = 0.0625
    config.sight.phases, config.sound.phases = ((24, 2, 2),), ((0, 2, 2),)
    config.sight.recalibrate = config.sound.recalibrate = 1
    config.selection.size = 24
    config.selection.number = config.evaluation.number = 4
    config.selection.batch = 2
    config.selection.epochs = 1
    return config


@pytest.mark.slow
def test_trains_every_stage_and_saves_a_model(tmp_path, monkeypatch):
    from rac_jax.counting import weights

    monkeypatch.setattr(command, "load_config", lambda path: shrunk())
    out = tmp_path / "run"
    assert command.main(["--config", str(CONFIG), "--out", str(out)]) == 0
    _, variables, config = weights.load_model(out / "model")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))
    assert config["accuracy"]["scenes"] == 4
    json.dumps(config, allow_nan=False)
    # Finished stages are not run again.
    monkeypatch.setattr(first_weights, "make_step", None)
    params = first_weights.train_stream(shrunk(), "sound", out)["params"]
    encoder = variables["params"]["sound_encoder"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3),
        params["encoder"],
        encoder,
    )


def test_trees_survive_files(tmp_path):
    tree = {"a": np.arange(6.0).reshape(2, 3), "b": [np.float32(2), np.int32(3)]}
    stage_files.save_tree(tmp_path / "tree.safetensors", tree)
    loaded = stage_files.load_tree(tmp_path / "tree.safetensors", tree)
    np.testing.assert_array_equal(loaded["a"], tree["a"])
    assert loaded["b"][1] == 3
    with pytest.raises(ValueError, match="holds 3 arrays, 1 are wanted"):
        stage_files.load_tree(tmp_path / "tree.safetensors", {"a": tree["a"]})
    with pytest.raises(ValueError, match="is wanted"):
        stage_files.load_tree(tmp_path / "tree.safetensors", {**tree, "a": np.ones(2)})


def test_config_files_are_checked(tmp_path, capsys):
    (tmp_path / "empty.py").write_text("")
    wrong = ["--config", str(tmp_path / "empty.py"), "--out", str(tmp_path)]
    assert command.main(wrong) == 1
    assert "get_config" in capsys.readouterr().err
    wrong[1] = str(tmp_path / "none.py")
    assert command.main(wrong) == 1
