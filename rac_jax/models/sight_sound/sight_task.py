"""Counting by sight, paper 1, section 3.1: clips at the video's stride, Eq. 4-6."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from rac_jax.models.sight_sound import evaluation
from rac_jax.models.sight_sound.augment import augment_clips
from rac_jax.models.sight_sound.samplers import SightSampler
from rac_jax.models.sight_sound.scene_batches import render_clip
from rac_jax.models.sight_sound.stream_task import StreamTask
from rac_jax.train.recipe import (
    Batch,
    Examples,
    RenderedExamples,
    Variables,
    VideoExamples,
)

# Fields of what the stage leaves: counts of the videos of the split "train", and of those that
# sight alone has learned from where they are others.
VIDEOS, OWN_VIDEOS = "videos", "own_videos"


class SightTask(StreamTask):
    """What the sight stage trains."""

    name = "sight"
    input = "clip"
    smallest = (1, 8, 32, 32, 3)

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
        return VideoExamples(sampler, self.run.own_split(self.name, "train"))

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

    def count(
        self, variables: Variables, split: str, indices: Sequence[int] | None = None
    ) -> np.ndarray:
        """Counts by sight, each video at its own stride S*."""
        return evaluation.sight_counts(self.run, variables, split, indices)

    def record(self, variables: Variables) -> Mapping[str, Any]:
        """Counts of every training video at every stride, its own and the other stages'."""
        self.report_epochs()
        own = self.run.own_split(self.name, "train")
        fields = {VIDEOS: "train"} | ({OWN_VIDEOS: own} if own != "train" else {})
        found = {"strides": list(evaluation.counted_strides(self.run))}
        for field, split in fields.items():
            counts = evaluation.sight_counts_by_stride(self.run, variables, split)
            names = [video.video_id for video in self.run.videos(split)]
            found[field] = dict(zip(names, counts.tolist(), strict=True))
        return found
