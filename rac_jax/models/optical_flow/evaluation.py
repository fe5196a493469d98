"""Errors of a network of optical flow on scenes that it has not seen, in pixels.

Of pixels that the next frame shows ("epe"), of those that move ("moving"), of those that it hides
("hidden"), and of the flow's difference in time, where the flow changes ("inflection").
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.ops import compiling
from rac_jax.ops.flow_loss import endpoint_error
from rac_jax.scenes import SceneConfig
from rac_jax.train.run import Run
from rac_jax.train.scene_flow_clips import flow_clips
from rac_jax.train.scene_windows import SceneParts

METRICS = ("epe", "moving", "hidden", "inflection")
# Pixels that something moves, or its motion changes, at least to be asked for by itself.
LEAST = 0.5
AT_ONCE = 8  # clips
NO_MOTION = "no motion"


def error_sums(flow: jax.Array, target: jax.Array, hidden: jax.Array) -> jax.Array:
    """Errors of flow, to be added up.

    Args:
      flow: [..., T - 1, H, W, 2] forward, in pixels.
      target: likewise, the true one.
      hidden: bool [..., T - 1, H, W], what the next frame does not show.

    Returns:
      [4, 2] sum and number of pixels, in the order of `METRICS`.
    """
    apart = endpoint_error(flow, target)
    moving = ~hidden & (jnp.linalg.norm(target, axis=-1) > LEAST)
    # At the same pixel, seen in both.
    change, true = (x[..., 1:, :, :, :] - x[..., :-1, :, :, :] for x in (flow, target))
    bent = ~hidden[..., 1:, :, :] & ~hidden[..., :-1, :, :]
    bent &= jnp.linalg.norm(true, axis=-1) > LEAST
    pairs = (
        (apart, ~hidden),
        (apart, moving),
        (apart, hidden),
        (endpoint_error(change, true), bent),
    )
    return jnp.stack(
        [jnp.stack([jnp.sum(error * mask), jnp.sum(mask)]) for error, mask in pairs]
    )


@functools.lru_cache(maxsize=8)
def _program(
    network: nn.Module, scenes: SceneConfig
) -> Callable[[Variables, jax.Array], jax.Array]:
    """Keys [n] of clips to `error_sums` of the network, and of no motion: [2, 4, 2]."""

    def program(variables: Variables, keys: jax.Array) -> jax.Array:
        clips = flow_clips(keys, scenes)
        target, hidden = clips["flow"][:, 0], clips["hidden"][:, 0]
        found = network.apply({"params": variables["params"]}, clips["frames"])
        flows = (found.forward, jnp.zeros_like(target))
        return jnp.stack([error_sums(flow, target, hidden) for flow in flows])

    return compiling.jit(program)


def measured(
    run: Run, parts: SceneParts, variables: Variables, split: str
) -> np.ndarray:
    """Sums of errors on a split's scenes, of every kind as many.

    Args:
      run: the run.
      parts: kinds of scenes.
      variables: of the network, on the host.
      split: of the config's data: its seed, and the number of clips of each kind.

    Returns:
      float64 [kinds, 2, 4, 2]: of the network, then of no motion.
    """
    section = run.config.data[split]
    there = jax.tree.map(jnp.asarray, variables)
    sums = []
    for place, (_, scenes) in enumerate(parts):
        seed = jax.random.fold_in(jax.random.key(section.seed), place)
        keys = jax.random.split(seed, section.number)
        program = _program(run.network, scenes)
        sums.append(
            sum(
                np.asarray(program(there, keys[first : first + AT_ONCE]), np.float64)
                for first in range(0, section.number, AT_ONCE)
            )
        )
    return np.stack(sums)


def scores(sums: np.ndarray, estimator: int = 0) -> dict[str, float | None]:
    """Means of what `measured` gives, or a part of it: [..., 2, 4, 2].

    Args:
      sums: errors.
      estimator: 0 for the network, 1 for no motion.

    Returns:
      By name, `METRICS`; None where there is no such pixel.
    """
    total = sums.reshape(-1, 2, len(METRICS), 2).sum(0)[estimator]
    return {
        name: float(error / number) if number else None
        for name, (error, number) in zip(METRICS, total, strict=True)
    }


def report(
    run: Run, parts: SceneParts, variables: Variables, kinds: list[str]
) -> dict[str, Any]:
    """Measures on the test scenes, beside no motion; each kind of scenes is a challenge."""
    sums, number = (
        measured(run, parts, variables, "test"),
        run.config.data.test.number,
    )

    def rows(part: np.ndarray) -> dict[str, Any]:
        clips = {"n": number * len(part)}
        return {
            name: clips | scores(part, place)
            for place, name in enumerate((run.config.name, NO_MOTION))
        }

    return {
        "metrics": list(METRICS),
        "estimators": rows(sums),
        "challenges": {
            kind: rows(sums[place : place + 1]) for place, kind in enumerate(kinds)
        },
        "videos": [],
    }
