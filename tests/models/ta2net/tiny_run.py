"""The recipe at toy size, for tests."""

import pathlib
from typing import Any

import ml_collections

from rac_jax.cli import train

CONFIG = pathlib.Path(__file__).parents[3] / "configs" / "ta2net.py"
FIELDS = {
    "model.frames": 16,
    "model.width": 0.0625,
    "data.size": 16,
    "windows.epochs": 1,
    "windows.epoch_steps": 2,
    "windows.batch": 4,
}


def load_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config as its file makes it."""
    return train.load_config(f"{CONFIG}:{variant}")


def tiny_config(fields: dict[str, Any] | None = None) -> ml_collections.ConfigDict:
    """Seconds of training; `fields` by their dotted names."""
    config, chosen = load_config("quick"), dict(FIELDS)
    for split in ("train", "val", "test"):
        chosen[f"data.{split}.parts.mixed.number"] = 3
        chosen[f"data.{split}.parts.mixed.frames"] = 40
    config.windows.scenes = {
        "strikes": {"share": 1.0, "kinds": ("bounce",), "period": (4.0, 9.0)}
    }
    with config.unlocked():
        config.update_from_flattened_dict(chosen | (fields or {}))
    return config
