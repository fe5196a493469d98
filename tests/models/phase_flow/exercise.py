"""Scenes of one exercise as videos: the same motion before the same tripod, otherwise all new."""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.media import encode
from rac_jax.scenes import SceneConfig, motion, picture, timeline

CONFIG = SceneConfig(
    frames=160,
    height=64,
    width=64,
    fps=16.0,
    period=(16.0, 48.0),
    max_cycles=16,
    still=0.0,
    camera=0.2,
    distractor=0.15,
    shot_change=0.0,
    kinds=("figure",),
)


@functools.partial(jax.jit, static_argnums=2)
def render(
    exercise: jax.Array, key: jax.Array, config: SceneConfig
) -> tuple[jax.Array, timeline.Timeline]:
    """A scene of an exercise.

    Args:
      exercise: key of the motion.
      key: of when it happens and what it looks like.
      config: the distribution.

    Returns:
      (frames uint8 [T, H, W, 3], its timeline).
    """
    when_key, look_key = jax.random.split(key)
    when = timeline.make_timeline(when_key, config)
    tracks, _ = motion.make_tracks(exercise, when, config, jnp.array(False))
    look = picture.make_look(look_key, config, jnp.array(0))
    return picture.draw_frames(tracks, look, config), when


def write(
    folder: pathlib.Path, exercise: int, first: int, number: int, **changes: float
) -> list[tuple[pathlib.Path, np.ndarray]]:
    """Writes scenes of an exercise as videos.

    Returns:
      Of each the file, and float64 [K, 3]: start, middle and end of its repetitions in seconds.
    """
    config = dataclasses.replace(CONFIG, **changes)
    found = []
    for place in range(first, first + number):
        keys = jax.random.key(exercise), jax.random.key(1000 * exercise + place)
        frames, when = jax.device_get(render(*keys, config))
        path = folder / f"{place}.mp4"
        encode.write_video(path, frames, config.fps)
        starts, lengths = when.starts[when.valid], when.lengths[when.valid]
        marks = np.stack(
            [starts, starts + when.strike * lengths, starts + lengths], axis=1
        )
        found.append((path, marks.astype(np.float64) / config.fps))
    return found


def write_tags(
    path: pathlib.Path, scenes: list[tuple[pathlib.Path, np.ndarray]]
) -> pathlib.Path:
    """Writes the CSV that marks them."""
    lines = ["file,start_s,middle_s,end_s"]
    for file, marks in scenes:
        rows = [",".join(f"{time:.3f}" for time in row) for row in marks] or [",,"]
        lines += [f"{file.name},{row}" for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
