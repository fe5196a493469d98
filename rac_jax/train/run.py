"""One run of the recipe: its config checked, its videos, and what each stage depends on."""

import dataclasses
import functools
import json
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from rac_jax.data import pipeline
from rac_jax.models.sight_sound import evaluation, video_counts
from rac_jax.models.sight_sound import (
    reliability_task as reliability,
)
from rac_jax.models.sight_sound import (
    repetition_loss as repetitions,
)
from rac_jax.models.sight_sound import (
    stride_task as stride,
)
from rac_jax.train import loop, splits
from rac_jax.train.state import make_optimiser

EXAMPLES = ("videos", "device")
# What a stage depends on, by section of the config. What only says how fast or how often
# something is shown is left out.
_ALL = ("model", "loss", "data")
DEPENDS = {
    "sight_sound": {
        "sight": (*_ALL, "sight"),
        "sound": (*_ALL, "sound"),
        "stride": (*_ALL, "sight", "sound", "stride"),
        "reliability": (*_ALL, "sight", "sound", "stride", "reliability"),
    },
    "compact": {
        "sight": (*_ALL, "sight"),
        "sound": (*_ALL, "sound"),
        "reader": (*_ALL, "sight", "sound", "reader"),
    },
}
FREE = {
    "workers",
    "cache",
    "log_steps",
    "checkpoint_steps",
    "rematerialise",
    "test",
}
# Of later stages' sections, the few fields that the first two read.
CLIPS = ("strides", "positive")


@dataclasses.dataclass
class Run:
    """One run of the recipe.

    Attributes:
      config: resolved.
      workdir: the run's folder.
      model: the whole system.
      mesh: devices.
      stop: asks to stop.
    """

    config: Any
    workdir: pathlib.Path
    model: nn.Module
    mesh: Any
    stop: loop.StopSignal

    _opened: dict[str, Any] = dataclasses.field(default_factory=dict)

    def _open(self, split: str) -> tuple[pipeline.Source, list[evaluation.VideoFacts]]:
        if split not in self._opened:
            source = splits.open_split(self.config.data, split, self.workdir)
            self._opened[split] = (source, evaluation.describe(source))
        return self._opened[split]

    def source(self, split: str) -> pipeline.Source:
        """The videos of a split, opened when first asked for."""
        return self._open(split)[0]

    def facts(self, split: str) -> list[evaluation.VideoFacts]:
        """What is known of them."""
        return self._open(split)[1]

    @functools.cached_property
    def counter(self) -> video_counts.VideoCounts:
        """Runs the model over videos."""
        return video_counts.VideoCounts(self.model, self.mesh, self.config.eval_batch)

    @property
    def strides(self) -> tuple[int, ...]:
        """1 to S_K."""
        return tuple(self.config.stride.strides)


def stage_key(seed: int, name: str) -> jax.Array:
    """The key of a stage, of the run's seed and the stage's name."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


def identity(config: Any, stage: str) -> dict[str, Any]:
    """The fields of the config that a stage's result depends on, by dotted name."""
    known = config.to_dict()
    chosen = {name: known[name] for name in DEPENDS[config.family][stage]}
    if config.family == "sight_sound" and "stride" not in chosen:
        chosen["stride"] = {name: known["stride"][name] for name in CLIPS}
    flat = {"seed": known["seed"], "precision": known["precision"]}

    def add(prefix, value):
        if isinstance(value, Mapping):
            for name, inner in value.items():
                if name not in FREE:
                    add(f"{prefix}.{name}", inner)
        else:
            flat[prefix] = value

    for name, section in chosen.items():
        add(name, section)
    return json.loads(json.dumps(flat))  # as it will be read again


def check_config(run: Run) -> None:
    """Checks settings before hours are spent on them.

    Raises:
      ValueError: naming the field.
    """
    config = run.config
    repetitions.check_loss(config.loss)
    stride.check_settings(config.stride, run.model.use_sight_only_ranker)
    reliability.check_settings(config.reliability)
    for split in splits.SPLITS:
        splits.check_split(config.data, split)
    for stage in ("sight", "sound"):
        if config[stage].examples not in EXAMPLES:
            raise ValueError(
                f"{stage}.examples: {config[stage].examples!r} is not one of "
                f"{', '.join(EXAMPLES)}"
            )
        if config[stage].examples == "device" and not config[stage].epoch_steps:
            raise ValueError(
                f"{stage}.epoch_steps: rendered clips have no epoch of their own"
            )
    windows = config.sound.windows
    if windows < 1 or config.sound.batch % windows:
        raise ValueError(
            f"sound.windows: {windows} does not divide the batch of {config.sound.batch}"
        )
    for stage in DEPENDS["sight_sound"]:
        make_optimiser(config[stage].optimiser, 1, {})
        batch = config[stage].batch
        if batch % run.mesh.size:
            raise ValueError(
                f"{stage}.batch: {batch} does not divide by {run.mesh.size} devices"
            )
        if batch % config[stage].accumulate:
            raise ValueError(
                f"{stage}.accumulate: {config[stage].accumulate} does not divide the "
                f"batch of {batch}"
            )
