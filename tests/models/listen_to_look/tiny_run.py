"""The recipe of Listen to Look at toy size, for tests."""

import pathlib
from typing import Any

import ml_collections
import numpy as np

from rac_jax.cli import train
from rac_jax.counting import weights
from rac_jax.models.classifier import FAMILY as CLASSIFIER
from tests.models.classifier import tiny_run as classifier_run

CONFIG = pathlib.Path(__file__).parents[3] / "configs" / "listen_to_look.py"
SKIMMING = {
    "model.classes": 2,
    "model.features": 6,
    "model.hidden": 8,
    "model.keys": 8,
    "model.fused": 8,
    "model.fusion_hidden": 8,
    "skim.lengths": (5, 9),
    "skim.steps": 3,
    "skim.epochs": 1,
    "skim.epoch_steps": 2,
    "skim.batch": 4,
    "skim.evaluate_epochs": 1,
    "evaluation.steps": 3,
}
STUDENT = {
    # Half of the features of the plain encoder at a sixteenth of its width.
    "model.each": 12,
    "model.width": 0.0625,
    "data.size": 20,
    "distil.epochs": 1,
    "distil.epoch_steps": 2,
    "distil.batch": 4,
}


def load_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config as its file makes it."""
    return train.load_config(f"{CONFIG}:{variant}")


def tiny_config(fields: dict[str, Any] | None = None) -> ml_collections.ConfigDict:
    """Seconds of distillation on scenes; `fields` by their dotted names."""
    config, chosen = load_config("quick"), dict(STUDENT)
    for split in ("train", "val", "test"):
        chosen[f"data.{split}.number"] = 3
    with config.unlocked():
        config.update_from_flattened_dict(chosen | (fields or {}))
    return config


def skimming_config(
    table: pathlib.Path, fields: dict[str, Any] | None = None
) -> ml_collections.ConfigDict:
    """Seconds of skimming on the features that a CSV lists."""
    config, chosen = load_config("skimming"), dict(SKIMMING)
    for split in ("train", "val", "test"):
        chosen[f"data.{split}.path"] = str(table)
    config.update_from_flattened_dict(chosen | (fields or {}))
    return config


def write_features(folder: pathlib.Path, banks: int = 2) -> pathlib.Path:
    """Stored features of two classes; what tells them apart is in every moment."""
    rng, lines = np.random.default_rng(0), ["file,sound,label,split"]
    for number in range(12):
        name, split = ("a", "b")[number % 2], ("train", "val", "test")[number // 4]
        moments = 4 + number
        for bank in ("see", "hear")[:banks]:
            values = rng.normal(0, 1, (moments, 6)) + 2 * (number % 2)
            np.save(folder / f"{bank}{number}.npy", values.astype(np.float32))
        sound = f"hear{number}.npy" if banks == 2 else ""
        lines.append(f"see{number}.npy,{sound},{name},{split}")
    (folder / "features.csv").write_text("\n".join(lines) + "\n")
    return folder / "features.csv"


def write_teacher(folder: pathlib.Path) -> pathlib.Path:
    """A classifier of scenes that has learnt nothing, as a model folder."""
    import jax

    run = classifier_run.run_of(classifier_run.tiny_config(), folder / "run")
    variables = CLASSIFIER.initialise(run.network, jax.random.key(0))
    config = CLASSIFIER.recipe().model_config(run)
    config |= {"training": {}, "accuracy": {}}
    return weights.save_model(folder / "teacher", config, variables)
