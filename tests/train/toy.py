"""The recipe of sight and sound at toy size, as arguments of `rac train` and as a run."""

import pathlib
from collections.abc import Mapping

import flax.linen as nn
import ml_collections

from rac_jax import models
from rac_jax.cli import train
from rac_jax.data.pipeline import Source
from rac_jax.train import loop, mesh
from rac_jax.train.run import Run

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "sight_sound.py"

FIELDS = {
    "data.size": 32,
    "data.train.number": 6,
    "data.val.number": 3,
    "data.test.number": 4,
    "model.sight_encoder": "r2plus1d18",  # compiles faster than an S3D
    "model.sight_width": 0.0625,
    "model.sound_width": 0.0625,
    "sight.batch": 4,
    "sight.epochs": 2,
    "sight.epoch_steps": 2,
    "sound.batch": 4,
    "sound.epochs": 2,
    "sound.epoch_steps": 2,
    "stride.batch": 2,
    "stride.epochs": 1,
    "stride.strides": (1, 2, 3),
    "counting.max_stride": 3,
    "reliability.batch": 2,
    "reliability.epochs": 1,
    "reliability.stride": "positive",
    # Nothing so small learns to count: let every epoch be good enough.
    "sight.record_under": 1000.0,
    "sound.record_under": 1000.0,
    "reliability.sight_threshold": 1000.0,
    "reliability.sound_threshold": 1000.0,
}
# Short scenes, whose clips still need different strides.
SCENES = {"frames": 160, "period": (5.0, 50.0)}


def arguments(workdir, variant: str = "small", **fields) -> list[str]:
    """Arguments of `rac train`; "__" in a field's name stands for a dot."""
    chosen = dict(FIELDS)
    for split in ("train", "val", "test"):
        for name, value in SCENES.items():
            chosen[f"data.{split}.scenes.{name}"] = value
    chosen |= {name.replace("__", "."): value for name, value in fields.items()}
    flags = [f"--config.{name}={value}" for name, value in chosen.items()]
    return [f"--config={CONFIG}:{variant}", f"--workdir={workdir}", *flags]


def load_config(variant: str) -> ml_collections.ConfigDict:
    """The config itself, at its own size."""
    return train.load_config(f"{CONFIG}:{variant}")


def toy_config(variant: str = "small") -> ml_collections.ConfigDict:
    """The config at toy size."""
    config = load_config(variant)
    config.update_from_flattened_dict(FIELDS)
    for split in ("train", "val", "test"):
        config.data[split].scenes.update(SCENES)
    return config


def make_run(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    network: nn.Module | None = None,
    videos: Mapping[str, Source] | None = None,
) -> Run:
    """A run that has not begun.

    Args:
      config: of the run.
      workdir: its folder.
      network: in place of the config's.
      videos: split to source, in place of the config's.
    """
    family = models.find_family(config.family)
    network = network or family.network(**config.model.to_dict())
    return Run(
        config=config,
        workdir=workdir,
        family=family,
        recipe=family.recipe(),
        network=network,
        mesh=mesh.make_mesh(),
        stop=loop.StopSignal(),
        sources=dict(videos or {}),
    )
