"""Counting by sight, paper 1, section 3.1: clips at the video's stride, Eq. 4-6."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rac_jax.models.sight_sound import repetition_loss as repetitions
from rac_jax.models.sight_sound import start
from rac_jax.models.sight_sound.augment import augment_clips
from rac_jax.models.sight_sound.network import SightSound
from rac_jax.models.sight_sound.samplers import SightCut
from rac_jax.models.sight_sound.scene_batches import render_clip


@dataclasses.dataclass(frozen=True, eq=False)
class SightTask:
    """What the sight stage trains.

    Attributes:
      model: the whole system.
      config: of the run.
      scenes: what clips are rendered from where examples come from the device, None otherwise.
      classes: action labels of the data set.
    """

    model: SightSound
    config: Any
    scenes: Any = None
    classes: tuple[str, ...] = ()

    name = "sight"
    groups = ("sight_encoder",)
    aids = (repetitions.LOCAL,)  # parameters that only training needs

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        chosen = tuple(self.config.sight.trained) or ("sight_encoder", "sight_head")
        return chosen + ((repetitions.LOCAL,) if self.config.loss.local else ())

    def first(self, variables: dict) -> dict:
        """The variables that this stage begins with."""
        start.check_classes(
            self.config.loss,
            "sight_classes",
            self.model.sight_classes,
            len(self.classes),
        )
        channels = None
        if self.config.loss.local:
            smallest = jnp.zeros((1, 8, 32, 32, 3))
            output = jax.eval_shape(
                lambda: self.model.apply(variables, smallest, method="sight")
            )
            channels = output.timeline.shape[-1]
        spread = self.config.sight.spread
        return start.stream_start(variables, "sight_head", spread, channels)

    def cut(self) -> SightCut:
        """Examples from videos."""
        return SightCut(
            size=self.config.data.size,
            largest=max(self.config.stride.strides),
            labels=self.config.data.labels,
            positive=self.config.stride.positive,
            classes=self.classes,
            jitter=self.config.sight.augment.jitter,
        )

    def prepare(self, batch: dict, key: jax.Array) -> dict:
        """Renders clips if there are none, augments and normalises them."""
        if self.scenes is not None:
            keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(batch["row"])
            padded = self.config.sight.padded
            batch = jax.vmap(lambda k: render_clip(k, self.scenes, padded))(keys)
        key = jax.random.fold_in(key, len(batch["mask"]))
        settings = self.config.sight.augment
        clips = augment_clips(key, batch["clip"], batch["real"], settings)
        return batch | {"clip": clips}

    def loss(self, params: dict, stats: dict, batch: dict, key: jax.Array):
        """Eq. 6: (loss, (batch statistics, metrics))."""
        output, updates = self.model.apply(
            {"params": params, "batch_stats": stats},
            batch["clip"],
            train=self.groups,
            method="sight",
            mutable=["batch_stats"],
        )
        loss, metrics = repetitions.repetition_loss(
            self.config.loss, output, params.get(repetitions.LOCAL), batch
        )
        return loss, (updates["batch_stats"], metrics)
