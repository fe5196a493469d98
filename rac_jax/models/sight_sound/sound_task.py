"""Counting by sound, paper 1, section 3.2: 257 x 500 spectrograms, Eq. 7."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from rac_jax.models.sight_sound import epoch_records, evaluation
from rac_jax.models.sight_sound.augment import augment_spectrograms
from rac_jax.models.sight_sound.samplers import SoundSampler
from rac_jax.models.sight_sound.scene_batches import render_spectrograms
from rac_jax.models.sight_sound.stream_task import StreamTask
from rac_jax.train import hosts
from rac_jax.train.recipe import (
    Batch,
    Examples,
    RenderedExamples,
    Variables,
    VideoExamples,
)


class SoundTask(StreamTask):
    """What the sound stage trains.

    `config.sound.trained` chooses partial fine-tuning: the release trains layer3, layer4 and
    the heads only ("sound_encoder/stage3", "sound_encoder/stage4", "sound_head").
    """

    name = "sound"
    input = "spectrogram"
    smallest = (1, 32, 32)

    @property
    def examples(self) -> Examples:
        """Spectrograms of scenes that are rendered in the step, or of videos."""
        if self.scenes is not None:
            return RenderedExamples()
        config = self.run.config
        sampler = SoundSampler(
            labels=config.data.labels,
            classes=self.classes,
            squeeze=config.sound.squeeze,
            highest=config.sound.highest,
        )
        return VideoExamples(sampler)

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders spectrograms if there are none, and augments them."""
        settings = self.run.config.sound
        if self.scenes is not None:
            # Rendering is dear: of every scene several windows are learned from.
            windows = settings.windows
            keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(
                batch["row"][::windows]
            )
            highest = settings.highest if settings.squeeze == "random" else None
            batch = jax.vmap(
                lambda k: render_spectrograms(k, self.scenes, highest, windows)
            )(keys)
            batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
        spectrograms, counts, rates = augment_spectrograms(
            jax.random.fold_in(key, len(batch["mask"])),
            batch["spectrogram"],
            batch["columns"],
            batch["count"],
            batch["rate"],
            settings.augment,
        )
        return batch | {"spectrogram": spectrograms, "count": counts, "rate": rates}

    def count(
        self, variables: Variables, split: str, indices: Sequence[int] | None = None
    ) -> np.ndarray:
        """Counts by sound alone."""
        return evaluation.sound_counts(self.run, variables, split, indices)

    def record(self, variables: Variables) -> Mapping[str, Any]:
        """Counts of every training video."""
        hosts.barrier("counts of the last epoch")
        self.report_epochs()
        if self.run.config.sound.keep_best:
            counts = self.count(variables, "train")
            return {"videos": evaluation.by_video(self.run, "train", counts)}
        # The last validation has left them.
        last = epoch_records.read_epochs(self.run.workdir / self.name)[-1]
        return {"videos": last["predictions"]}
