"""The compact counter's decoders and their reliability: from posteriors to one answer."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.scores import MAES
from rac_jax.models.compact.grid import STRIDES, absolute_log_periods, period_grid
from rac_jax.models.compact.labelled_posteriors import (
    STREAMS,
    LabelledPosteriors,
    count_posteriors,
)
from rac_jax.models.compact.stream_task import soft_classes
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import ArrayExamples, Batch, Task, Variables
from rac_jax.train.report import validation_scores
from rac_jax.train.run import Run

SMALLEST = 1e-6  # added to a probability before its logarithm


@dataclasses.dataclass(frozen=True, eq=False)
class DecoderTask(Task):
    """What trains the decoders and the reliability; the streams are frozen.

    Attributes:
      run: whose network is trained, by whose config.
      examples: batches as `prepare` describes them.
      judged: posteriors of the videos that it is validated on.
    """

    run: Run
    examples: ArrayExamples
    judged: LabelledPosteriors

    name: ClassVar[str] = "decoder"
    trained: ClassVar[tuple[str, ...]] = (
        "sight_decoder",
        "sound_decoder",
        "reliability_hidden",
        "reliability",
    )

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Leaves some strides out, as short videos do, or all but one, as `--stride` does.

        What the only stride has no period for is no repetition to it.

        Args:
          batch: "sight", "sound" [B, G, 54, 2 S] posteriors, "log_period" [B, G], "periodic"
            [B, G] bool, "real" [B, G] bool, "helpful" [B] bool (the sound has the rhythm).
          key: PRNG key.

        Returns:
          The batch.
        """
        # Which strides are left, the same ones to both streams.
        number, strides = len(batch["helpful"]), len(STRIDES)
        settings = self.run.config.decoder
        lost_key, alone_key, choice_key = jax.random.split(key, 3)
        lost = jax.random.bernoulli(
            lost_key, settings.stride_dropout, (number, strides)
        )
        alone = jax.random.bernoulli(alone_key, settings.one_stride, (number,))
        choice = jax.random.randint(choice_key, (number,), 0, strides)
        only = jax.nn.one_hot(choice, strides, dtype=bool)
        left = jnp.where(alone[:, None], only, ~lost)  # [B, S]
        channels = jnp.concatenate([left, left], axis=-1)[:, None, None, :]
        posteriors = {name: batch[name] * channels for name in STREAMS}

        # What can still be told of the period.
        stride = jnp.asarray(STRIDES)[choice][:, None]
        strided = batch["log_period"] - jnp.log(stride)
        grid = np.log(period_grid())
        within = (strided >= grid[0]) & (strided <= grid[-1])
        periodic = batch["periodic"] & (within | ~alone[:, None])
        return batch | posteriors | {"periodic": periodic}

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """Cross entropies of sight, sound and both: (loss, (batch statistics, metrics))."""
        found = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch["sight"],
            batch["sound"],
            method="decode",
        )
        sigma = self.run.config.loss.sigma
        classes = soft_classes(batch["log_period"], absolute_log_periods(), sigma)
        periodic = batch["periodic"][..., None]

        def target(told):
            """[B, G, 55]"""
            return jnp.concatenate([classes * told, 1.0 - told], axis=-1)

        # A sound that does not have the rhythm is to hear none.
        seen = target(periodic.astype(jnp.float32))
        heard = target((periodic & batch["helpful"][:, None, None]).astype(jnp.float32))
        real = batch["real"].astype(jnp.float32)
        metrics = {}
        for name, distribution, goal in (
            ("sight", found.sight, seen),
            ("sound", found.sound, heard),
            ("fused", found.fused, seen),
        ):
            cross = -jnp.sum(goal * jnp.log(distribution + SMALLEST), axis=-1)  # [B, G]
            metrics[name] = Mean(jnp.sum(cross * real), jnp.sum(real))
        total = sum(m.total / jnp.maximum(m.weight, 1.0) for m in metrics.values())
        weight = Mean(jnp.sum(found.reliability * real), jnp.sum(real))
        return total, (batch_stats, metrics | {"reliability": weight})

    def validate(self, variables: Variables, epoch: int) -> dict[str, float]:
        """How well the validation videos are counted, by both streams and by each alone."""
        videos = self.judged.videos
        counts = count_posteriors(self.run.counter(variables).estimator, self.judged)
        alone = {}
        for name in STREAMS:
            found = validation_scores(counts[name], videos)
            alone |= {f"{name}_{metric}": found[metric] for metric in MAES}
        still = np.array([video.count == 0 for video in videos])
        extra = {
            "still_count": float(counts["fused"][still].mean()) if still.any() else 0.0,
            "reliability": float(counts["reliability"].mean()),
        }
        return validation_scores(counts["fused"], videos) | alone | extra
