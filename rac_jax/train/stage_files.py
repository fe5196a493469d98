"""What a stage leaves for the next: JSON and arrays, with a schema, whole or not at all."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
import numpy as np
import safetensors
import safetensors.numpy

from rac_jax import drafts
from rac_jax.counting.family import Variables
from rac_jax.counting.model_config import read_json_file

SCHEMA = 1
FINISHED = "finished.json"
PREDICTIONS = "predictions.json"
VARIABLES = "variables.safetensors"


class StageFileError(ValueError):
    """A stage's file that is missing, damaged or of another run: one line that names it."""


def write_json(path: pathlib.Path, record: Mapping[str, Any]) -> None:
    """Writes a record with the schema's number; only the first process of a run writes."""
    if jax.process_index():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": SCHEMA} | dict(record), indent=1)
    with drafts.draft_file(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def read_json(path: pathlib.Path, *fields: str) -> dict[str, Any]:
    """Reads a record.

    Args:
      path: the file.
      *fields: that it must have.

    Returns:
      The record.

    Raises:
      StageFileError: if it is missing or damaged, or lacks a field.
    """
    record = read_json_file(path, StageFileError)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise StageFileError(f"{path}: is not of schema {SCHEMA}")
    for field in fields:
        if field not in record:
            raise StageFileError(f"{path}: lacks {field!r}")
    return record


def save_variables(path: pathlib.Path, variables: Variables) -> None:
    """Writes parameters and statistics by their paths, as a released model has them."""
    if jax.process_index():
        return
    flat = flax.traverse_util.flatten_dict(jax.device_get(variables), sep="/")
    tensors = {name: np.array(value, order="C") for name, value in flat.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with drafts.draft_file(path) as draft:
        safetensors.numpy.save_file(tensors, draft)


def load_variables(path: pathlib.Path) -> Variables:
    """Reads what `save_variables` wrote, nested.

    Raises:
      StageFileError: if it is missing or damaged.
    """
    try:
        flat = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise StageFileError(f"{path}: cannot be read ({error})") from error
    return flax.traverse_util.unflatten_dict(flat, sep="/")
