"""One stream of the compact counter: the period and the periodicity of every frame."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rac_jax.models.compact.grid import period_grid
from rac_jax.models.compact.network import Compact, PeriodLogits
from rac_jax.models.compact.window_batches import (
    WindowScenes,
    render_sight_windows,
    render_sound_windows,
)
from rac_jax.ops import compiling
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, RenderedExamples, Task, Variables
from rac_jax.train.run import Run

# Periods that the grid reaches only with its tails: neither periodic nor not.
UNSURE = 1.12
SLOWEST = 1e-4  # repetitions per frame; slower is as slow
VALIDATION_BATCHES = 8

# Parameter groups that the stages of the streams leave; a network may have one of sight alone.
SIGHT_GROUPS = ("sight_pixels", "sight_learned")
SOUND_GROUP = "sound_stream"
STREAM_GROUPS = (*SIGHT_GROUPS, SOUND_GROUP)


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
    """Gaussian classes around a log period, [..., P] for a grid [P]; sigma is in bins."""
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
    grid = np.log(period_grid())  # [P]
    log_period = -jnp.log(jnp.maximum(rate, SLOWEST))  # [B, T]
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
    logits: PeriodLogits, targets: PeriodTargets, periodicity_weight: float
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
class StreamTask(Task):
    """What trains one stream, on windows that are rendered in the step.

    Attributes:
      run: whose network is trained, by whose config.
      name: of the stream, "sight" or "sound", and of its section.
      scenes: what windows are rendered from.
    """

    run: Run
    name: str
    scenes: WindowScenes

    examples: ClassVar[RenderedExamples] = RenderedExamples()

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that change."""
        return stream_groups(self.run.network, self.name)

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders windows; of the given batch only its size is used."""
        settings = self.run.config[self.name]
        number = len(batch["row"])
        render = render_sight_windows if self.name == "sight" else render_sound_windows
        return render(key, self.scenes, number, settings.padded)

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(loss, (batch statistics, metrics)), summed over the stream's kinds of features."""
        found, updates = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch["windows"],
            train=True,
            method=f"{self.name}_logits",
            mutable=["batch_stats"],
        )
        settings = self.run.config.loss
        targets = period_targets(batch["rate"], batch["periodic"], settings.sigma)
        total, metrics = 0.0, {}
        for group, logits in zip(self.trained, found, strict=True):
            loss, terms = stream_loss(logits, targets, settings.periodicity)
            total += loss
            metrics |= {f"{group}_{name}": mean for name, mean in terms.items()}
        return total, (updates.get("batch_stats", batch_stats), metrics)

    @functools.cached_property
    def _judge(self) -> Callable[[Variables, jax.Array], tuple[Any, dict[str, Mean]]]:
        """(variables, key) -> loss and metrics of a batch of windows, compiled."""
        rows = {"row": np.arange(self.run.config[self.name].batch)}

        @compiling.jit
        def judge(variables, key):
            batch = self.prepare(rows, key)
            loss, (_, metrics) = self.loss(
                variables["params"], variables["batch_stats"], batch, key
            )
            return loss, metrics

        return judge

    def validate(self, variables: Variables, epoch: int) -> dict[str, float]:
        """Loss and metrics of windows that are always the same; a stream alone counts nothing."""
        keys = jax.random.split(self.run.key(f"{self.name} val"), VALIDATION_BATCHES)
        values = [jax.device_get(self._judge(variables, key)) for key in keys]
        losses, metrics = zip(*values, strict=True)
        means = {
            name: float(
                sum((one[name] for one in metrics[1:]), metrics[0][name]).value()
            )
            for name in metrics[0]
        }
        return {"error": float(np.mean(losses))} | means


def stream_groups(network: Compact, stream: str) -> tuple[str, ...]:
    """Parameter groups of a stream, "sight" or "sound", in the order of its logits."""
    if stream == "sound":
        return (SOUND_GROUP,)
    return tuple(f"sight_{name}" for name in network.sight_features)
