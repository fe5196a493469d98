"""Trusting sight or sound, paper 1, section 3.4: Eq. 10-11, and the alternative of Table 9."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rac_jax.models.sight_sound import losses, start
from rac_jax.models.sight_sound import repetition_loss as repetitions
from rac_jax.models.sight_sound.heads import RepetitionHead
from rac_jax.models.sight_sound.network import SightSound, fuse
from rac_jax.models.sight_sound.samplers import ReliabilityCut
from rac_jax.models.sight_sound.scene_batches import normalise
from rac_jax.train.metrics import mean

PREDICTIONS = ("empirical", "final")
STRIDES = ("positive", "ranker")
FUSIONS = ("gamma", "fully_connected")
FUSION_HEAD = "fusion_head"  # parameter group of the alternative, not part of the model
FUSION_CLASSES = 41  # appendix F


def check_settings(settings: Any) -> None:
    """Checks a config's `reliability` section.

    Raises:
      ValueError: naming the field.
    """
    fields = {"predictions": PREDICTIONS, "stride": STRIDES, "fusion": FUSIONS}
    for name, known in fields.items():
        if settings[name] not in known:
            raise ValueError(
                f"reliability.{name}: {settings[name]!r} is not one of {', '.join(known)}"
            )


def fusion_head() -> RepetitionHead:
    """Two fully connected layers on both streams' features (Table 9, after [7])."""
    return RepetitionHead(FUSION_CLASSES)


@dataclasses.dataclass(frozen=True, eq=False)
class ReliabilityTask:
    """What the reliability stage trains.

    Attributes:
      model: the whole system.
      config: of the run; `reliability.fusion` is one of `FUSIONS`.
      strides: video_id to the stride at which its clips are cut.
      sight: video_id to count by sight.
      sound: video_id to count by sound.
    """

    model: SightSound
    config: Any
    strides: Mapping[str, int]
    sight: Mapping[str, float]
    sound: Mapping[str, float]

    name = "reliability"

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        learned = self.config.reliability.fusion == "fully_connected"
        return (FUSION_HEAD,) if learned else ("reliability_head",)

    def first(self, variables: dict) -> dict:
        """The variables that this stage begins with."""
        parts = {"reliability_head": {"sound": "sound_encoder"}}
        variables = start.copy_last_stages(variables, parts)
        if self.trained == (FUSION_HEAD,):
            heads = [variables["params"][name] for name in ("sight_head", "sound_head")]
            width = sum(one["counts"]["kernel"].shape[0] for one in heads)
            key = jax.random.key(self.config.seed)
            first = fusion_head().init(key, jnp.zeros((1, width)))["params"]
            params = dict(variables["params"]) | {FUSION_HEAD: first}
            variables = variables | {"params": params}
        return variables

    def cut(self) -> ReliabilityCut:
        """Examples from videos."""
        return ReliabilityCut(
            size=self.config.data.size,
            labels=self.config.data.labels,
            strides=self.strides,
            sight=self.sight,
            sound=self.sound,
        )

    def prepare(self, batch: dict, key: jax.Array) -> dict:
        """Normalises the clips."""
        real = batch["real"][..., None, None, None]
        return batch | {"clip": normalise(batch["clip"]) * real}

    def loss(self, params: dict, stats: dict, batch: dict, key: jax.Array):
        """Eq. 11, or Eq. 6 for the alternative: (loss, (batch statistics, metrics))."""

        def run(model: SightSound, clips, spectrograms):
            sight = model.sight(clips, train=self.trained_groups)
            sound = model.sound(spectrograms, train=self.trained_groups)
            gamma = model.reliability(sight, sound, train=self.trained_groups)
            both = jnp.concatenate([sight.features, sound.features], axis=-1)
            return gamma, both

        (gamma, both), updates = self.model.apply(
            {"params": params, "batch_stats": stats},
            batch["clip"],
            batch["spectrogram"],
            method=run,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        mask = batch["mask"]
        if self.config.reliability.fusion == "fully_connected":
            output = fusion_head().apply({"params": params[FUSION_HEAD]}, both)
            counts = {"count": batch["clip_count"], "label": jnp.full(mask.shape, -1)}
            loss, metrics = repetitions.repetition_loss(
                self.config.loss, output, None, batch | counts
            )
            return loss, (updates["batch_stats"], metrics)
        fused = fuse(batch["sight"], batch["sound"], gamma)
        error = losses.relative_error(fused, batch["count"], mask)
        loss = jnp.sum(error) / jnp.maximum(jnp.sum(mask), 1)
        metrics = {"relative": mean(error, mask), "gamma": mean(gamma, mask)}
        return loss, (updates["batch_stats"], metrics)

    @property
    def trained_groups(self) -> tuple[str, ...]:
        """Groups of the model that are in training mode."""
        return tuple(name for name in self.trained if name != FUSION_HEAD)
