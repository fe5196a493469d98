"""Scenes for the compact counter, rendered once into files of arrays."""

import logging
import os
import pathlib
import time
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.data import bands
from rac_jax.ops import mel, spectrogram
from rac_jax.scenes import SOUND_DAMAGE, Scene, SceneConfig, render_scene

LOG = logging.getLogger("rac_jax.train")
WINDOW_FRAMES = 64
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
RENDER_BATCH = 16
# A sound that has the picture's rhythm in it, however badly.
HELPFUL_SOUND = tuple(SOUND_DAMAGE.index(name) for name in ("none", "noise", "missing"))


def scenes_key(seed: int, name: str) -> jax.Array:
    """The key of one part of the data, of the run's seed and the part's name."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


def render(
    key: jax.Array, config: SceneConfig, number: int, pick: Callable[[Scene], dict]
) -> dict[str, np.ndarray]:
    """Renders scenes and keeps what is wanted of them.

    Args:
      key: of this set of scenes.
      config: their distribution.
      number: how many.
      pick: from a scene to a dict of arrays; what it leaves out is not computed.

    Returns:
      The dict, with the scenes as leading axis.
    """
    batch = min(number, max(1, RENDER_BATCH * WINDOW_FRAMES // config.frames))
    make = jax.jit(jax.vmap(lambda k: pick(render_scene(k, config))))
    parts, began = [], time.monotonic()
    for first in range(0, number, batch):
        keys = jax.random.split(jax.random.fold_in(key, first), batch)
        parts.append(jax.device_get(make(keys)))
    LOG.info("%d scenes: %.0f s", number, time.monotonic() - began)
    return {
        name: np.concatenate([part[name] for part in parts])[:number]
        for name in parts[0]
    }


def _labels(scene: Scene) -> dict:
    return {
        "rate": scene.rate,
        "periodic": scene.periodicity,
        "sound_damage": scene.sound_damage,
    }


def _grey(frames: jax.Array) -> jax.Array:
    return jnp.round(frames.astype(jnp.float32) @ jnp.asarray(LUMA)).astype(jnp.uint8)


def _mel_columns(waveform: jax.Array) -> jax.Array:
    return mel.log_mel(spectrogram.log_spectrogram(waveform).T).astype(jnp.float16)


def sight_scenes(settings: Any, key: jax.Array) -> dict[str, np.ndarray]:
    """Windows for the sight stream.

    Args:
      settings: `config.sight`.
      key: PRNG key.

    Returns:
      {"windows": uint8 [N, 64, H, W], "rate": float32 [N, 64] repetitions per frame,
      "periodic": bool [N, 64], "sound_damage"}.
    """
    size = settings.size
    parts = [
        render(
            jax.random.fold_in(key, place),
            SceneConfig(frames=WINDOW_FRAMES, height=size, width=size, **dict(fields)),
            number,
            lambda scene: {"windows": _grey(scene.frames)} | _labels(scene),
        )
        for place, (number, fields) in enumerate(settings.scenes)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def sound_scenes(settings: Any, key: jax.Array) -> dict[str, np.ndarray]:
    """Windows for the sound stream, cut out of long scenes at several strides.

    Args:
      settings: `config.sound`.
      key: PRNG key.

    Returns:
      {"windows": float16 [N, 64, 4, 32], "rate", "periodic" (False where the sound does not
      have the rhythm), "sound_damage"}.
    """
    # The smallest picture: it is not drawn.
    scenes = SceneConfig(height=8, width=8, **settings.scenes)
    part = render(
        key,
        scenes,
        settings.number,
        lambda scene: {"columns": _mel_columns(scene.waveform)} | _labels(scene),
    )
    draw = np.random.default_rng(jax.random.key_data(key).tolist())
    helpful = np.isin(part["sound_damage"], HELPFUL_SOUND)
    cut = []
    for place in range(settings.number):
        for stride in settings.strides:
            first = draw.integers(scenes.frames - WINDOW_FRAMES * stride + 1)
            index = first + stride * np.arange(WINDOW_FRAMES + 1)
            edges = bands.column_positions(bands.sub_frame_edges(index / scenes.fps))
            parts = bands.average_columns(part["columns"][place], edges)
            span = slice(index[0], index[-1])
            rate, periodic = (
                part[name][place, span].reshape(WINDOW_FRAMES, stride)
                for name in ("rate", "periodic")
            )
            cut.append(
                {
                    "windows": parts.astype(np.float16).reshape(
                        WINDOW_FRAMES, bands.SUB_FRAMES, -1
                    ),
                    "rate": rate.sum(axis=1),
                    "periodic": (periodic.mean(axis=1) >= 0.5) & helpful[place],
                    "sound_damage": part["sound_damage"][place],
                }
            )
    return {name: np.stack([window[name] for window in cut]) for name in cut[0]}


def validation_scenes(config: Any, key: jax.Array) -> list[dict[str, np.ndarray]]:
    """Long scenes as the counter would see them.

    Args:
      config: the whole config.
      key: PRNG key.

    Returns:
      One dict per set of scenes: {"windows": uint8 [N, T, H, W], "waveform": float16 [N, S],
      "rate", "periodic", "sound_damage", "fps": scalar}.
    """
    size, sets = config.sight.size, []
    for place, (number, frames, fields) in enumerate(config.validation.scenes):
        fields = dict(config.validation.common) | dict(fields)
        scenes = SceneConfig(frames=frames, height=size, width=size, **fields)
        part = render(
            jax.random.fold_in(key, place),
            scenes,
            number,
            lambda scene: (
                {
                    "windows": _grey(scene.frames),
                    "waveform": scene.waveform.astype(jnp.float16),
                }
                | _labels(scene)
            ),
        )
        sets.append(part | {"fps": np.float64(scenes.fps)})
    return sets


def kept(path: pathlib.Path, make: Callable[[], dict]) -> dict[str, np.ndarray]:
    """Arrays from a file, or made and written to it, whole or not at all."""
    if not path.exists():
        arrays = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        with draft.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(draft, path)
    with np.load(path) as file:
        return dict(file)
