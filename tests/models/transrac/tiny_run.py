"""The recipes of counters by a density at toy size, for tests."""

import pathlib
from typing import Any

import ml_collections

from rac_jax.cli import train

CONFIGS = pathlib.Path(__file__).parents[3] / "configs"
FIELDS = {
    "model.frames": 16,
    "model.width": 0.0625,
    "data.size": 16,
    "windows.epochs": 1,
    "windows.epoch_steps": 2,
    "windows.batch": 4,
}


def load_config(family: str, variant: str = "") -> ml_collections.ConfigDict:
    """The config as its file makes it."""
    return train.load_config(f"{CONFIGS / family}.py:{variant}")


def tiny_config(
    family: str = "transrac", fields: dict[str, Any] | None = None
) -> ml_collections.ConfigDict:
    """Seconds of training; `fields` by their dotted names."""
    config, chosen = load_config(family, "small"), dict(FIELDS)
    for split in ("train", "val", "test"):
        for part in ("brief", "short", "long"):
            chosen[f"data.{split}.parts.{part}.number"] = 3 if part == "brief" else 0
    # One kind of scenes compiles in less time than three.
    config.windows.scenes = {"repeats": {"share": 1.0, "period": (3.0, 8.0)}}
    with config.unlocked():
        config.update_from_flattened_dict(chosen | (fields or {}))
    return config
