"""Choosing the temporal stride, paper 1, section 3.3: max-margin ranking, Eq. 8."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rac_jax.counting.scores import MAES
from rac_jax.models.sight_sound import evaluation, losses, start
from rac_jax.models.sight_sound.augment import augment_sound
from rac_jax.models.sight_sound.network import SightSound
from rac_jax.models.sight_sound.samplers import StrideSampler
from rac_jax.models.sight_sound.scene_batches import normalise
from rac_jax.models.sight_sound.strides import PAIRS, POSITIVES
from rac_jax.train.metrics import Mean, mean
from rac_jax.train.recipe import Batch, Task, Variables, VideoExamples
from rac_jax.train.run import Run

RANKERS = ("solo_ranker", "ranker")


def check_strides(settings: ml_collections.ConfigDict) -> None:
    """Checks which strides a config's `stride` section names.

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


def check_settings(
    name: str, settings: ml_collections.ConfigDict, with_solo: bool
) -> None:
    """Checks a stage's section.

    Args:
      name: of the stage.
      settings: the section.
      with_solo: whether the model has a sight-only ranker.

    Raises:
      ValueError: naming the field.
    """
    if settings.pairs not in PAIRS:
        raise ValueError(
            f"{name}.pairs: {settings.pairs!r} is not one of {', '.join(PAIRS)}"
        )
    unknown = set(settings.rankers) - set(RANKERS)
    if unknown or not settings.rankers:
        raise ValueError(
            f"{name}.rankers: {min(unknown, default='none')!r} is not one of "
            f"{', '.join(RANKERS)}"
        )
    if "solo_ranker" in settings.rankers and not with_solo:
        raise ValueError(
            f"{name}.rankers: model.use_sight_only_ranker is False, so there is no "
            "'solo_ranker' to train"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class StrideTask(Task):
    """What the stride stage trains: the sight-only ranker, the one with sound, or both.

    Attributes:
      run: whose network is trained, by whose config; the stage's `rankers` chooses of `RANKERS`.
      positive: video_id to index of its positive stride.
      negatives: video_id to indices of its negative strides.
      name: of the stage: "stride", or "sight_stride" where the sight-only ranker is trained
        before the other one, which then starts from it.
      split: of the videos that it learns from.
      judged: of those by which it is validated.
    """

    run: Run
    positive: Mapping[str, int]
    negatives: Mapping[str, Sequence[int]]

    name: str = "stride"
    split: str = "train"
    judged: str = "val"

    @property
    def _settings(self) -> ml_collections.ConfigDict:
        return self.run.config[self.name]

    @property
    def _rankers(self) -> tuple[str, ...]:
        return tuple(self._settings.rankers)

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        return tuple(self._settings.trained) or self._rankers

    @property
    def trained_groups(self) -> tuple[str, ...]:
        """Groups of the model that are in training mode: those that change as a whole."""
        return tuple(name for name in self.trained if name in RANKERS)

    @property
    def examples(self) -> VideoExamples:
        """Pairs of clips of one video."""
        sampler = StrideSampler(
            size=self.run.config.data.size,
            strides=tuple(self.run.config.stride.strides),
            positive=self.positive,
            negatives=self.negatives,
            one_start=self._settings.pairs == "released",
        )
        return VideoExamples(sampler, self.split)

    def first(self, variables: Variables) -> Variables:
        """The variables that this stage begins with: copies of the encoders' last stages."""
        parts = {
            "solo_ranker": {"sight": "sight_encoder"},
            "ranker": {"sight": "sight_encoder", "sound": "sound_encoder"},
        }
        chosen = {name: parts[name] for name in self._rankers}
        variables = start.copy_last_stages(variables, chosen)
        if "solo_ranker" in self._rankers or not self.run.config.sight_stride.epochs:
            return variables
        # The sight-only ranker is trained: its last stage is a better one to begin with.
        changed = {}
        for kind in ("params", "batch_stats"):
            tree = variables[kind]
            own = tree["ranker"] | {"sight": tree["solo_ranker"]["sight"]}
            changed[kind] = tree | {"ranker": own}
        return changed

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Normalises the clips, and augments the sound where the settings say so."""
        real = batch["real"][..., None, None, None]
        batch = batch | {"clip": normalise(batch["clip"]) * real}
        if self._settings.augment_sound:
            sound = augment_sound(key, batch, self.run.config.sound.augment)
            batch |= {"spectrogram": sound}
        return batch

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """Eq. 8: (loss, (batch statistics, metrics))."""
        del key

        def run(network: SightSound, clips, spectrograms):
            sight = network.sight(clips, train=self.trained_groups)
            scores = {}
            if "solo_ranker" in self._rankers:
                scores["solo_ranker"] = sight.solo_score
            if "ranker" in self._rankers:
                sound = network.sound(spectrograms, train=self.trained_groups)
                scores["ranker"] = network.score(sight, sound)
            return scores

        # Both clips of a pair go through the network in one batch.
        pairs = len(batch["mask"])
        flat = [
            batch[name].reshape(2 * pairs, *batch[name].shape[2:])
            for name in ("clip", "spectrogram")
        ]  # [2 B, ...]
        scores, updates = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            *flat,
            method=run,
            mutable=["batch_stats"],
        )
        # Each ranker has its own hinge; one more pair does not make them weigh more.
        loss, metrics, mask = jnp.zeros(()), {}, batch["mask"]
        margin = self._settings.margin
        for name, score in scores.items():
            positive, negative = score.reshape(pairs, 2).T
            hinge = losses.margin_ranking(negative, positive, mask, margin)
            loss += jnp.sum(hinge) / jnp.maximum(jnp.sum(mask), 1)
            right = (positive > negative).astype(jnp.float32)
            metrics[f"{name}_hinge"] = mean(hinge, mask)
            metrics[f"{name}_right"] = mean(right, mask)
        metrics["pairs"] = Mean(jnp.sum(mask, dtype=jnp.float32), jnp.ones(()))
        return loss, (updates["batch_stats"], metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of the counts by sight at the strides that each trained ranker chooses."""
        del epoch
        found = self._chosen_counts(variables)
        scores, errors = {}, []
        for name in self._rankers:
            one = evaluation.validation_scores(self.run, found[name], self.judged)
            errors.append(one["error"])
            scores |= {f"{name}_{metric}": one[metric] for metric in MAES}
        return scores | {"error": float(np.mean(errors))}

    def _chosen_counts(self, variables: Variables) -> dict[str, np.ndarray]:
        """Counts by sight of the validation videos, [N] by ranker."""
        if self._rankers == ("solo_ranker",):
            counts = evaluation.solo_counts(self.run, variables, self.judged)
            return {"solo_ranker": counts}
        counts = evaluation.audiovisual_counts(self.run, variables, self.judged)
        return {
            "solo_ranker": counts.at(counts.solo_stride),
            "ranker": counts.at(counts.stride),
        }
