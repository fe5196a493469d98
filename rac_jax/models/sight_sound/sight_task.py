"""Counting by sight, paper 1, section 3.1: clips at the video's stride, Eq. 4-6."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from rac_jax.models.sight_sound import evaluation, start
from rac_jax.models.sight_sound import repetition_loss as repetitions
from rac_jax.models.sight_sound.augment import augment_clips
from rac_jax.models.sight_sound.samplers import SightSampler
from rac_jax.models.sight_sound.scene_batches import render_clip
from rac_jax.scenes import SceneConfig
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import (
    Batch,
    Examples,
    RenderedExamples,
    Task,
    Variables,
    VideoExamples,
)
from rac_jax.train.run import Run


@dataclasses.dataclass(frozen=True, eq=False)
class SightTask(Task):
    """What the sight stage trains.

    Attributes:
      run: whose network is trained, by whose config.
      scenes: what clips are rendered from where examples come from the device, None otherwise.
      classes: action labels of the data set.
    """

    run: Run
    scenes: SceneConfig | None = None
    classes: tuple[str, ...] = ()

    name: ClassVar[str] = "sight"
    groups: ClassVar[tuple[str, ...]] = ("sight_encoder",)
    auxiliary: ClassVar[tuple[str, ...]] = (repetitions.LOCAL,)

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        config = self.run.config
        chosen = tuple(config.sight.trained) or ("sight_encoder", "sight_head")
        return chosen + ((repetitions.LOCAL,) if config.loss.local else ())

    @property
    def examples(self) -> Examples:
        """Clips that are rendered in the step, or cut out of videos."""
        if self.scenes is not None:
            return RenderedExamples()
        config = self.run.config
        sampler = SightSampler(
            size=config.data.size,
            largest=max(config.stride.strides),
            labels=config.data.labels,
            positive=config.stride.positive,
            classes=self.classes,
            jitter=config.sight.augment.jitter,
        )
        return VideoExamples(sampler)

    def first(self, variables: Variables) -> Variables:
        """The variables that this stage begins with."""
        config, network = self.run.config, self.run.network
        classes = len(self.classes)
        start.check_classes(
            config.loss, "sight_classes", network.sight_classes, classes
        )
        channels = None
        if config.loss.local:
            smallest = jnp.zeros((1, 8, 32, 32, 3))
            output = jax.eval_shape(
                lambda: network.apply(variables, smallest, method="sight")
            )
            channels = output.timeline.shape[-1]
        bias_range = config.sight.class_bias_range
        return start.stream_start(variables, "sight_head", bias_range, channels)

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders clips if there are none, augments and normalises them."""
        settings = self.run.config.sight
        if self.scenes is not None:
            keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(batch["row"])
            batch = jax.vmap(lambda k: render_clip(k, self.scenes, settings.padded))(
                keys
            )
        key = jax.random.fold_in(key, len(batch["mask"]))
        clips = augment_clips(key, batch["clip"], batch["real"], settings.augment)
        return batch | {"clip": clips}

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """Eq. 6: (loss, (batch statistics, metrics))."""
        del key
        output, updates = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch["clip"],
            train=self.groups,
            method="sight",
            mutable=["batch_stats"],
        )
        loss, metrics = repetitions.repetition_loss(
            self.run.config.loss, output, params.get(repetitions.LOCAL), batch
        )
        return loss, (updates["batch_stats"], metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of the counts by sight, each video at its own stride S*."""
        variables = evaluation.without(variables, self.auxiliary)
        return evaluation.validate_stream(
            self.run,
            self.name,
            epoch,
            lambda split: evaluation.sight_counts(self.run, variables, split),
        )

    def record(self, variables: Variables) -> Mapping[str, Any]:
        """Counts of every training video at every stride."""
        counts = evaluation.sight_counts_by_stride(self.run, variables, "train")
        names = [video.video_id for video in self.run.videos("train")]
        return {
            "strides": list(evaluation.counted_strides(self.run)),
            "videos": dict(zip(names, counts.tolist(), strict=True)),
        }
