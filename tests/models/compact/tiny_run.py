"""The compact recipe at toy size, for tests: a config, and runs of it."""

import pathlib
from typing import Any

import ml_collections

from rac_jax.cli import train
from rac_jax.models.compact import FAMILY
from rac_jax.train import loop, mesh
from rac_jax.train.run import Run

CONFIG = pathlib.Path(__file__).parents[3] / "configs" / "compact.py"
FIELDS = {
    "data.size": 16,
    "model.sight_features": ("pixels",),
    # Of the three kinds of scenes two: each takes long to compile.
    "sight.batch": 2,
    "sound.batch": 2,
    "sound.strides": (1, 2),
    "sound.scenes.all.frames": 160,
    "decoder.batch": 4,
}
STAGES = ("sight", "sound", "decoder")


def load_config(variant: str = "") -> ml_collections.ConfigDict:
    """The config as its file makes it."""
    return train.load_config(f"{CONFIG}:{variant}")


def tiny_config(fields: dict[str, Any] | None = None) -> ml_collections.ConfigDict:
    """Seconds of training; `fields` by their dotted names."""
    config, chosen = load_config("quick"), dict(FIELDS)
    for stage in STAGES:
        chosen |= {f"{stage}.epochs": 1, f"{stage}.epoch_steps": 2}
    for split in ("train", "val", "test"):
        for part in ("brief", "short", "long", "coarse"):
            chosen[f"data.{split}.parts.{part}.number"] = 3 if part == "brief" else 0
    with config.unlocked():
        config.update_from_flattened_dict(chosen | (fields or {}))
    return config


def make_run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> Run:
    """A run that nothing was trained in."""
    network = FAMILY.network(**config.model.to_dict())
    return Run(
        config=config,
        workdir=workdir,
        family=FAMILY,
        recipe=FAMILY.recipe(),
        network=network,
        mesh=mesh.make_mesh(),
        stop=loop.StopSignal(),
    )
