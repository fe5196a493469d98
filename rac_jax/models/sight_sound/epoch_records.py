"""What a stream says of the training videos after its epochs: paper 1, section 3.4.

The reliability stage learns from the predictions of the epochs that were good: no better than
those of videos which the stream has not seen.
"""

import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from rac_jax.train import stage_files
from rac_jax.train.stage_files import StageFileError

LOG = logging.getLogger("rac_jax.train")
# Of the stage's folder.
FOLDER = "epochs"
# Validation errors that are told where none is low enough.
TOLD = 3


def write_epoch(
    folder: pathlib.Path,
    epoch: int,
    error: float,
    predictions: Mapping[str, float] | None,
) -> None:
    """Records an epoch.

    Args:
      folder: of the stage.
      epoch: counted from 1.
      error: its validation error.
      predictions: video_id of the training videos that were counted to count; None where none was.
    """
    counted = None if predictions is None else dict(predictions)
    record = {"epoch": epoch, "error": error, "predictions": counted}
    stage_files.write_json(folder / FOLDER / f"epoch_{epoch:04d}.json", record)


def read_epochs(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The records of `write_epoch` in order."""
    paths = sorted((folder / FOLDER).glob("epoch_*.json"))
    return [
        stage_files.read_json(path, "epoch", "error", "predictions") for path in paths
    ]


def empirical_predictions(
    folder: pathlib.Path, threshold: float
) -> tuple[dict[str, float], list[int]]:
    """What a stage's model predicted on average while it was good, the last epoch or not.

    Args:
      folder: of the stage, with the records of its epochs.
      threshold: θ: epochs whose validation error is under it count.

    Returns:
      Video to the mean of its predictions over those epochs that have one, and the epochs'
      numbers.

    Raises:
      StageFileError: if no epoch counts; the message has the lowest errors.
    """
    records = read_epochs(folder)
    chosen = [
        record
        for record in records
        if record["error"] < threshold and record["predictions"] is not None
    ]
    if not chosen:
        raise StageFileError(f"{folder / FOLDER}: {unreached(folder, threshold)}")
    # The last epoch has counted every video; it speaks for those that no good one has counted.
    last = records[-1]["predictions"]
    found: dict[str, list[float]] = {}
    for record in chosen:
        for name, count in record["predictions"].items():
            found.setdefault(name, []).append(count)
    found = {name: [count] for name, count in (last or {}).items()} | found
    mean = {name: float(np.mean(counts)) for name, counts in found.items()}
    return mean, [record["epoch"] for record in chosen]


def unreached(folder: pathlib.Path, threshold: float) -> str | None:
    """A line on a threshold that no epoch has reached, None where one has.

    Args:
      folder: of the stage, named as the stage is.
      threshold: θ of the config's `reliability` section.

    Returns:
      The line: the lowest validation errors, and what to change.
    """
    errors = sorted(record["error"] for record in read_epochs(folder))
    if errors and errors[0] < threshold:
        return None
    lowest = ", ".join(f"{error:.3f}" for error in errors[:TOLD]) or "none"
    return (
        f"no epoch of {folder.name} has a validation error under {threshold:g} (the lowest: "
        f"{lowest}), which reliability needs: raise "
        f"reliability.{folder.name}_threshold, train longer (a new workdir with more "
        f"{folder.name}.epochs), or set reliability.predictions to final"
    )


def report_unreached(folder: pathlib.Path, threshold: float) -> None:
    """Warns as soon as a stage is over that the reliability stage will have nothing from it."""
    line = unreached(folder, threshold)
    if line is not None:
        LOG.warning("%s", line)
