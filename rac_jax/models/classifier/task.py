"""What a classifier learns: cross entropy with smoothed labels, on clips or spectrograms.

Examples come from labelled videos, or are scenes rendered in the step, whose class is the kind
of their motion. Everything random happens on the device (`rac_jax.ops.augment`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from rac_jax.counting.family import Variables
from rac_jax.models.classifier import evaluation
from rac_jax.models.classifier.examples import RandomClips, RandomSounds, sound_samples
from rac_jax.models.classifier.inputs import normalised, spectrograms
from rac_jax.models.classifier.network import FRAMES, find_kind
from rac_jax.ops import augment
from rac_jax.scenes import KINDS, render_scene
from rac_jax.train.class_scores import FEW, METRICS, among_best
from rac_jax.train.metrics import Mean, mean
from rac_jax.train.recipe import Batch, Examples, RenderedExamples, Task, VideoExamples
from rac_jax.train.run import Run
from rac_jax.train.splits import scene_config

STAGE = "classify"
ENCODER = "encoder"
GROUPS = (ENCODER, "norm", "head")


def smoothed(labels: jax.Array, classes: int, smoothing: float) -> jax.Array:
    """Distributions [B, P] over classes: 1 - ε for the right one, and ε dealt out evenly.

    Szegedy et al., "Rethinking the Inception architecture" (2016), section 7.
    """
    return jax.nn.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes


def cross_entropy(
    logits: jax.Array, targets: jax.Array, mask: jax.Array
) -> tuple[jax.Array, Mean]:
    """-Σ_p t_p log softmax(z)_p, averaged over the rows that there are.

    Args:
      logits: [B, P].
      targets: [B, P], distributions.
      mask: [B] bool.

    Returns:
      The loss, a scalar, 0 where no row is; and it as a metric.
    """
    each = -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)  # [B]
    found = mean(each, mask)
    return found.total / jnp.maximum(found.weight, 1.0), found


@dataclasses.dataclass(frozen=True, eq=False)
class ClassTask(Task):
    """The one stage.

    Attributes:
      run: whose network is trained, by whose config.
      classes: names of the classes, in the order of their numbers.
    """

    run: Run
    classes: tuple[str, ...]

    name = STAGE

    @property
    def trained(self) -> tuple[str, ...]:
        """What the settings name, else all groups that this network has."""
        if self.settings.trained:
            return tuple(self.settings.trained)
        kind = find_kind(self.run.network.encoder)
        return tuple(n for n in GROUPS if n != "norm" or not kind.normalised)

    @property
    def sees(self) -> bool:
        """Whether it is trained on frames, not on sounds."""
        return self.run.network.input == FRAMES

    @property
    def settings(self) -> ml_collections.ConfigDict:
        """The stage's section."""
        return self.run.config[STAGE]

    @property
    def examples(self) -> Examples:
        """Scenes that are rendered in the step, or parts of videos."""
        config = self.run.config
        if self.settings.examples == "scenes":
            return RenderedExamples()
        if not self.sees:
            samples = sound_samples(config.sound.columns)
            return VideoExamples(RandomSounds(self.classes, samples))
        clips = config.clips
        return VideoExamples(
            RandomClips(self.classes, clips.frames, clips.stride, config.data.size)
        )

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders clips if there are none, and augments: {"inputs", "targets", "label", "mask"}."""
        render_key, own_key, mix_key = jax.random.split(key, 3)
        if "row" in batch:
            batch = self._rendered(batch["row"], render_key)
        change = self.settings.augment
        if self.sees:
            inputs = self._augmented_clips(batch["clips"], own_key)
        else:
            inputs = spectrograms(batch["waveform"], self.run.config.data.audio_rate)
            bands = (change.rows, change.columns, change.bands)
            inputs = augment.mask_bands(own_key, inputs, *bands)
        smoothing = self.settings.label_smoothing
        targets = smoothed(batch["label"], len(self.classes), smoothing)
        if change.mixup:
            inputs, targets = augment.mixup(
                mix_key, inputs, targets, batch["mask"], change.mixup
            )
        kept = {name: batch[name] for name in ("label", "mask")}
        return kept | {"inputs": inputs, "targets": targets}

    def _augmented_clips(self, clips: jax.Array, key: jax.Array) -> jax.Array:
        """Random crops of clips uint8 [B, T, H, W, 3], flipped and coloured, normalised."""
        keys, change = jax.random.split(key, 3), self.settings.augment
        config = self.run.config.clips
        found = augment.random_resized_crop(
            keys[0], clips, config.size, tuple(change.area)
        )
        if change.flip:
            found = augment.random_flip(keys[1], found, change.flip)
        if change.colour:
            found = augment.colour_jitter(keys[2], found / 255, change.colour) * 255
        return normalised(found, config.colours)

    def _rendered(self, rows: jax.Array, key: jax.Array) -> Batch:
        """Clips of scenes, with the kinds of their motions as classes."""
        config = self.run.config
        scenes = scene_config(
            self.settings.scenes,
            frames=(config.clips.frames - 1) * config.clips.stride + 1,
            height=config.data.size,
            width=config.data.size,
            kinds=self.classes,
        )
        # From the number of a kind of motion to that of its class.
        numbers = [self.classes.index(k) if k in self.classes else 0 for k in KINDS]

        def one(row: jax.Array) -> Batch:
            scene = render_scene(jax.random.fold_in(key, row), scenes)
            return {
                "clips": scene.frames[:: config.clips.stride],
                "label": jnp.array(numbers)[scene.kind],
                "mask": jnp.ones((), bool),
            }

        return jax.vmap(one)(rows)

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(cross entropy, (batch statistics, metrics))."""
        output, updates = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch["inputs"],
            train=True,
            frozen=not any(one.partition("/")[0] == ENCODER for one in self.trained),
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        loss, _ = cross_entropy(output.logits, batch["targets"], batch["mask"])
        labels, mask = batch["label"], batch["mask"]
        metrics = {
            f"top{number}": mean(
                among_best(output.logits, labels, number).astype(jnp.float32), mask
            )
            for number in (1, FEW)
        }
        return loss, (updates.get("batch_stats", batch_stats), metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Scores of the validation videos by one view of each; "error" is 1 - top-1."""
        del epoch
        found, _ = evaluation.scored(self.run, self.classes, variables, "val", 1, 1)
        scores = {name: found[name] for name in METRICS}
        return {"error": 1 - scores["top1"]} | scores
