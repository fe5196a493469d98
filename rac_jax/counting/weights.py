"""Released models: a folder with `config.json` and one `model.safetensors`.

`config.json` names the family and its arguments, the preprocessing, how the model was trained
and how well it did; the tensors carry their Flax paths joined with "/", beginning with
"params/" or "batch_stats/". Models that ship with the package lie in `rac_jax/weights`.
"""

import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import numpy as np
import safetensors
import safetensors.numpy

from rac_jax import drafts
from rac_jax.counting import programs
from rac_jax.counting.model_config import (
    CONFIG_FILE,
    ModelError,
    check_config,
    find_model,
)

TENSOR_FILE = "model.safetensors"


def read_tensors(model: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a model's tensors as stored, by their paths.

    Raises:
      ModelError: if the file is missing or damaged.
    """
    path = find_model(model) / TENSOR_FILE
    try:
        return safetensors.numpy.load_file(path)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"{path}: not a readable safetensors file ({error})"
        ) from error


def load_variables(
    model: str | os.PathLike,
    network: nn.Module,
    inputs: Sequence[jax.ShapeDtypeStruct],
) -> dict[str, Any]:
    """Loads a released model's variables.

    Args:
      model: the name of a shipped model, or a folder.
      network: its Flax module.
      inputs: of the module's `init`.

    Returns:
      {"params", "batch_stats"}: nested dicts of float32 arrays, whatever they were stored in.

    Raises:
      ModelError: if anything is missing, left over or misshapen; the tensor is named.
    """
    path = find_model(model) / TENSOR_FILE
    nested = programs.abstract_variables(network, inputs)
    expected = flax.traverse_util.flatten_dict(nested, sep="/")
    # A network without variables needs no file of tensors.
    tensors = read_tensors(model) if expected or path.exists() else {}
    _check_tensors(path, tensors, expected)
    flat = {
        name: np.asarray(tensors[name], leaf.dtype) for name, leaf in expected.items()
    }
    nested = flax.traverse_util.unflatten_dict(flat, sep="/")
    return {"params": {}, "batch_stats": {}} | nested


def _check_tensors(path: pathlib.Path, tensors: dict, expected: dict) -> None:
    for name in sorted(expected.keys() - tensors.keys()):
        raise ModelError(f"{path}: lacks the tensor {name}")
    for name in sorted(tensors.keys() - expected.keys()):
        raise ModelError(
            f"{path}: holds the tensor {name}, which the model does not have"
        )
    for name, leaf in expected.items():
        if tensors[name].shape != leaf.shape:
            raise ModelError(
                f"{path}: {name} is {list(tensors[name].shape)}, the model has {list(leaf.shape)}"
            )
        if not np.isfinite(tensors[name].astype(np.float32)).all():
            raise ModelError(f"{path}: {name} holds a value that is not finite")


def check_folder(folder: str | os.PathLike) -> None:
    """Checks that a model may be written to a folder: there is none, or an older model.

    Raises:
      ModelError: if it holds something else.
    """
    folder = pathlib.Path(folder)
    foreign = folder.exists() and {p.name for p in folder.iterdir()} - {
        CONFIG_FILE,
        TENSOR_FILE,
    }
    if foreign:
        raise ModelError(f"{folder}: is not a model folder, it holds {min(foreign)}")


def save_model(
    folder: str | os.PathLike,
    config: dict[str, Any],
    variables: Any,
    *,
    half: bool = False,
) -> pathlib.Path:
    """Writes a released model; the folder appears whole or not at all.

    Args:
      folder: where; an existing folder is replaced.
      config: the contents of `config.json` (see the module docstring).
      variables: {"params", "batch_stats"} of arrays.
      half: store kernels (two axes or more) as float16 and the rest as float32.

    Returns:
      The folder.

    Raises:
      ModelError: if the config lacks a field or the folder holds something else.
    """
    folder = pathlib.Path(folder)
    check_config(folder / CONFIG_FILE, config)
    check_folder(folder)
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    tensors = {
        name: np.ascontiguousarray(
            value, np.float16 if half and np.ndim(value) >= 2 else np.float32
        )
        for name, value in flat.items()
    }
    overflow = [name for name, value in tensors.items() if not np.isfinite(value).all()]
    if overflow:
        raise ModelError(f"{folder}: {overflow[0]} holds a value that is not finite")
    with drafts.draft_folder(folder) as draft:
        text = json.dumps(config, indent=2) + "\n"
        (draft / CONFIG_FILE).write_text(text, encoding="utf-8")
        safetensors.numpy.save_file(tensors, draft / TENSOR_FILE)
    return folder
