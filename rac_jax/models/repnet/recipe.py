"""Training RepNet, on rendered scenes or on clips of unlabelled videos that are repeated."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.models.repnet import augment
from rac_jax.models.repnet.losses import period_targets, repnet_loss
from rac_jax.models.repnet.network import normalised
from rac_jax.models.repnet.repeated_clips import RepeatedClips
from rac_jax.scenes import Scene
from rac_jax.train import splits
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import (
    Batch,
    Examples,
    Recipe,
    RenderedExamples,
    Stage,
    Task,
    VideoExamples,
)
from rac_jax.train.report import report, validation_scores
from rac_jax.train.run import Run
from rac_jax.train.scene_windows import (
    SceneParts,
    end_early,
    render_parts,
    reverse_some,
    scene_parts,
)

STAGE = "windows"
GROUPS = (
    "encoder",
    "temporal",
    "temporal_norm",
    "similarity",
    "period_branch",
    "periodicity_branch",
)
EXAMPLES = ("scenes", "repeated_clips")


def window_parts(run: Run) -> SceneParts:
    """The kinds of scenes that windows are rendered from.

    Raises:
      ValueError: for a field that scenes do not have, or a wrong value.
    """
    size, frames = run.config.data.size, run.network.frames
    return scene_parts(run.config[STAGE].scenes, height=size, width=size, frames=frames)


def pick(key: jax.Array, scene: Scene) -> dict[str, jax.Array]:
    """What a window needs of a scene."""
    del key
    return {
        "windows": scene.frames,
        "rate": scene.rate,
        "periodic": scene.periodicity,
    }


@dataclasses.dataclass(frozen=True, eq=False)
class WindowTask(Task):
    """What the one stage trains.

    Attributes:
      run: whose network is trained, by whose config.
      parts: kinds of scenes; None where clips of videos are repeated.
    """

    run: Run
    parts: SceneParts | None

    name: ClassVar[str] = STAGE
    trained: ClassVar[tuple[str, ...]] = GROUPS

    @property
    def examples(self) -> Examples:
        """Windows that are rendered in the step, or made of videos."""
        if self.parts is not None:
            return RenderedExamples()
        network = self.run.network
        longest = network.periods - 1 + network.first_period
        return VideoExamples(
            RepeatedClips(network.frames, self.run.config.data.size, longest)
        )

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders windows if there are none, and augments them."""
        settings = self.run.config[STAGE]
        keys = jax.random.split(key, 5)
        mask = batch.get("mask")
        if self.parts is not None:
            number = len(batch["row"])
            batch = render_parts(keys[0], self.parts, number, pick)
            mask = jnp.ones(number, bool)
        fields = {name: batch[name] for name in ("windows", "rate", "periodic")}
        fields = end_early(keys[1], reverse_some(keys[2], fields), settings.padded)
        windows = normalised(fields["windows"])
        if settings.camera:
            windows = augment.camera_motion(keys[3], windows, settings.camera)
        windows = augment.colours(keys[4], windows)
        return fields | {"windows": windows, "mask": mask}

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(loss, (batch statistics, metrics))."""
        network = self.run.network
        output, updates = network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch["windows"],
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        targets = period_targets(
            batch["rate"], batch["periodic"], network.periods, network.first_period
        )
        weight = self.run.config.loss.periodicity
        loss, metrics = repnet_loss(output, targets, batch["mask"], weight)
        return loss, (updates["batch_stats"], metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of counts of the validation videos."""
        del epoch
        counts = self.run.counts(variables, "val")
        return validation_scores(counts, self.run.videos("val"))


def make_task(run: Run, variables: Variables) -> WindowTask:
    """The task of the one stage."""
    del variables
    rendered = run.config[STAGE].examples == "scenes"
    return WindowTask(run, window_parts(run) if rendered else None)


def check(run: Run) -> None:
    """Checks what only this family has.

    Raises:
      ValueError: naming the field.
    """
    settings = run.config[STAGE]
    if settings.examples not in EXAMPLES:
        raise ValueError(
            f"{STAGE}.examples: {settings.examples!r} is not one of "
            f"{', '.join(EXAMPLES)}"
        )
    wanted = ("val", "test")
    if settings.examples == "scenes":
        window_parts(run)
        if not settings.epoch_steps:
            raise ValueError(f"{STAGE}.epoch_steps: must be above 0")
    else:
        wanted = ("train", *wanted)
    for name in ("padded", "camera"):
        if not 0 <= settings[name] <= 1:
            raise ValueError(f"{STAGE}.{name}: {settings[name]} is not from 0 to 1")
    for split in wanted:
        splits.check_split(run.config.data, split)
        if split not in run.sources:
            splits.check_files(run.config.data, split)


def model_config(run: Run) -> dict[str, Any]:
    """The `config.json` with which the model in training counts."""
    config = run.config
    return {
        "name": config.name,
        "family": run.family.name,
        "arguments": config.model.to_dict(),
        "preprocessing": {"size": config.data.size},
        "protocol": config.counting.protocol,
    }


def evaluate(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures on the test videos, beside a constant."""
    videos = run.videos("test")
    counts = run.counts(variables, "test")
    positive = [video.count for video in videos if video.count > 0]
    middle = sorted(positive)[len(positive) // 2] if positive else 0.0
    constant = np.full_like(counts, middle)
    found = report({"sight": counts, "always the median": constant}, videos)
    still = [c for c, video in zip(counts, videos, strict=True) if video.count == 0]
    mean = float(sum(still) / len(still)) if still else None
    return found | {"still_counts": {"sight": mean}}


RECIPE = Recipe(
    stages=(Stage(STAGE, make_task, ("model", "loss", "data", STAGE), GROUPS),),
    model_config=model_config,
    evaluate=evaluate,
    check=check,
)
