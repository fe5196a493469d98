"""Training examples rendered on the device: clips and spectrograms as the counter cuts them.

Everything is a pure function of a key, made to be called inside a jitted step and to be mapped
over keys. Each gives the fields that the samplers read from a video.
"""

import jax
import jax.numpy as jnp

from rac_jax.models.sight_sound.clips import SEGMENT_COLUMNS
from rac_jax.models.sight_sound.preprocessing import MEAN, STD
from rac_jax.models.sight_sound.strides import LEAST_REPETITIONS
from rac_jax.ops import spectrogram
from rac_jax.ops.sound_format import HOP, SILENCE
from rac_jax.scenes import SOUND_DAMAGE, Scene, SceneConfig, render_scene

SHORTEST_CLIP = 8  # frames that a padded clip has at least


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


def render_clip(
    key: jax.Array, config: SceneConfig, padded: float
) -> dict[str, jax.Array]:
    """Renders a clip of `config.frames` frames.

    Args:
      key: PRNG key.
      config: the scenes.
      padded: probability that it ends early and is padded, as at a video's end.

    Returns:
      "clip" [T, H, W, 3] uint8, "real" [T] bool, "rate" [T] repetitions per frame, "count",
      "label" the kind of motion, "mask" true.
    """
    scene_key, length_key, which_key = jax.random.split(key, 3)
    scene = render_scene(scene_key, config)
    length = jax.random.randint(length_key, (), SHORTEST_CLIP, config.frames)
    cut = jax.random.bernoulli(which_key, padded)
    length = jnp.where(cut, length, config.frames)
    real = jnp.arange(config.frames) < length  # [T]
    rate = scene.rate * real
    return {
        "clip": scene.frames,
        "real": real,
        "rate": rate,
        "count": jnp.sum(rate),
        "label": scene.kind,
        "mask": jnp.ones((), bool),
    }


def scene_spectrogram(waveform: jax.Array) -> jax.Array:
    """Standardised log spectrogram of a whole scene; digital silence is all zeros.

    Silence has no deviation to divide by: without the exception its rounding errors become the
    largest values of the batch and spoil the batch statistics.

    Args:
      waveform: [S] float.

    Returns:
      [257, n] float32.
    """
    log = spectrogram.log_spectrogram(waveform)
    silent = jnp.std(log) < SILENCE
    return jnp.where(silent, 0.0, spectrogram.standardise(log))


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
    scale = jnp.maximum(length / SEGMENT_COLUMNS, 1.0)
    position = (jnp.arange(SEGMENT_COLUMNS) + 0.5) * scale - 0.5
    position = jnp.maximum(position, 0.0) + first
    low = jnp.floor(position).astype(jnp.int32)
    fraction = (position - low)[None]
    last = jnp.minimum(first + length, n) - 1
    lower = columns[:, jnp.minimum(low, last)]
    upper = columns[:, jnp.minimum(low + 1, last)]
    mixed = lower + fraction * (upper - lower)  # [F, 500]
    return jnp.where((low <= last)[None], mixed, 0.0)


def _cut_sound(
    key: jax.Array,
    scene: Scene,
    columns: jax.Array,
    config: SceneConfig,
    highest: float | None,
):
    """One random input of a scene's sound, and the repetitions in it."""
    n = columns.shape[1]
    per_column = HOP / config.rate * config.fps  # frames
    which, at, size = jax.random.split(key, 3)
    density = jnp.mean(scene.rate) * per_column + 1e-6
    if highest is None:
        # A scene that stands still has no repetition to wait for.
        length = jnp.clip(LEAST_REPETITIONS / density, SEGMENT_COLUMNS, n)
        length = jnp.where(density > 1e-5, length, SEGMENT_COLUMNS)
    else:
        # Long spans hold at most `highest` repetitions: beyond, the counter uses native
        # windows.
        longest = jnp.clip(highest / density, SEGMENT_COLUMNS, n)
        squeezed = jax.random.uniform(size, minval=SEGMENT_COLUMNS, maxval=longest)
        length = jnp.where(jax.random.bernoulli(which, 0.5), squeezed, SEGMENT_COLUMNS)
    length = length.astype(jnp.int32)
    # Native windows may hang over the end, as the last window of a file does.
    room = jnp.where(length > SEGMENT_COLUMNS, n - length, n - SEGMENT_COLUMNS // 4)
    first = jnp.floor(jax.random.uniform(at) * (room + 1)).astype(jnp.int32)
    edges = first + jnp.arange(SEGMENT_COLUMNS + 1) * jnp.maximum(
        length / SEGMENT_COLUMNS, 1.0
    )
    edges = jnp.minimum(edges, jnp.minimum(first + length, n)) * per_column  # frames
    done = jnp.concatenate([jnp.zeros(1), jnp.cumsum(scene.rate)])  # [T + 1]
    rate = jnp.diff(jnp.interp(edges, jnp.arange(config.frames + 1.0), done))  # [500]
    silent = scene.sound_damage == SOUND_DAMAGE.index("silent")
    rate = jnp.where(silent, 0.0, rate)
    return {
        "spectrogram": cut_spectrogram(columns, first, length),
        "columns": jnp.minimum(jnp.minimum(length, n - first), SEGMENT_COLUMNS),
        "rate": rate,
        "count": jnp.sum(rate),
        "label": scene.kind,
        "mask": jnp.ones((), bool),
    }


def render_spectrograms(
    key: jax.Array, config: SceneConfig, highest: float | None, windows: int
) -> dict[str, jax.Array]:
    """Renders inputs of the sound stream, all of one scene: native windows and squeezed spans.

    Args:
      key: PRNG key.
      config: the scenes, long enough for 500 columns (3.6 s) and more.
      highest: repetitions that a squeezed span holds at most, about; None squeezes as section
        3.3 of paper 1 says, by as much as two repetitions on average need.
      windows: W.

    Returns:
      With W in front of every shape: "spectrogram" [257, 500] standardised over the scene and
      zero where padded, "columns" that are not padding, "rate" [500] repetitions per column,
      "count", "label" the kind of motion, "mask" true: also a sound with another rhythm is to
      be counted as what is seen, so that the stream learns to be careful with it.
    """
    scene_key, cut_key = jax.random.split(key)
    scene = render_scene(scene_key, config)
    columns = scene_spectrogram(scene.waveform)
    keys = jax.random.split(cut_key, windows)
    return jax.vmap(lambda k: _cut_sound(k, scene, columns, config, highest))(keys)
