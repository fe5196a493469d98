"""Trusting sight or sound, paper 1, section 3.4: Eq. 10-11, and the alternative of Table 9."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rac_jax.models.sight_sound import evaluation, losses, start
from rac_jax.models.sight_sound import repetition_loss as repetitions
from rac_jax.models.sight_sound.augment import augment_sound
from rac_jax.models.sight_sound.heads import FUSION_HEAD, fusion_head
from rac_jax.models.sight_sound.network import SightSound, fuse
from rac_jax.models.sight_sound.samplers import ReliabilitySampler
from rac_jax.models.sight_sound.scene_batches import normalise
from rac_jax.train.metrics import Mean, mean
from rac_jax.train.recipe import Batch, Task, Variables, VideoExamples
from rac_jax.train.run import Run

PREDICTIONS = ("empirical", "final")
STRIDES = ("positive", "ranker", "random")
FUSIONS = ("reliability", "fully_connected")


def check_settings(settings: ml_collections.ConfigDict) -> None:
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
    if settings.push < 0:
        raise ValueError(f"reliability.push: {settings.push} is below 0")


def pushed(
    predictions: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, float],
    share: float,
) -> dict[str, dict[str, float]]:
    """Moves the worse of each video's two predictions further off, as the authors' scripts do.

    Args:
      predictions: of "sight" and "sound", video_id to count.
      labels: video_id to the true count.
      share: by how much of its error, 0.17 in the scripts.

    Returns:
      The predictions, at least 0; where both are equally far off they stay.
    """
    found = {stream: dict(counts) for stream, counts in predictions.items()}
    for name, label in labels.items():
        off = {stream: counts[name] - label for stream, counts in found.items()}
        sight, sound = abs(off["sight"]), abs(off["sound"])
        if sight != sound:
            worse = "sight" if sight > sound else "sound"
            found[worse][name] = max(0.0, label + (1 + share) * off[worse])
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class ReliabilityTask(Task):
    """What the reliability stage trains.

    Attributes:
      run: whose network is trained, by whose config; `reliability.fusion` is one of `FUSIONS`.
      strides: video_id to the stride at which its clips are cut.
      sight: video_id to count by sight.
      sound: video_id to count by sound.
      left: what the stage leaves on record beside its parameters.
    """

    run: Run
    strides: Mapping[str, int]
    sight: Mapping[str, float]
    sound: Mapping[str, float]
    left: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    name: ClassVar[str] = "reliability"

    @property
    def _learns_head(self) -> bool:
        return self.run.config.reliability.fusion == "fully_connected"

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        return (FUSION_HEAD,) if self._learns_head else ("reliability_head",)

    @property
    def trained_groups(self) -> tuple[str, ...]:
        """Groups of the model that are in training mode."""
        return tuple(name for name in self.trained if name != FUSION_HEAD)

    @property
    def examples(self) -> VideoExamples:
        """Clips with their sound and both counts of the whole video."""
        config = self.run.config
        random = config.reliability.stride == "random"
        sampler = ReliabilitySampler(
            size=config.data.size,
            labels=config.data.labels,
            strides=self.strides,
            sight=self.sight,
            sound=self.sound,
            random_strides=config.counting.max_stride if random else 0,
            whole_sound=config.reliability.whole_sound,
        )
        return VideoExamples(sampler)

    def first(self, variables: Variables) -> Variables:
        """The variables that this stage begins with."""
        parts = {"reliability_head": {"sound": "sound_encoder"}}
        variables = start.copy_last_stages(variables, parts)
        if self._learns_head:
            heads = [variables["params"][name] for name in ("sight_head", "sound_head")]
            width = sum(one["counts"]["kernel"].shape[0] for one in heads)
            key = jax.random.key(self.run.config.seed)
            first = fusion_head().init(key, jnp.zeros((1, width)))["params"]
            params = dict(variables["params"]) | {FUSION_HEAD: first}
            variables = variables | {"params": params}
        return variables

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Normalises the clips, and augments the sound where the settings say so."""
        config = self.run.config
        real = batch["real"][..., None, None, None]
        batch = batch | {"clip": normalise(batch["clip"]) * real}
        if config.reliability.augment_sound:
            sound = augment_sound(key, batch, config.sound.augment)
            batch |= {"spectrogram": sound}
        return batch

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """Eq. 11, or Eq. 6 for the alternative: (loss, (batch statistics, metrics))."""

        def run(network: SightSound, clips, spectrograms):
            sight = network.sight(clips, train=self.trained_groups)
            sound = network.sound(spectrograms, train=self.trained_groups)
            weight = network.reliability(sight, sound, train=self.trained_groups)
            both = jnp.concatenate([sight.features, sound.features], axis=-1)
            return weight, both

        (weight, both), updates = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch["clip"],
            batch["spectrogram"],
            method=run,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        mask = batch["mask"]
        if self._learns_head:
            # The alternative counts anew: it is held to the count of the clip itself.
            output = fusion_head().apply({"params": params[FUSION_HEAD]}, both)
            counts = {"count": batch["clip_count"], "label": jnp.full(mask.shape, -1)}
            loss, metrics = repetitions.repetition_loss(
                self.run.config.loss, output, None, batch | counts
            )
            return loss, (updates["batch_stats"], metrics)
        fused = fuse(batch["sight"], batch["sound"], weight)
        error = losses.relative_error(fused, batch["count"], mask)
        loss = jnp.sum(error) / jnp.maximum(jnp.sum(mask), 1)
        metrics = {"relative": mean(error, mask), "reliability": mean(weight, mask)}
        return loss, (updates["batch_stats"], metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of the model's counts, and the mean weight of the sound."""
        del epoch
        counts = evaluation.audiovisual_counts(self.run, variables, "val")
        scores = evaluation.validation_scores(self.run, counts.fused, "val")
        return scores | {"reliability": float(np.mean(counts.reliability))}

    def record(self, variables: Variables) -> Mapping[str, Any]:
        """What it has learned from: epochs, strides and predictions."""
        del variables
        return dict(self.left)
