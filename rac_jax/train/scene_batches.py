"""Training batches rendered on the device: clips and spectrograms as the counter cuts them.

Everything is a pure function of a key, made to be called inside a jitted step.
"""

import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.ops import spectrogram
from rac_jax.scenes import SOUND_DAMAGE, Scene, SceneConfig, render_scene

# Of ImageNet, as every sight encoder here expects.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
CLIP_FRAMES = 64
COLUMNS = 500
SHORTEST_CLIP = 8  # frames that a padded clip has at least


@flax.struct.dataclass
class Clips:
    """A batch for the sight stream."""

    clips: jax.Array  # [B, T, H, W, 3] normalised, zero where padded
    counts: jax.Array  # [B] repetitions in the real part
    rate: jax.Array  # [B, T] repetitions per frame, zero where padded


@flax.struct.dataclass
class Spectrograms:
    """A batch for the sound stream."""

    spectrograms: (
        jax.Array
    )  # [B, 257, 500] standardised over the scene, zero where padded
    counts: jax.Array  # [B] repetitions in the real part
    rate: jax.Array  # [B, 500] repetitions per column, zero where padded
    mask: jax.Array  # [B] bool, the sound can be counted


def normalise(frames: jax.Array) -> jax.Array:
    """Frames as the encoders see them.

    Args:
      frames: [..., 3] uint8.

    Returns:
      Same shape, float32, by ImageNet's mean and standard deviation.
    """
    lead = (1,) * (frames.ndim - 1)
    scale = jnp.asarray([1 / (255 * std) for std in STD]).reshape(*lead, 3)
    shift = jnp.asarray([m / s for m, s in zip(MEAN, STD, strict=True)]).reshape(
        *lead, 3
    )
    return frames.astype(jnp.float32) * scale - shift


def render_clips(
    key: jax.Array, config: SceneConfig, batch: int, padded: float
) -> Clips:
    """Renders clips of `config.frames` frames.

    Args:
      key: PRNG key.
      config: the scenes.
      batch: B.
      padded: share of clips that end early and are zero-padded, as at a video's end.

    Returns:
      The batch.
    """
    scene_key, length_key, which_key, flip_key = jax.random.split(key, 4)
    scenes = jax.vmap(lambda k: render_scene(k, config))(
        jax.random.split(scene_key, batch)
    )
    length = jax.random.randint(length_key, (batch, 1), SHORTEST_CLIP, config.frames)
    cut = jax.random.bernoulli(which_key, padded, (batch, 1))
    length = jnp.where(cut, length, config.frames)
    real = jnp.arange(config.frames)[None] < length  # [B, T]
    rate = scenes.rate * real
    flip = jax.random.bernoulli(flip_key, 0.5, (batch, 1, 1, 1, 1))
    frames = jnp.where(flip, scenes.frames[:, :, :, ::-1], scenes.frames)
    clips = normalise(frames) * real[:, :, None, None, None]
    return Clips(clips, jnp.sum(rate, axis=1), rate)


def cut_spectrogram(
    columns: jax.Array, first: jax.Array, length: jax.Array
) -> jax.Array:
    """One 500-column input of a standardised spectrogram, as the counter cuts it.

    A span of at most 500 columns is taken as it is and zero-padded; a longer one is resized
    along time, bilinearly with half-pixel centres.

    Args:
      columns: [F, n] float.
      first: scalar int, first column of the span.
      length: scalar int, columns in the span; those past the end are zero.

    Returns:
      [F, 500].
    """
    n = columns.shape[1]
    scale = jnp.maximum(length / COLUMNS, 1.0)
    position = (jnp.arange(COLUMNS) + 0.5) * scale - 0.5
    position = jnp.maximum(position, 0.0) + first
    low = jnp.floor(position).astype(jnp.int32)
    fraction = (position - low)[None]
    last = jnp.minimum(first + length, n) - 1
    lower = columns[:, jnp.minimum(low, last)]
    upper = columns[:, jnp.minimum(low + 1, last)]
    mixed = lower + fraction * (upper - lower)  # [F, 500]
    return jnp.where((low <= last)[None], mixed, 0.0)


def _cut_sound(key: jax.Array, scene: Scene, config: SceneConfig, highest: float):
    """One random input of a scene's sound, and the repetitions in it."""
    columns = spectrogram.standardise(spectrogram.log_spectrogram(scene.waveform))
    n = columns.shape[1]
    per_column = spectrogram.HOP / config.rate * config.fps  # frames
    which, at, size = jax.random.split(key, 3)
    # Long spans hold at most `highest` repetitions: beyond, the counter uses native windows.
    density = jnp.mean(scene.rate) * per_column + 1e-6
    longest = jnp.clip(highest / density, COLUMNS, n)
    squeezed = jax.random.uniform(size, minval=COLUMNS, maxval=longest)
    length = jnp.where(jax.random.bernoulli(which, 0.5), squeezed, COLUMNS)
    length = length.astype(jnp.int32)
    # Native windows may hang over the end, as the last window of a file does.
    room = jnp.where(length > COLUMNS, n - length, n - COLUMNS // 4)
    first = jnp.floor(jax.random.uniform(at) * (room + 1)).astype(jnp.int32)
    edges = first + jnp.arange(COLUMNS + 1) * jnp.maximum(length / COLUMNS, 1.0)
    edges = jnp.minimum(edges, jnp.minimum(first + length, n)) * per_column  # frames
    done = jnp.concatenate([jnp.zeros(1), jnp.cumsum(scene.rate)])  # [T + 1]
    rate = jnp.diff(jnp.interp(edges, jnp.arange(config.frames + 1.0), done))  # [500]
    silent = scene.sound_damage == SOUND_DAMAGE.index("silent")
    misleading = (scene.sound_damage == SOUND_DAMAGE.index("other rhythm")) | (
        scene.sound_damage == SOUND_DAMAGE.index("missing")
    )
    rate = jnp.where(silent, 0.0, rate)
    return cut_spectrogram(columns, first, length), jnp.sum(rate), rate, ~misleading


def render_spectrograms(
    key: jax.Array, config: SceneConfig, batch: int, highest: float
) -> Spectrograms:
    """Renders inputs of the sound stream: native windows and squeezed spans, half and half.

    Args:
      key: PRNG key.
      config: the scenes, long enough for 500 columns (3.6 s) and more.
      batch: B.
      highest: repetitions that a squeezed span holds at most, about.

    Returns:
      The batch.
    """
    scene_key, cut_key = jax.random.split(key)

    def one(scene_key, cut_key):
        scene = render_scene(scene_key, config)
        return _cut_sound(cut_key, scene, config, highest)

    cut = jax.vmap(one)(
        jax.random.split(scene_key, batch), jax.random.split(cut_key, batch)
    )
    return Spectrograms(*cut)
