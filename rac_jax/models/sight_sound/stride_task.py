"""Choosing the temporal stride, paper 1, section 3.3: max-margin ranking, Eq. 8."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.models.sight_sound import losses, start
from rac_jax.models.sight_sound.clips import CLIP_FRAMES
from rac_jax.models.sight_sound.network import SightSound
from rac_jax.models.sight_sound.samplers import POSITIVES, StrideCut
from rac_jax.models.sight_sound.scene_batches import normalise
from rac_jax.train.metrics import Mean, mean

RANKERS = ("solo_ranker", "ranker")


def check_settings(settings: Any, with_solo: bool) -> None:
    """Checks a config's `stride` section.

    Args:
      settings: the section.
      with_solo: whether the model has a sight-only ranker.

    Raises:
      ValueError: naming the field.
    """
    strides = tuple(settings.strides)
    if not strides or list(strides) != sorted(set(strides)) or strides[0] < 1:
        raise ValueError(f"stride.strides: {strides} do not rise from 1 or more")
    if settings.positive not in POSITIVES:
        raise ValueError(
            f"stride.positive: {settings.positive!r} is not one of {', '.join(POSITIVES)}"
        )
    unknown = set(settings.rankers) - set(RANKERS)
    if unknown or not settings.rankers:
        raise ValueError(
            f"stride.rankers: {min(unknown, default='none')!r} is not one of "
            f"{', '.join(RANKERS)}"
        )
    if "solo_ranker" in settings.rankers and not with_solo:
        raise ValueError(
            "stride.rankers: model.use_sight_only_ranker is False, so there is no "
            "'solo_ranker' to train"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class StrideTask:
    """What the stride stage trains: the sight-only ranker, the one with sound, or both.

    Attributes:
      model: the whole system.
      config: of the run; `stride.rankers` chooses of `RANKERS`.
      positive: video_id to index of its positive stride.
      negatives: video_id to indices of its negative strides.
    """

    model: SightSound
    config: Any
    positive: Mapping[str, int]
    negatives: Mapping[str, Sequence[int]]

    name = "stride"

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        return tuple(self.config.stride.rankers)

    groups = trained

    def first(self, variables: dict) -> dict:
        """The variables that this stage begins with: copies of the encoders' last stages."""
        parts = {
            "solo_ranker": {"sight": "sight_encoder"},
            "ranker": {"sight": "sight_encoder", "sound": "sound_encoder"},
        }
        chosen = {name: parts[name] for name in self.trained}
        return start.copy_last_stages(variables, chosen)

    def cut(self) -> StrideCut:
        """Examples from videos."""
        return StrideCut(
            size=self.config.data.size,
            strides=tuple(self.config.stride.strides),
            positive=self.positive,
            negatives=self.negatives,
        )

    def prepare(self, batch: dict, key: jax.Array) -> dict:
        """Normalises the clips; scores must not depend on augmentation."""
        real = batch["real"][..., None, None, None]
        return batch | {"clip": normalise(batch["clip"]) * real}

    def loss(self, params: dict, stats: dict, batch: dict, key: jax.Array):
        """Eq. 8: (loss, (batch statistics, metrics))."""

        def run(model: SightSound, clips, spectrograms):
            sight = model.sight(clips, train=self.groups)
            scores = {}
            if "solo_ranker" in self.trained:
                scores["solo_ranker"] = sight.solo_score
            if "ranker" in self.trained:
                sound = model.sound(spectrograms, train=self.groups)
                scores["ranker"] = model.score(sight, sound)
            return scores

        pairs = len(batch["mask"])
        flat = [
            batch[name].reshape(2 * pairs, *batch[name].shape[2:])
            for name in ("clip", "spectrogram")
        ]  # [2 B, ...]
        scores, updates = self.model.apply(
            {"params": params, "batch_stats": stats},
            *flat,
            method=run,
            mutable=["batch_stats"],
        )
        loss, metrics, mask = jnp.zeros(()), {}, batch["mask"]
        for name, score in scores.items():
            positive, negative = score.reshape(pairs, 2).T
            hinge = losses.margin_ranking(
                negative, positive, mask, self.config.stride.margin
            )
            loss += jnp.sum(hinge) / jnp.maximum(jnp.sum(mask), 1)
            right = (positive > negative).astype(jnp.float32)
            metrics[f"{name}_hinge"] = mean(hinge, mask)
            metrics[f"{name}_right"] = mean(right, mask)
        metrics["pairs"] = Mean(jnp.sum(mask, dtype=jnp.float32), jnp.ones(()))
        return loss, (updates["batch_stats"], metrics)


def stride_roles(
    counts: np.ndarray, periods: np.ndarray, strides: Sequence[int], config: Any
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Which strides of each video are positive and negative.

    Args:
      counts: [N, strides] of whole videos as the trained sight stream predicts them.
      periods: [N] frames per repetition.
      strides: rising.
      config: the `stride` section.

    Returns:
      Index of every video's positive stride, and indices of its negative ones.
    """
    covered = CLIP_FRAMES * np.asarray(strides)[None] / periods[:, None]
    if config.positive == "released":
        # The authors' rule depends on the period alone: the first stride over this bound.
        covered = np.where(
            np.asarray(strides)[None] >= (periods[:, None] + 2) // 32 + 1, 2.0, 0.0
        )
    positive, negatives = losses.stride_roles(
        jnp.asarray(counts, jnp.float32),
        jnp.asarray(covered, jnp.float32),
        config.threshold,
    )
    return np.asarray(positive), [np.flatnonzero(row) for row in np.asarray(negatives)]
