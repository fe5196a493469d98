"""The SI-EN recipe at toy size, for tests."""

import pathlib
from typing import Any

import ml_collections

from rac_jax.cli import train

CONFIG = pathlib.Path(__file__).parents[3] / "configs" / "sien.py"
FIELDS = {
    "model.width": 0.1,
    "model.depth": 0.5,
    "model.head": 16,
    "data.size": 24,
    "clips.epochs": 1,
    "clips.epoch_steps": 2,
    "clips.batch": 4,
    "clips.frames": 22,
    "clips.together": 2,
}


def load_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config as its file makes it."""
    return train.load_config(f"{CONFIG}:{variant}")


def tiny_config(
    fields: dict[str, Any] | None = None, variant: str = "small"
) -> ml_collections.ConfigDict:
    """Seconds of training; `fields` by their dotted names."""
    config, chosen = load_config(variant), dict(FIELDS)
    for split in ("train", "val", "test"):
        chosen[f"data.{split}.parts.exercises.number"] = 3
        chosen[f"data.{split}.parts.exercises.frames"] = 60
    # One kind of scenes compiles in less time than two.
    config.clips.scenes = {"whole": {"share": 1.0, "period": (6.0, 12.0)}}
    with config.unlocked():
        config.update_from_flattened_dict(chosen | (fields or {}))
    return config
