"""Trains the streams of the compact counter on windows in memory."""

import functools
import logging
import time
import zlib
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rac_jax.models import compact

LOG = logging.getLogger("rac_jax.train")
LOG_STEPS = 100
SHORTEST_WINDOW = 12  # real frames of a window that ends early
# Periods that the grid reaches only with its tails: neither periodic nor not.
UNSURE = 1.12


@flax.struct.dataclass
class WindowBatch:
    """Windows and what is true of each of their frames."""

    windows: jax.Array  # [B, 64, ...] as the stream takes them
    rate: jax.Array  # [B, 64] repetitions per frame
    periodic: jax.Array  # [B, 64] bool, inside a cycle


@flax.struct.dataclass
class PeriodTargets:
    """What the losses compare with."""

    periods: jax.Array  # [B, T, 28] soft classes
    period_mask: jax.Array  # [B, T] float, the period can be told
    periodicity: jax.Array  # [B, T] 0 or 1
    periodicity_mask: jax.Array  # [B, T] float, 0 where the period is at the grid's end


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
    grid = jnp.log(compact.period_grid())  # [P]
    width = (grid[-1] - grid[0]) / (compact.PERIOD_BINS - 1)
    log_period = -jnp.log(jnp.maximum(rate, 1e-4))  # [B, T]
    distance = (log_period[..., None] - grid[None, None]) / (sigma * width)
    classes = jax.nn.softmax(-0.5 * jnp.square(distance))  # [B, T, P]
    beyond = jnp.maximum(grid[0] - log_period, log_period - grid[-1])
    told = periodic & (beyond <= 0)
    unsure = periodic & (beyond > 0) & (beyond < np.log(UNSURE))
    return PeriodTargets(
        periods=classes,
        period_mask=told.astype(jnp.float32),
        periodicity=told.astype(jnp.float32),
        periodicity_mask=1.0 - unsure,
    )


def stream_loss(
    logits: compact.PeriodLogits, targets: PeriodTargets, periodicity_weight: float
) -> tuple[jax.Array, dict]:
    """Cross entropy of the period where there is one, and of the periodicity.

    Args:
      logits: of one stream.
      targets: the truth.
      periodicity_weight: of the second term.

    Returns:
      (loss, {"period", "periodicity"}): scalars.
    """
    cross = -jnp.sum(targets.periods * jax.nn.log_softmax(logits.periods), axis=-1)
    period = jnp.sum(cross * targets.period_mask)
    period /= jnp.maximum(jnp.sum(targets.period_mask), 1.0)
    binary = optax.sigmoid_binary_cross_entropy(logits.periodicity, targets.periodicity)
    binary = jnp.sum(binary * targets.periodicity_mask)
    binary /= jnp.maximum(jnp.sum(targets.periodicity_mask), 1.0)
    total = period + periodicity_weight * binary
    return total, {"loss": total, "period": period, "periodicity": binary}


def end_early(batch: WindowBatch, length: np.ndarray) -> WindowBatch:
    """Repeats the last of `length` frames to the end, as the counter pads short videos."""
    place = np.arange(compact.WINDOW_FRAMES)
    index = np.minimum(place, length[:, None] - 1)  # [B, T]
    real = place < length[:, None]
    rows = np.arange(len(length))[:, None]
    return WindowBatch(
        batch.windows[rows, index], batch.rate * real, batch.periodic & real
    )


