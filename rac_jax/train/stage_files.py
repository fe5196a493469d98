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
EPOCHS = "epochs"


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


def write_epoch(
    folder: pathlib.Path, epoch: int, error: float, predictions: Mapping[str, float]
) -> None:
    """Records what a stage's model predicted for the training videos after an epoch."""
    record = {"epoch": epoch, "error": error, "predictions": dict(predictions)}
    write_json(folder / EPOCHS / f"epoch_{epoch:04d}.json", record)


def read_epochs(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The records of `write_epoch` in order."""
    paths = sorted((folder / EPOCHS).glob("epoch_*.json"))
    return [read_json(path, "epoch", "error", "predictions") for path in paths]


def empirical_predictions(
    folder: pathlib.Path, threshold: float
) -> tuple[dict[str, float], list[int]]:
    """What a stage's model predicted on average while it was good, the last epoch or not.

    Args:
      folder: of the stage, with the records of its epochs.
      threshold: θ: epochs whose validation error is under it count.

    Returns:
      Video to the mean of its predictions over those epochs, and their numbers.

    Raises:
      StageFileError: if no epoch counts; the message has the lowest error.
    """
    records = read_epochs(folder)
    chosen = [record for record in records if record["error"] < threshold]
    if not chosen:
        lowest = min((record["error"] for record in records), default=float("nan"))
        raise StageFileError(
            f"{folder / EPOCHS}: no epoch has a validation error under {threshold} "
            f"(the lowest is {lowest:.3f}): raise the threshold or train longer"
        )
    names = chosen[0]["predictions"]
    mean = {
        name: float(np.mean([record["predictions"][name] for record in chosen]))
        for name in names
    }
    return mean, [record["epoch"] for record in chosen]
