"""Counting by sound, paper 1, section 3.2: 257 x 500 spectrograms, Eq. 7."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from rac_jax.models.sight_sound import evaluation, start
from rac_jax.models.sight_sound import repetition_loss as repetitions
from rac_jax.models.sight_sound.augment import augment_spectrograms
from rac_jax.models.sight_sound.samplers import SoundSampler
from rac_jax.models.sight_sound.scene_batches import render_spectrograms
from rac_jax.scenes import SceneConfig
from rac_jax.train import hosts, stage_files
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
class SoundTask(Task):
    """What the sound stage trains; attributes as in `SightTask`.

    `config.sound.trained` chooses partial fine-tuning: the release trains layer3, layer4 and
    the heads only ("sound_encoder/stage3", "sound_encoder/stage4", "sound_head").
    """

    run: Run
    scenes: SceneConfig | None = None
    classes: tuple[str, ...] = ()

    name: ClassVar[str] = "sound"
    groups: ClassVar[tuple[str, ...]] = ("sound_encoder",)
    auxiliary: ClassVar[tuple[str, ...]] = (repetitions.LOCAL,)

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        config = self.run.config
        chosen = tuple(config.sound.trained) or ("sound_encoder", "sound_head")
        return chosen + ((repetitions.LOCAL,) if config.loss.local else ())

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

    def first(self, variables: Variables) -> Variables:
        """The variables that this stage begins with."""
        config, network = self.run.config, self.run.network
        classes = len(self.classes)
        start.check_classes(
            config.loss, "sound_classes", network.sound_classes, classes
        )
        channels = None
        if config.loss.local:
            smallest = jnp.zeros((1, 32, 32))
            output = jax.eval_shape(
                lambda: network.apply(variables, smallest, method="sound")
            )
            channels = output.timeline.shape[-1]
        bias_range = config.sound.class_bias_range
        return start.stream_start(variables, "sound_head", bias_range, channels)

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

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """Eq. 7: (loss, (batch statistics, metrics))."""
        del key
        output, updates = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch["spectrogram"],
            train=self.groups,
            method="sound",
            mutable=["batch_stats"],
        )
        loss, metrics = repetitions.repetition_loss(
            self.run.config.loss, output, params.get(repetitions.LOCAL), batch
        )
        return loss, (updates["batch_stats"], metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of the counts by sound."""
        variables = evaluation.without(variables, self.auxiliary)
        return evaluation.validate_stream(
            self.run,
            self.name,
            epoch,
            lambda split: evaluation.sound_counts(self.run, variables, split),
        )

    def record(self, variables: Variables) -> Mapping[str, Any]:
        """Counts of every training video, which the last validation has left."""
        del variables
        hosts.barrier("counts of the last epoch")
        epochs = stage_files.read_epochs(self.run.workdir / self.name)
        return {"videos": epochs[-1]["predictions"]}