def draw_batch(
    data: dict[str, np.ndarray], settings: Any, rng: np.random.Generator, images: bool
) -> WindowBatch:
    """Draws a batch, turned round in space and time at random.

    Args:
      data: {"windows", "rate", "periodic"} with the windows as leading axis.
      settings: of the stream; `batch` and `padded` (share of windows that end early).
      rng: of this step.
      images: whether the windows are pictures, which may be mirrored, turned and reversed.

    Returns:
      The batch, of numpy arrays.
    """
    index = rng.integers(len(data["windows"]), size=settings.batch)
    windows, rate, periodic = (
        data[name][index] for name in ("windows", "rate", "periodic")
    )
    if images:
        if rng.random() < 0.5:
            windows = windows[..., ::-1]
        if rng.random() < 0.3:
            windows = windows[..., ::-1, :]
        if rng.random() < 0.3:
            windows = np.swapaxes(windows, -1, -2)
        if rng.random() < 0.5:
            windows, rate, periodic = (x[:, ::-1] for x in (windows, rate, periodic))
    length = rng.integers(SHORTEST_WINDOW, compact.WINDOW_FRAMES, size=settings.batch)
    short = rng.random(settings.batch) < settings.padded
    length = np.where(short, length, compact.WINDOW_FRAMES)
    return end_early(WindowBatch(windows, rate, periodic), length)


def make_step(config: Any, stream: compact.PeriodStream, optimiser: Any) -> Callable:
    """A training step: (state, batch) -> (state, metrics)."""

    def loss(params, stats, batch):
        logits, updates = stream.apply(
            {"params": params, "batch_stats": stats},
            batch.windows,
            train=True,
            mutable=["batch_stats"],
        )
        targets = period_targets(batch.rate, batch.periodic, config.loss.sigma)
        value, metrics = stream_loss(logits, targets, config.loss.periodicity)
        return value, (updates.get("batch_stats", {}), metrics)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, batch):
        (_, (stats, metrics)), grads = jax.value_and_grad(loss, has_aux=True)(
            state["params"], state["stats"], batch
        )
        updates, optimiser_state = optimiser.update(
            grads, state["optimiser"], state["params"]
        )
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "stats": stats, "optimiser": optimiser_state}, metrics

    return step


def train_stream(
    config: Any, features: str, settings: Any, data: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Trains one stream.

    Args:
      config: of `configs/compact.py`.
      features: "pixels", "learned" or "spectrum".
      settings: `config.sight` or `config.sound`.
      data: {"windows", "rate", "periodic"}.

    Returns:
      {"params", "batch_stats"} of a `PeriodStream`.

    Raises:
      FloatingPointError: if the loss is not finite any more.
    """
    stream = compact.PeriodStream(features)
    seed = (config.seed, zlib.crc32(features.encode()))
    key = jax.random.fold_in(jax.random.key(seed[0]), seed[1])
    first = jnp.asarray(data["windows"][:1])
    variables = jax.jit(stream.init)(key, first)
    optimiser = optax.chain(
        optax.clip_by_global_norm(config.optimiser.clip),
        optax.adamw(
            optax.warmup_cosine_decay_schedule(
                0.0,
                settings.learning_rate,
                min(config.optimiser.warmup, settings.steps),
                settings.steps,
            ),
            weight_decay=config.optimiser.weight_decay,
        ),
    )
    state = {
        "params": variables["params"],
        "stats": variables.get("batch_stats", {}),
        "optimiser": optimiser.init(variables["params"]),
    }
    step, rows, began = make_step(config, stream, optimiser), [], time.monotonic()
    for number in range(settings.steps):
        rng = np.random.default_rng([*seed, number])
        batch = draw_batch(data, settings, rng, images=features != "spectrum")
        state, metrics = step(state, batch)
        rows.append(metrics)
        if (number + 1) % LOG_STEPS == 0 or number + 1 == settings.steps:
            means = {
                name: float(np.mean([row[name] for row in rows])) for name in rows[0]
            }
            if not np.isfinite(means["loss"]):
                raise FloatingPointError(f"{features}: the loss is not finite")
            terms = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
            seconds = time.monotonic() - began
            LOG.info(
                "%s %d/%d  %s  %.0f s",
                features,
                number + 1,
                settings.steps,
                terms,
                seconds,
            )
            rows = []
    return {"params": state["params"], "batch_stats": state["stats"]}
