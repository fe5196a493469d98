"""Windows for the compact counter's streams, rendered on the device inside the step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.media.pixels import LUMA
from rac_jax.models.compact import bands
from rac_jax.models.compact.grid import WINDOW_FRAMES
from rac_jax.ops import mel, spectrogram
from rac_jax.ops.sound_format import CENTRE, COLUMNS_PER_S
from rac_jax.scenes import SOUND_DAMAGE, Scene, SceneConfig
from rac_jax.train.scene_windows import (
    SceneParts,
    end_early,
    render_parts,
    reverse_some,
)

# Damages of a sound that has the picture's rhythm in it all the same, however badly.
HELPFUL = ("none", "noise", "missing")
HELPFUL_SOUND = tuple(SOUND_DAMAGE.index(name) for name in HELPFUL)

NARROWEST = 1e-3  # columns; float32 sums cannot tell narrower parts


@dataclasses.dataclass(frozen=True)
class WindowScenes:
    """Kinds of scenes in a batch.

    Attributes:
      parts: (share of the batch, scenes), the last one takes what is left.
      strides: of the sound stream, one window of each scene at every one of them; () for
        pictures, whose scenes are one window long.
    """

    parts: SceneParts
    strides: tuple[int, ...] = ()


def to_grey(frames: jax.Array) -> jax.Array:
    """Luma of frames on the device, as `rac_jax.media.to_grey`: uint8 [..., 3] to [...]."""
    luma = jnp.asarray(LUMA).reshape((1,) * (frames.ndim - 1) + (3,))
    return jnp.round(jnp.sum(frames * luma, axis=-1)).astype(jnp.uint8)


def mel_columns(waveform: jax.Array) -> jax.Array:
    """Log power in mel bands of a whole recording: [S] to float32 [n, 32]."""
    return mel.log_mel(spectrogram.log_spectrogram(waveform).T)


def render_sight_windows(
    key: jax.Array, scenes: WindowScenes, number: int, padded: float
) -> dict[str, jax.Array]:
    """Renders windows of grey frames.

    Args:
      key: PRNG key.
      scenes: 64 frames long.
      number: B.
      padded: probability that a window ends early.

    Returns:
      "windows" uint8 [B, 64, H, W], "rate" [B, 64] repetitions per frame, "periodic"
      [B, 64] bool.
    """
    render_key, early_key, back_key = jax.random.split(key, 3)

    def pick(_, scene):
        return {
            "windows": to_grey(scene.frames),
            "rate": scene.rate,
            "periodic": scene.periodicity,
        }

    batch = reverse_some(back_key, render_parts(render_key, scenes.parts, number, pick))
    return end_early(early_key, batch, padded)


def render_sound_windows(
    key: jax.Array, scenes: WindowScenes, number: int, padded: float
) -> dict[str, jax.Array]:
    """Renders windows of sound, some strides of every scene.

    Args:
      key: PRNG key.
      scenes: at least 64 frames times the largest stride long.
      number: B, a multiple of how many strides there are.
      padded: probability that a window ends early.

    Returns:
      "windows" [B, 64, 4, 32] log power in mel bands; "rate" [B, 64] repetitions per strided
      frame; "periodic" [B, 64] bool, False where the sound does not have the rhythm.
    """
    render_key, early_key = jax.random.split(key)
    strides = scenes.strides

    def pick(scene_key, scene):
        columns = mel_columns(scene.waveform)
        helpful = jnp.isin(scene.sound_damage, jnp.asarray(HELPFUL_SOUND))
        config = scenes.parts[0][1]
        keys = jax.random.split(jax.random.fold_in(scene_key, 7), len(strides))
        cuts = [
            _cut(k, columns, scene, stride, config)
            for k, stride in zip(keys, strides, strict=True)
        ]
        cut = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cuts)
        return cut | {"periodic": cut["periodic"] & helpful}

    batch = render_parts(render_key, scenes.parts, number // len(strides), pick)
    batch = {
        name: leaf.reshape(number, *leaf.shape[2:]) for name, leaf in batch.items()
    }
    return end_early(early_key, batch, padded)


def _cut(
    key: jax.Array,
    columns: jax.Array,
    scene: Scene,
    stride: int,
    config: SceneConfig,
) -> dict[str, jax.Array]:
    """One window at a random place."""
    span = WINDOW_FRAMES * stride
    first = jax.random.randint(key, (), 0, config.frames - span + 1)
    parts = WINDOW_FRAMES * bands.SUB_FRAMES
    times = (first + np.arange(parts + 1) * (stride / bands.SUB_FRAMES)) / config.fps
    positions = times * COLUMNS_PER_S - CENTRE
    windows = average_columns(columns, positions)
    rate, periodic = (
        jax.lax.dynamic_slice(line, (first,), (span,)).reshape(WINDOW_FRAMES, stride)
        for line in (scene.rate, scene.periodicity)
    )
    return {
        "windows": windows.reshape(WINDOW_FRAMES, bands.SUB_FRAMES, -1),
        "rate": jnp.sum(rate, axis=1),
        "periodic": jnp.mean(periodic, axis=1) >= 0.5,
    }


def average_columns(columns: jax.Array, edges: jax.Array) -> jax.Array:
    """Means of columns between edges, as `bands.average_columns` on the host.

    Args:
      columns: [n, C].
      edges: [K + 1] rising positions; a part that lies outside takes the nearest column's
        value, where the host's takes the mean of the others.

    Returns:
      [K, C].
    """
    # Sums of deviations stay small, and float32 exact enough.
    middle = jnp.mean(columns, axis=0, keepdims=True)
    total = jnp.cumsum(
        jnp.pad(columns - middle, ((1, 0), (0, 0))), axis=0
    )  # [n + 1, C]
    edges = jnp.clip(edges, 0, len(columns))
    low = jnp.minimum(edges.astype(jnp.int32), len(columns) - 1)
    at_edges = total[low] + (edges - low)[:, None] * (total[low + 1] - total[low])
    widths = jnp.diff(edges)[:, None]
    nearest = columns[jnp.minimum(low[:-1], len(columns) - 1)]
    mean = jnp.diff(at_edges, axis=0) / jnp.maximum(widths, NARROWEST) + middle
    return jnp.where(widths > NARROWEST, mean, nearest)
