"""The compact counter's readers and its gate: from the evidence of all strides to one answer."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.models.compact import network as compact
from rac_jax.models.compact.stream_task import soft_classes
from rac_jax.train.metrics import Mean

STREAMS = ("sight", "sound")
SMALLEST = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class ReaderTask:
    """What trains the readers and the gate; the streams are frozen.

    Attributes:
      model: the whole system.
      config: of the run.
    """

    model: compact.Compact
    config: Any

    name = "reader"
    trained = ("sight_reader", "sound_reader", "gate_hidden", "gate")

    def first(self, variables: dict) -> dict:
        """The variables that this stage begins with."""
        return variables

    def prepare(self, batch: dict, key: jax.Array) -> dict:
        """Leaves some strides out, as short videos do, or all but one, as `--stride` does.

        What the only stride has no period for is no repetition to it.

        Args:
          batch: "sight", "sound" [B, G, 54, 2 S] evidence, "log_period" [B, G], "periodic"
            [B, G] bool, "real" [B, G] bool, "helpful" [B] bool (the sound has the rhythm).
          key: PRNG key.

        Returns:
          The batch.
        """
        number, strides = len(batch["helpful"]), len(compact.STRIDES)
        settings = self.config.reader
        lost_key, alone_key, choice_key = jax.random.split(key, 3)
        lost = jax.random.bernoulli(
            lost_key, settings.stride_dropout, (number, strides)
        )
        alone = jax.random.bernoulli(alone_key, settings.one_stride, (number,))
        choice = jax.random.randint(choice_key, (number,), 0, strides)
        only = jax.nn.one_hot(choice, strides, dtype=bool)
        left = jnp.where(alone[:, None], only, ~lost)  # [B, S]
        kept = jnp.concatenate([left, left], axis=-1)[:, None, None, :]
        stride = jnp.asarray(compact.STRIDES)[choice][:, None]
        strided = batch["log_period"] - jnp.log(stride)
        grid = np.log(compact.period_grid())
        within = (strided >= grid[0]) & (strided <= grid[-1])
        periodic = batch["periodic"] & (within | ~alone[:, None])
        evidence = {name: batch[name] * kept for name in STREAMS}
        return batch | evidence | {"periodic": periodic}

    def loss(self, params: dict, stats: dict, batch: dict, key: jax.Array):
        """Cross entropies of sight, sound and both: (loss, (batch statistics, metrics))."""
        reading = self.model.apply(
            {"params": params, "batch_stats": stats},
            batch["sight"],
            batch["sound"],
            method="read",
        )
        grid = compact.absolute_log_periods()
        classes = soft_classes(batch["log_period"], grid, self.config.loss.sigma)
        periodic = batch["periodic"][..., None]

        def target(told):
            """[B, G, 55]"""
            return jnp.concatenate([classes * told, 1.0 - told], axis=-1)

        seen = target(periodic.astype(jnp.float32))
        heard = target((periodic & batch["helpful"][:, None, None]).astype(jnp.float32))
        real = batch["real"].astype(jnp.float32)
        metrics = {}
        for name, goal in (("sight", seen), ("sound", heard), ("fused", seen)):
            found = getattr(reading, name)
            cross = -jnp.sum(goal * jnp.log(found + SMALLEST), axis=-1)  # [B, G]
            metrics[name] = Mean(jnp.sum(cross * real), jnp.sum(real))
        total = sum(m.total / jnp.maximum(m.weight, 1.0) for m in metrics.values())
        gamma = Mean(jnp.sum(reading.gamma * real), jnp.sum(real))
        return total, (stats, metrics | {"gamma": gamma})
