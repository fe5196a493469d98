"""Counting by sound, paper 1, section 3.2: 257 x 500 spectrograms, Eq. 7."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rac_jax.models.sight_sound import repetition_loss as repetitions
from rac_jax.models.sight_sound import start
from rac_jax.models.sight_sound.augment import augment_spectrograms
from rac_jax.models.sight_sound.network import SightSound
from rac_jax.models.sight_sound.samplers import SoundCut
from rac_jax.models.sight_sound.scene_batches import render_spectrograms


@dataclasses.dataclass(frozen=True, eq=False)
class SoundTask:
    """What the sound stage trains; attributes as in `SightTask`.

    `config.sound.trained` chooses partial fine-tuning: the release trains layer3, layer4 and
    the heads only ("sound_encoder/layer3", "sound_encoder/stage4", "sound_head").
    """

    model: SightSound
    config: Any
    scenes: Any = None
    classes: tuple[str, ...] = ()

    name = "sound"
    groups = ("sound_encoder",)
    aids = (repetitions.LOCAL,)  # parameters that only training needs

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        chosen = tuple(self.config.sound.trained) or ("sound_encoder", "sound_head")
        return chosen + ((repetitions.LOCAL,) if self.config.loss.local else ())

    def first(self, variables: dict) -> dict:
        """The variables that this stage begins with."""
        start.check_classes(
            self.config.loss,
            "sound_classes",
            self.model.sound_classes,
            len(self.classes),
        )
        channels = None
        if self.config.loss.local:
            smallest = jnp.zeros((1, 32, 32))
            output = jax.eval_shape(
                lambda: self.model.apply(variables, smallest, method="sound")
            )
            channels = output.timeline.shape[-1]
        spread = self.config.sound.spread
        return start.stream_start(variables, "sound_head", spread, channels)

    def cut(self) -> SoundCut:
        """Examples from videos."""
        return SoundCut(
            labels=self.config.data.labels,
            classes=self.classes,
            highest=self.config.sound.highest,
        )

    def prepare(self, batch: dict, key: jax.Array) -> dict:
        """Renders spectrograms if there are none, and augments them."""
        if self.scenes is not None:
            settings = self.config.sound
            windows = settings.windows
            keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(
                batch["row"][::windows]
            )
            batch = jax.vmap(
                lambda k: render_spectrograms(k, self.scenes, settings.highest, windows)
            )(keys)
            batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
        spectrograms, counts, rates = augment_spectrograms(
            jax.random.fold_in(key, len(batch["mask"])),
            batch["spectrogram"],
            batch["columns"],
            batch["count"],
            batch["rate"],
            self.config.sound.augment,
        )
        return batch | {"spectrogram": spectrograms, "count": counts, "rate": rates}

    def loss(self, params: dict, stats: dict, batch: dict, key: jax.Array):
        """Eq. 7: (loss, (batch statistics, metrics))."""
        output, updates = self.model.apply(
            {"params": params, "batch_stats": stats},
            batch["spectrogram"],
            train=self.groups,
            method="sound",
            mutable=["batch_stats"],
        )
        loss, metrics = repetitions.repetition_loss(
            self.config.loss, output, params.get(repetitions.LOCAL), batch
        )
        return loss, (updates["batch_stats"], metrics)
