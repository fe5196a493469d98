"""What counters by a density map are made of: TransRAC's parts, on which LMRL builds.

Hu et al., "TransRAC: encoding multi-scale temporal correlation with transformers for repetitive
action counting" (CVPR 2022).
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import BatchNorm, TemporalConv, scaled
from rac_jax.encoders.plain_frames import PlainFrames
from rac_jax.encoders.transformer import TransformerLayer, sinusoids
from rac_jax.encoders.video_swin import VideoSwin

ENCODERS = ("video_swin", "plain")
# What lies beyond a clip's ends, to the mode of padding.
EDGES = {"zeros": "constant", "frames": "edge"}
EMBEDDING = 512
HEADS = 4
FEEDFORWARD = 512
# Frames of the neck's convolution across time and how far apart they are.
TAPS, DILATION = 3, 3
# What an encoder finds at every scale, [B, N, h, w, C] each.
Features = tuple[jax.Array, ...]
POSITION_DROPOUT, LAYER_DROPOUT, HEAD_DROPOUT = 0.1, 0.2, 0.25


@flax.struct.dataclass
class DensityOutput:
    """What a network says of the frames of a window.

    Attributes:
      density: [B, N] repetitions per frame; their sum is the count. It may be below 0.
      foreground: [B, N] probability that a frame belongs to a cycle; 1 where a network does not
        tell.
      similarity: [B, M, N, N] its similarity matrices, for looking at.
      foreground_logits: [B, N, 2] of background and foreground, or None.
      embeddings: [B, N, C] what the triplet loss pulls at, or None.
    """

    density: jax.Array
    foreground: jax.Array
    similarity: jax.Array
    foreground_logits: jax.Array | None = None
    embeddings: jax.Array | None = None


def scale_starts(frames: int, scale: int, early: int = 0) -> np.ndarray:
    """First frames of the windows of a scale, which overlap by half; the first begin before 0.

    Args:
      frames: N, a multiple of half the scale.
      scale: frames of a window.
      early: frames by which all begin too early.

    Returns:
      int [N / max(scale / 2, 1)].
    """
    step = max(scale // 2, 1)
    return np.arange(0, frames, step) - scale // 2 - early


def cut_windows(
    clips: jax.Array, starts: Sequence[int], length: int, edges: str
) -> jax.Array:
    """Windows of clips, also beyond their ends.

    Args:
      clips: [B, N, H, W, C].
      starts: W of them, the first frame of each; may be below 0.
      length: frames of a window.
      edges: what lies beyond, of `EDGES`.

    Returns:
      [B, W, length, H, W, C].
    """
    index = np.asarray(starts)[:, None] + np.arange(length)[None]  # [W, length]
    before = max(0, -int(index.min()))
    after = max(0, int(index.max()) + 1 - clips.shape[1])
    return padded_frames(clips, before, after, edges)[:, index + before]


def padded_frames(x: jax.Array, before: int, after: int, edges: str) -> jax.Array:
    """[B, N, ...] with frames before and after it: zeros, or the first and the last one again."""
    axes = ((0, 0), (before, after)) + ((0, 0),) * (x.ndim - 2)
    return jnp.pad(x, axes, mode=EDGES[edges])


def moving_mean(features: jax.Array, length: int, edges: str) -> jax.Array:
    """Means of windows of `length` frames about each frame: [B, N, ...] to the same shape.

    Frame n sees n − length / 2 to n + length / 2 − 1; `edges` as in `cut_windows`.
    """
    if length == 1:
        return features
    before, after = length // 2, length - length // 2 - 1
    padded = padded_frames(features, before, after, edges)
    number = features.shape[1]
    parts = [padded[:, place : place + number] for place in range(length)]
    return functools.reduce(jnp.add, parts) / length


class WindowEncoder(nn.Module):
    """Encodes a clip at several scales: as windows of a Video Swin, or as means of plain frames.

    Args:
      encoder: of `ENCODERS`.
      width: channel multiplier.
      frozen: whether it learns nothing.
      edges: what lies beyond a clip's ends, of `EDGES`.
      dtype: compute type.
    """

    encoder: str
    width: float
    frozen: bool = False
    edges: str = "zeros"
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self,
        clips: jax.Array,
        windows: Sequence[tuple[np.ndarray, int]],
        *,
        train: bool,
    ) -> list[jax.Array]:
        """Encodes clips [B, N, H, W, 3].

        Args:
          clips: normalised as the encoder wants them.
          windows: of each scale (first frames, length); together the windows' tokens, one for
            every two frames, are N or a multiple of it, and are averaged to N.
          train: whether statistics are of the batch and paths are dropped.

        Returns:
          By scale [B, N, h, w, C].

        Raises:
          ValueError: for an unknown encoder.
        """
        if self.encoder not in ENCODERS:
            raise ValueError(
                f"encoder: {self.encoder!r} is not one of {', '.join(ENCODERS)}"
            )
        if self.encoder == "plain":
            network = PlainFrames(self.width, self.dtype, name="plain")
            frames = network(clips, train=train)
            found = [moving_mean(frames, size, self.edges) for _, size in windows]
        else:
            network = VideoSwin(width=self.width, dtype=self.dtype, name="video_swin")
            batch, number = clips.shape[:2]
            found = []
            for starts, size in windows:
                cut = cut_windows(clips, starts, size, self.edges)
                x = network(cut.reshape(-1, *cut.shape[2:]), train=train)
                x = x.reshape(
                    batch, number, -1, *x.shape[2:]
                )  # [B, N, tokens, h, w, C]
                found.append(jnp.mean(x, axis=2))
        return [jax.lax.stop_gradient(x) for x in found] if self.frozen else found


class Neck(nn.Module):
    """A convolution across time and the strongest place of each channel.

    Args:
      channels: C of the result.
      places: rows and columns that the convolution sees.
      dtype: compute type of the convolution.
    """

    channels: int
    places: int = 3
    dtype: str = "float32"

    @nn.compact
    def __call__(self, features: jax.Array, *, train: bool) -> jax.Array:
        """[B, N, h, w, D] to [B, N, C], float32."""
        x = TemporalConv(
            self.channels, self.places, TAPS, DILATION, self.dtype, name="conv"
        )(features)
        norm = BatchNorm(self.channels, dtype=self.dtype, name="norm")
        x = norm.then_relu(x, train=train)
        return jnp.max(x.astype(jnp.float32), axis=(2, 3))


class FramePredictor(nn.Module):
    """A transformer layer over frames, then three dense layers: what is said of each frame.

    Args:
      width: channel multiplier.
      outputs: P, values of a frame, such as one of a density.
      dropout: share of the published dropout.
    """

    width: float = 1.0
    outputs: int = 1
    dropout: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, N, C] to [B, N, P]."""

        def drop(y: jax.Array, share: float) -> jax.Array:
            return nn.Dropout(self.dropout * share, deterministic=not train)(y)

        wide = x.shape[-1]
        x = drop(x + sinusoids(x.shape[1], wide)[None], POSITION_DROPOUT)
        x = TransformerLayer(
            HEADS,
            scaled(FEEDFORWARD, self.width),
            dropout=self.dropout * LAYER_DROPOUT,
            name="transformer",
        )(x, train=train)
        x = nn.LayerNorm(1e-5, name="norm")(x)
        x = nn.Dense(wide, name="dense1")(x)
        x = nn.relu(drop(nn.LayerNorm(1e-5, name="dense1_norm")(x), HEAD_DROPOUT))
        x = nn.relu(nn.Dense(scaled(EMBEDDING // 2, self.width), name="dense2")(x))
        return nn.Dense(self.outputs, name="output")(drop(x, HEAD_DROPOUT))
