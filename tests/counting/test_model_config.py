"""A `config.json` that cannot be is one line, and so are weights that are no numbers."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

from rac_jax.counting import ModelError
from rac_jax.counting.model_config import SHIPPED, read_config
from rac_jax.models import loading


@pytest.fixture
def model(tmp_path):
    """A copy of the default model, whose config a test changes."""
    folder = tmp_path / "model"
    shutil.copytree(SHIPPED / "compact", folder)
    return folder


def change(folder, path, value):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    inner = config
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    file.write_text(json.dumps(config))


@pytest.mark.parametrize("text", ["null", "3", '"x"', "[]", "[" * 3000, "{"])
def test_what_is_no_object(model, text):
    (model / "config.json").write_text(text)
    with pytest.raises(
        ModelError, match=r"config\.json: (must hold an object|not valid)"
    ):
        read_config(model)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), None),
        (("family",), ["compact"]),
        (("family",), {}),
        (("arguments",), 3),
        (("arguments", "width"), "x"),
        (("preprocessing",), None),
        (("preprocessing", "size"), "x"),
        (("preprocessing", "size"), -1),
        (("preprocessing", "size"), 10**9),
        (("preprocessing", "size"), [96]),
        (("decoding",), None),
        (("decoding", "score"), "x"),
        (("confidence",), None),
        (("confidence",), {"positive": 1}),
    ],
)
def test_values_that_cannot_be(model, path, value):
    change(model, path, value)
    with pytest.raises(ModelError) as error:
        loading.load(model)
    assert str(error.value).startswith(str(model)) and "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(model, value):
    file = model / "model.safetensors"
    tensors = safetensors.numpy.load_file(file)
    name = max(tensors, key=lambda one: tensors[one].size)
    tensors[name] = tensors[name].copy()
    tensors[name].flat[3] = value
    safetensors.numpy.save_file(tensors, file)
    with pytest.raises(ModelError, match=f"{name} holds a value that is not finite$"):
        loading.load(model)
