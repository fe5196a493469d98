"""Windows of rendered scenes of several kinds, for stages that render in the step."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rac_jax.scenes import Scene, SceneConfig, render_scene
from rac_jax.train.splits import scene_config

SHARE = "share"  # field of a kind of scenes: of a batch
SHORTEST_WINDOW = 12  # real frames of a window that ends early

# (share of the batch, scenes) each; the last kind takes what is left.
SceneParts = tuple[tuple[float, SceneConfig], ...]
# (key of a scene, the scene) -> what a window needs of it.
Pick = Callable[[jax.Array, Scene], dict[str, jax.Array]]


def scene_parts(kinds: Mapping[str, Mapping[str, Any]], **changes: Any) -> SceneParts:
    """Kinds of scenes as a config has them: by name {"share", fields of `SceneConfig`}.

    Args:
      kinds: of the config.
      **changes: fields that all of them have.

    Returns:
      The kinds in the order of their names.

    Raises:
      ValueError: for a field that scenes do not have, or a wrong value.
    """
    parts = []
    for _, kind in sorted(kinds.items()):
        fields = {name: value for name, value in kind.items() if name != SHARE}
        parts.append((kind[SHARE], scene_config(fields, **changes)))
    return tuple(parts)


def part_sizes(parts: SceneParts, number: int) -> list[int]:
    """Scenes of each kind in a batch of so many."""
    sizes = [round(share * number) for share, _ in parts[:-1]]
    return [*sizes, number - sum(sizes)]


def render_parts(
    key: jax.Array, parts: SceneParts, number: int, pick: Pick
) -> dict[str, jax.Array]:
    """Renders scenes of all kinds.

    Args:
      key: PRNG key.
      parts: the kinds.
      number: B.
      pick: what is taken of each scene.

    Returns:
      [B, ...] of what `pick` takes.
    """
    drawn = []
    for place, size in enumerate(part_sizes(parts, number)):
        config = parts[place][1]
        keys = jax.random.split(jax.random.fold_in(key, place), size)
        one = jax.vmap(lambda k, config=config: pick(k, render_scene(k, config)))
        drawn += [one(keys)] if size else []
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *drawn)


def reverse_some(key: jax.Array, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Turns half of the windows round in time: leaves [B, N, ...] of one N."""
    number, frames = next(iter(batch.values())).shape[:2]
    back = jax.random.bernoulli(key, 0.5, (number, 1))
    place = jnp.arange(frames)[None]
    index = jnp.where(back, frames - 1 - place, place)
    rows = jnp.arange(number)[:, None]
    return {name: leaf[rows, index] for name, leaf in batch.items()}


def end_early(
    key: jax.Array, batch: dict[str, jax.Array], padded: float
) -> dict[str, jax.Array]:
    """Repeats some window's last frame to its end, as counters pad short videos.

    Args:
      key: PRNG key.
      batch: "windows" [B, N, ...], "rate" [B, N] and "periodic" bool [B, N].
      padded: probability that a window ends early.

    Returns:
      The batch; where frames are repeated there is no rate and nothing periodic.
    """
    which, how = jax.random.split(key)
    number, frames = batch["rate"].shape
    length = jax.random.randint(how, (number,), SHORTEST_WINDOW, frames)
    early = jax.random.bernoulli(which, padded, (number,))
    length = jnp.where(early, length, frames)[:, None]
    place = jnp.arange(frames)[None]
    real, index = place < length, jnp.minimum(place, length - 1)
    rows = jnp.arange(number)[:, None]
    return {
        "windows": batch["windows"][rows, index],
        "rate": batch["rate"] * real,
        "periodic": batch["periodic"] & real,
    }
