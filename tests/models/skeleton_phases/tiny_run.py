"""The recipe of networks of skeletons at toy size, for tests."""

import pathlib
from typing import Any

import ml_collections

from rac_jax.cli import train

CONFIG = pathlib.Path(__file__).parents[3] / "configs" / "skeleton_phases.py"
FIELDS = {
    "model.width": 0.0625,
    "model.scales": 3,
    "model.window_scales": 2,
    "clips.epochs": 1,
    "clips.epoch_steps": 2,
    "clips.batch": 4,
    "clips.frames": 24,
    "clips.together": 2,
}


def load_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config as its file makes it."""
    return train.load_config(f"{CONFIG}:{variant}")


def tiny_config(
    fields: dict[str, Any] | None = None, variant: str = "st-gcn"
) -> ml_collections.ConfigDict:
    """Seconds of training; `fields` by their dotted names."""
    config, chosen = load_config(variant), dict(FIELDS)
    for split in ("train", "val", "test"):
        chosen[f"data.{split}.parts.exercises.number"] = 3
        chosen[f"data.{split}.parts.exercises.frames"] = 60
    # One kind of scenes compiles in less time than two.
    kinds = ("figure",)
    config.clips.scenes = {
        "whole": {"share": 1.0, "period": (6.0, 12.0), "kinds": kinds}
    }
    with config.unlocked():
        config.update_from_flattened_dict(chosen | (fields or {}))
    return config
