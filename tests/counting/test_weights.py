"""Released model folders: written whole, read exactly, and every fault named."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

import rac_jax
from rac_jax import encoders
from rac_jax.counting import model_config, programs, weights
from rac_jax.models import find_family, loading
from tests.conftest import TINY_ARGUMENTS, random_variables, tiny_config


@pytest.fixture(scope="module")
def module():
    return find_family("sight_sound").network(**TINY_ARGUMENTS)


@pytest.fixture(scope="module")
def variables(module):
    return random_variables(module)


@pytest.fixture
def folder(tmp_path, variables):
    return weights.save_model(tmp_path / "model", tiny_config(), variables)


def test_round_trip_is_exact(folder, variables):
    _, loaded, config = loading.load_model(folder)
    assert config == tiny_config()
    assert jax.tree.structure(loaded) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, loaded, variables)


def test_half_keeps_vectors_exact(tmp_path, variables):
    folder = weights.save_model(tmp_path / "half", tiny_config(), variables, half=True)
    _, loaded, _ = loading.load_model(folder)

    def check(path, ours, theirs):
        assert ours.dtype == np.float32
        tolerance = 1e-3 if np.ndim(theirs) >= 2 else 0
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * 1e-3)

    jax.tree_util.tree_map_with_path(check, loaded, variables)
    size = (folder / weights.TENSOR_FILE).stat().st_size
    whole = weights.save_model(tmp_path / "whole", tiny_config(), variables)
    assert size < 0.7 * (whole / weights.TENSOR_FILE).stat().st_size


def edit(folder, change):
    tensors = weights.read_tensors(folder)
    change(tensors)
    safetensors.numpy.save_file(tensors, folder / weights.TENSOR_FILE)


def test_missing_extra_and_misshapen_tensors_are_named(folder):
    name = "params/sight_head/classes/bias"
    edit(folder, lambda t: t.update({name: np.zeros(3, np.float32)}))
    with pytest.raises(
        model_config.ModelError, match=rf"{name} is \[3\], the model has \[5\]"
    ):
        loading.load_model(folder)
    edit(folder, lambda t: t.pop(name))
    with pytest.raises(model_config.ModelError, match=f"lacks the tensor {name}"):
        loading.load_model(folder)
    edit(
        folder,
        lambda t: t.update({name: np.zeros(5, np.float32), "stray": np.zeros(1)}),
    )
    with pytest.raises(model_config.ModelError, match="holds the tensor stray"):
        loading.load_model(folder)


def test_damaged_folders(folder, tmp_path):
    (folder / weights.TENSOR_FILE).write_bytes(b"nonsense")
    with pytest.raises(
        model_config.ModelError, match="not a readable safetensors file"
    ):
        loading.load_model(folder)
    (folder / weights.TENSOR_FILE).unlink()
    with pytest.raises(model_config.ModelError, match="no such file"):
        loading.load_model(folder)
    (folder / model_config.CONFIG_FILE).write_text(json.dumps({"name": "x"}))
    with pytest.raises(
        model_config.ModelError, match="lacks family, arguments, preprocessing"
    ):
        loading.load_model(folder)
    (folder / model_config.CONFIG_FILE).write_text("{")
    with pytest.raises(model_config.ModelError, match="not valid JSON"):
        loading.load_model(folder)
    with pytest.raises(model_config.ModelError, match="no such model folder"):
        loading.load_model(tmp_path / "missing")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(model_config.ModelError, match="No such file"):
        loading.load_model(tmp_path / "hollow")


def test_unknown_arguments_name_the_config(folder):
    config = tiny_config(arguments=TINY_ARGUMENTS | {"colour": 1})
    (folder / model_config.CONFIG_FILE).write_text(json.dumps(config))
    with pytest.raises(model_config.ModelError, match=r"config\.json: .*colour"):
        loading.load_model(folder)


def test_saving_replaces_a_model_but_nothing_else(folder, variables, tmp_path):
    weights.save_model(folder, tiny_config(name="second"), variables)
    assert model_config.read_config(folder)["name"] == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    (folder / "notes.txt").write_text("keep me")
    with pytest.raises(model_config.ModelError, match=r"holds notes\.txt"):
        weights.save_model(folder, tiny_config(), variables)
    assert (folder / "notes.txt").exists()


def test_nothing_is_half_written(tmp_path, variables):
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), variables)
    with pytest.raises(model_config.ModelError, match="not finite"):
        weights.save_model(tmp_path / "model", tiny_config(), broken)
    with pytest.raises(TypeError):
        weights.save_model(
            tmp_path / "model", tiny_config(training=object()), variables
        )
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_does_not_count(tmp_path):
    maker = encoders.Encoder("resnet18")
    encoder = maker.network(width=0.0625)
    shapes = programs.abstract_variables(encoder, maker.example_inputs(encoder))
    variables = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)
    config = tiny_config(family="resnet18", arguments={"width": 0.0625})
    folder = weights.save_model(tmp_path / "encoder", config, variables)
    loading.load_model(folder)
    with pytest.raises(
        model_config.ModelError, match="kind resnet18 .* does not count"
    ):
        rac_jax.load(folder)
