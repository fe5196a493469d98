"""One stream of the compact counter: the period and the periodicity of every frame."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rac_jax.models.compact import network as compact
from rac_jax.models.compact.window_batches import (
    WindowScenes,
    render_sight_windows,
    render_sound_windows,
)
from rac_jax.train.metrics import Mean

# Periods that the grid reaches only with its tails: neither periodic nor not.
UNSURE = 1.12


@flax.struct.dataclass
class PeriodTargets:
    """What the losses compare with."""

    periods: jax.Array  # [B, T, 28] soft classes
    period_mask: jax.Array  # [B, T] float, the period can be told
    periodicity: jax.Array  # [B, T] 0 or 1
    periodicity_mask: jax.Array  # [B, T] float, 0 where the period is at the grid's end


def soft_classes(
    log_period: jax.Array, log_grid: np.ndarray, sigma: float
) -> jax.Array:
    """Gaussian classes round a log period, [..., P] for a grid [P]; sigma is in bins."""
    grid = jnp.asarray(log_grid).reshape((1,) * log_period.ndim + (-1,))
    distance = (log_period[..., None] - grid) / (sigma * (log_grid[1] - log_grid[0]))
    return jax.nn.softmax(-0.5 * jnp.square(distance))


def period_targets(rate: jax.Array, periodic: jax.Array, sigma: float) -> PeriodTargets:
    """Soft period classes, and whether a frame repeats at a period of the grid.

    A motion that is too slow or too fast for the grid is not periodic here: another stride
    has it.

    Args:
      rate: [B, T] repetitions per frame.
      periodic: [B, T] bool.
      sigma: standard deviation of the soft classes, in bins.

    Returns:
      The targets.
    """
    grid = np.log(compact.period_grid())  # [P]
    log_period = -jnp.log(jnp.maximum(rate, 1e-4))  # [B, T]
    beyond = jnp.maximum(grid[0] - log_period, log_period - grid[-1])
    told = periodic & (beyond <= 0)
    unsure = periodic & (beyond > 0) & (beyond < np.log(UNSURE))
    return PeriodTargets(
        periods=soft_classes(log_period, grid, sigma),
        period_mask=told.astype(jnp.float32),
        periodicity=told.astype(jnp.float32),
        periodicity_mask=1.0 - unsure,
    )


def stream_loss(
    logits: compact.PeriodLogits, targets: PeriodTargets, periodicity_weight: float
) -> tuple[jax.Array, dict[str, Mean]]:
    """Cross entropy of the period where there is one, and of the periodicity.

    Args:
      logits: of one stream.
      targets: the truth.
      periodicity_weight: of the second term.

    Returns:
      (loss, {"period", "periodicity"}): a scalar, and means over frames.
    """
    cross = -jnp.sum(targets.periods * jax.nn.log_softmax(logits.periods), axis=-1)
    binary = optax.sigmoid_binary_cross_entropy(logits.periodicity, targets.periodicity)
    terms = {
        "period": Mean(
            jnp.sum(cross * targets.period_mask), jnp.sum(targets.period_mask)
        ),
        "periodicity": Mean(
            jnp.sum(binary * targets.periodicity_mask),
            jnp.sum(targets.periodicity_mask),
        ),
    }
    means = {name: m.total / jnp.maximum(m.weight, 1.0) for name, m in terms.items()}
    return means["period"] + periodicity_weight * means["periodicity"], terms


@dataclasses.dataclass(frozen=True, eq=False)
class PeriodTask:
    """What trains one stream.

    Attributes:
      model: the whole system.
      config: of the run.
      name: "sight" or "sound".
      scenes: what windows are rendered from.
    """

    model: compact.Compact
    config: Any
    name: str
    scenes: WindowScenes

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        return stream_groups(self.model, self.name)

    def first(self, variables: dict) -> dict:
        """The variables that this stage begins with."""
        return variables

    def prepare(self, batch: dict, key: jax.Array) -> dict:
        """Renders windows; of the given batch only its size is used."""
        settings = self.config[self.name]
        number = len(batch["row"])
        render = render_sight_windows if self.name == "sight" else render_sound_windows
        return render(key, self.scenes, number, settings.padded)

    def loss(self, params: dict, stats: dict, batch: dict, key: jax.Array):
        """(loss, (batch statistics, metrics)), summed over the stream's feature kinds."""
        found, updates = self.model.apply(
            {"params": params, "batch_stats": stats},
            batch["windows"],
            train=True,
            method=f"{self.name}_logits",
            mutable=["batch_stats"],
        )
        settings = self.config.loss
        targets = period_targets(batch["rate"], batch["periodic"], settings.sigma)
        total, metrics = 0.0, {}
        groups = self.trained
        for group, logits in zip(groups, found, strict=True):
            loss, terms = stream_loss(logits, targets, settings.periodicity)
            total += loss
            metrics |= {f"{group}_{name}": mean for name, mean in terms.items()}
        return total, (updates.get("batch_stats", stats), metrics)


def stream_groups(model: compact.Compact, stream: str) -> tuple[str, ...]:
    """Parameter groups of a stream."""
    if stream == "sound":
        return ("sound_stream",)
    return tuple(f"sight_{name}" for name in model.sight_features)
