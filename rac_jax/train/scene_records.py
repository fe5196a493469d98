"""What trained streams see and count in long scenes: the material of rankers and reliability.

A scene is cut as the counter cuts a video: clips at every stride, the sound under each, and the
sound's own segments. The features before the last stages are kept, so that what is trained on
them never runs an encoder again.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.data import clips as clip_index
from rac_jax.models.heads import RepetitionHead
from rac_jax.models.resnet import ResNet18
from rac_jax.models.s3d import S3D
from rac_jax.ops import spectrogram
from rac_jax.scenes import SceneConfig, render_scene
from rac_jax.train.scene_batches import COLUMNS, normalise

SQUEEZES = (1, 2, 4)  # columns of sound per column of a segment, in the order tried
LEAST_REPETITIONS = 2.0  # per segment; below, more sound is squeezed into one


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Where the clips and segments of a scene of fixed length lie; host arrays."""

    frames: np.ndarray  # [N, 64] frame of every clip's positions, -1 for padding
    strides: np.ndarray  # [N] stride of every clip
    valid: np.ndarray  # [N] real frames of every clip
    spans: np.ndarray  # [N, 500] fractional columns of the sound under every clip
    segments: np.ndarray  # [M, 500] the same of the sound's own segments
    squeeze: np.ndarray  # [M] of every segment
    columns: int  # of the whole spectrogram


@flax.struct.dataclass
class Records:
    """S scenes with N clips each."""

    sight_stage3: Any  # [S, N, T', H', W', C] float16
    sight_features: Any  # [S, N, C']
    sight_counts: Any  # [S, N]
    sound_stage3: Any  # [S, N, F', n', C] float16, of the sound under the clips
    segment_counts: Any  # [S, M] of the sound's own segments
    count: Any  # [S] true repetitions
    period: Any  # [S] frames per repetition while they go on; infinite without any
    picture_damage: Any  # [S]
    sound_damage: Any  # [S]


def cut_scene(config: SceneConfig, strides: Sequence[int]) -> Cuts:
    """Cuts a scene of a config's length as the counter would.

    Args:
      config: length and rates.
      strides: temporal strides.

    Returns:
      The cuts.
    """
    columns = spectrogram.column_count(config.samples)
    per_frame = config.rate / spectrogram.HOP / config.fps  # columns
    frames, stride_of, spans = [], [], []
    for stride in strides:
        tiles = clip_index.tile_clips(config.frames, stride)
        for tile in tiles:
            first = round(int(tile[0]) * per_frame)
            last = round((int(tile[0]) + len(tile) * stride) * per_frame)
            spans.append(clip_index.span_columns(first, last, columns))
            frames.append(tile)
            stride_of.append(stride)
    segments, squeeze_of = [], []
    for squeeze in SQUEEZES:
        step = COLUMNS * squeeze
        for first in range(0, columns, step):
            segments.append(clip_index.span_columns(first, first + step, columns))
            squeeze_of.append(squeeze)
    frames = np.stack(frames)
    return Cuts(
        frames=frames,
        strides=np.array(stride_of),
        valid=(frames >= 0).sum(1),
        spans=np.stack(spans),
        segments=np.stack(segments),
        squeeze=np.array(squeeze_of),
        columns=columns,
    )


def gather_columns(columns: jax.Array, positions: np.ndarray) -> jax.Array:
    """Reads a spectrogram at fractional positions; what lies outside of it is zero.

    Args:
      columns: [F, n] float.
      positions: [M, 500]; x stands for (1 - f) column[floor x] + f column[floor x + 1], and
        -1 for padding.

    Returns:
      [M, F, 500].
    """
    n = columns.shape[1]
    low = np.floor(positions)
    fraction = jnp.asarray(positions - low, columns.dtype)[None]
    # One more column, of zeros, stands for everything that is not there.
    padded = jnp.pad(columns, ((0, 0), (0, 1)))
    low = low.astype(np.int64)
    lower = padded[:, np.where((low >= 0) & (low < n), low, n)]  # [F, M, 500]
    upper = padded[:, np.where((low >= 0) & (low + 1 < n), low + 1, n)]
    return jnp.moveaxis(lower + fraction * (upper - lower), 0, 1)  # [M, F, 500]


def record_scenes(
    config: Any, streams: dict, scenes: SceneConfig, number: int, key: jax.Array
) -> tuple[Records, Cuts]:
    """Renders scenes and runs the trained streams over them.

    Args:
      config: of the run, for the model and the strides.
      streams: {"sight", "sound"}: {"params": {"encoder", "head"}, "stats"}.
      scenes: the scenes.
      number: S.
      key: PRNG key.

    Returns:
      Host arrays, and the cuts that all scenes share.
    """
    cuts = cut_scene(scenes, config.selection.strides)
    sight = S3D(width=config.model.sight_width)
    sound = ResNet18(width=config.model.sound_width)
    clips = len(cuts.frames)

    def run(network, stream, inputs):
        variables = {
            "params": streams[stream]["params"]["encoder"],
            "batch_stats": streams[stream]["stats"],
        }
        encoded = network.apply(variables, inputs, train=False)
        head = RepetitionHead(config.model[f"{stream}_classes"])
        counted = head.apply(
            {"params": streams[stream]["params"]["head"]}, encoded.features
        )
        return encoded, jnp.maximum(counted.count, 0.0)

    @jax.jit
    def one(key):
        scene = render_scene(key, scenes)
        real = (cuts.frames >= 0)[:, :, None, None, None]
        pictures = normalise(scene.frames[np.maximum(cuts.frames, 0)]) * real
        seen, sight_counts = run(sight, "sight", pictures)
        columns = spectrogram.standardise(spectrogram.log_spectrogram(scene.waveform))
        positions = np.concatenate([cuts.spans, cuts.segments])
        heard, sound_counts = run(
            sound, "sound", gather_columns(columns, positions)[..., None]
        )
        active = jnp.sum(scene.periodicity)
        return Records(
            sight_stage3=seen.stage3.astype(jnp.float16),
            sight_features=seen.features,
            sight_counts=sight_counts,
            sound_stage3=heard.stage3[:clips].astype(jnp.float16),
            segment_counts=sound_counts[clips:],
            count=scene.count,
            period=active / scene.count,
            picture_damage=scene.picture_damage,
            sound_damage=scene.sound_damage,
        )

    rows = [jax.device_get(one(jax.random.fold_in(key, i))) for i in range(number)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *rows), cuts


def stride_sums(counts: np.ndarray, cuts: Cuts, strides: Sequence[int]) -> np.ndarray:
    """Counts of whole scenes at every stride: sums over its clips. [S, len(strides)]"""
    return np.stack([counts[:, cuts.strides == s].sum(1) for s in strides], axis=1)


def sound_counts(counts: np.ndarray, cuts: Cuts) -> np.ndarray:
    """Counts of whole scenes by sound, squeezed until segments hold two repetitions.

    Args:
      counts: [S, M] of the segments.
      cuts: of the scenes.

    Returns:
      [S].
    """
    result = np.zeros(len(counts))
    open_ = np.ones(len(counts), bool)
    for squeeze in SQUEEZES:
        here = cuts.squeeze == squeeze
        total = counts[:, here].sum(1)
        result = np.where(open_, total, result)
        enough = total * COLUMNS * squeeze / cuts.columns >= LEAST_REPETITIONS
        open_ &= ~enough & (here.sum() > 1)
    return result
