"""The recipe at toy size, for tests."""

import pathlib
from typing import Any

import ml_collections

from rac_jax.cli import train

CONFIG = pathlib.Path(__file__).parents[3] / "configs" / "gmflow.py"


def load_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config as its file makes it."""
    return train.load_config(f"{CONFIG}:{variant}")


def tiny_config(fields: dict[str, Any] | None = None) -> ml_collections.ConfigDict:
    """Seconds of training on one kind of scenes; `fields` by their dotted names."""
    config = load_config("quick")
    config.flow.scenes = {
        "moving": config.flow.scenes.moving.to_dict() | {"share": 1.0}
    }
    chosen = {"flow.epoch_steps": 2, "data.val.number": 1, "data.test.number": 2}
    with config.unlocked():
        config.update_from_flattened_dict(chosen | (fields or {}))
    return config
