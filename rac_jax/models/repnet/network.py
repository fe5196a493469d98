"""RepNet: Dwibedi et al., "Counting out time" (CVPR 2020), both of the authors' releases.

Frames are encoded one by one, a convolution looks across time, and the self-similarity of what it
sees is all that the period predictor is given: one branch says how long the period is at every
frame, another whether there is one. Of May 2020 is a checkpoint with 32 periods (the class counts
from 1) and one learned number per frame as its position; of November 2024 one with 64 (class 0 is
no period) and a vector per frame. `docs/results.md` says what is not in the paper's text.
"""

import chex
import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import BatchNorm, TemporalConv, scaled
from rac_jax.encoders.plain_frames import PlainFrames
from rac_jax.encoders.resnet_v2 import ResNet50V2
from rac_jax.encoders.transformer import TransformerLayer
from rac_jax.ops.similarity import (
    centred_lags,
    relative_distances,
    squared_distances,
)

EMBEDDING = 512
TSM_CHANNELS = 32
HEADS = 4
TEMPERATURE = 13.544  # of the similarity's softmax
DROPOUT = 0.25  # before each dense layer after the transformer
# Frames of the convolution across time and how far apart they are.
TAPS, DILATION = 3, 3
EPSILON = 1e-3  # of its batch normalisation
LAYER_EPSILON = 1e-6
# One number per frame as its position, or a vector.
POSITIONS = ("number", "vector")
ENCODERS = ("resnet50v2", "plain")
# What the encoder finds, one [B, N, h, w, C].
Features = tuple[jax.Array, ...]


def normalised(pixels: jax.Array) -> jax.Array:
    """Pixels from 0 to 255 as the network wants them, in [-1, 1]."""
    return (pixels.astype(jnp.float32) - 127.5) / 127.5


@flax.struct.dataclass
class RepNetOutput:
    """What the network says of each frame of a window.

    Attributes:
      periods: [B, N, P] logits of the classes of periods.
      periodicity: [B, N] logits, above 0 where something repeats.
      similarity: [B, N, N] how like each frame (row) is to every other: rows sum to 1; read by
        lags, 1 for equal frames and of mean 0.
    """

    periods: jax.Array
    periodicity: jax.Array
    similarity: jax.Array


class Branch(nn.Module):
    """From rows of the self-similarity to numbers per frame."""

    outputs: int
    embedding: int
    positions: str

    @nn.compact
    def __call__(self, rows: jax.Array, *, train: bool) -> jax.Array:
        """[B, N, K] to [B, N, outputs], float32."""
        frames = rows.shape[1]
        x = nn.Dense(self.embedding, name="projection")(rows)  # [B, N, C]
        wide = self.embedding if self.positions == "vector" else 1
        shape = (1, frames, wide)
        x = x + self.param("positions", nn.initializers.normal(0.02), shape)
        x = TransformerLayer(
            HEADS,
            self.embedding,
            norm_first=True,
            epsilon=LAYER_EPSILON,
            name="transformer",
        )(x, train=train)
        for name in ("dense1", "dense2"):
            x = nn.Dropout(DROPOUT, deterministic=not train)(x)
            x = nn.relu(nn.Dense(self.embedding, name=name)(x))
        x = nn.Dropout(DROPOUT, deterministic=not train)(x)
        return nn.Dense(self.outputs, name="output")(x)


class RepNet(nn.Module):
    """The network.

    Args:
      periods: P, classes of periods.
      first_period: what the first of them stands for, in frames: 1 in the release of 2020, 0,
        which is no period, in that of 2024.
      positions: of `POSITIONS`.
      frames: N, frames of a window; positions and rows of the similarity are as many.
      width: channel multiplier of all parts; 1 is the published network.
      encoder: of `ENCODERS`: the published one, or a lean one for two CPU cores.
      blocks: of the ResNet's stages.
      frozen: whether the encoder learns nothing.
      places: rows and columns that the convolution across time sees.
      lags: whether similarity is read by how far apart frames are, and not by which frames they
        are, and on a scale of the window's own (ours): what is learned of a period in one place
        then holds in all, and at any contrast. The published softmax is next to the identity
        for a network that has learned nothing, and lets hardly a gradient through.
      dtype: compute type of the convolutions over pixels.
    """

    periods: int = 64
    first_period: int = 0
    positions: str = "vector"
    frames: int = 64
    width: float = 1.0
    encoder: str = "resnet50v2"
    blocks: tuple[int, ...] = (3, 4, 3)
    frozen: bool = False
    places: int = 3
    lags: bool = False
    dtype: str = "float32"

    def __call__(self, windows: jax.Array, *, train: bool = False) -> RepNetOutput:
        """Looks at windows.

        Args:
          windows: [B, N, H, W, 3] in [-1, 1].
          train: whether statistics are of the batch, and dropout drops.

        Returns:
          What it says of each frame.

        Raises:
          ValueError: for unknown positions, or an unknown encoder.
        """
        return self._halves(windows, train, "both")

    def features(self, windows: jax.Array, *, train: bool = False) -> Features:
        """What the encoder finds in windows, `from_features` goes on from it.

        Args:
          windows, train: as in `__call__`.

        Returns:
          One [B, N, h, w, C].
        """
        return self._halves(windows, train, "first")

    def from_features(self, features: Features, *, train: bool = False) -> RepNetOutput:
        """All that comes after the encoder; its parameters are not looked at.

        Args:
          features: of `features`.
          train: as in `__call__`.

        Returns:
          As `__call__`.
        """
        return self._halves(features, train, "second")

    @nn.compact
    def _halves(
        self, x: jax.Array | Features, train: bool, half: str
    ) -> RepNetOutput | Features:
        """One half, or "both"; in one method, since Flax makes parts with names in one only."""
        features = x if half == "second" else self._encode(x, train)
        return features if half == "first" else self._count(features, train)

    def _encode(self, windows: jax.Array, train: bool) -> Features:
        """Each frame by itself through the encoder."""
        chex.assert_shape(windows, (None, self.frames, None, None, 3))
        for name, known in (("positions", POSITIONS), ("encoder", ENCODERS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}: {getattr(self, name)!r} is not one of {', '.join(known)}"
                )
        batch, frames = windows.shape[:2]
        # Statistics of a frozen encoder stand still, too.
        learns = train and not self.frozen
        if self.encoder == "plain":
            encoder = PlainFrames(self.width, self.dtype, name="encoder")
            x = encoder(windows, train=learns)  # [B, N, h, w, C]
        else:
            images = windows.reshape(batch * frames, *windows.shape[2:])
            encoder = ResNet50V2(self.width, self.blocks, self.dtype, name="encoder")
            x = encoder(images, train=learns)  # [B·N, h, w, C]
            x = x.reshape(batch, frames, *x.shape[1:])  # [B, N, h, w, C]
        return (jax.lax.stop_gradient(x) if self.frozen else x,)

    def _count(self, features: Features, train: bool) -> RepNetOutput:
        """From the encoder's features to periods."""
        embedding, (x,) = scaled(EMBEDDING, self.width), features
        batch, frames = x.shape[:2]
        # Across time, then the strongest place of each channel.
        x = TemporalConv(
            embedding, self.places, TAPS, DILATION, self.dtype, name="temporal"
        )(x)
        norm = BatchNorm(embedding, 0.99, EPSILON, self.dtype, name="temporal_norm")
        x = norm.then_relu(x, train=train)
        x = jnp.max(x.astype(jnp.float32), axis=(2, 3))  # [B, N, C]

        # How like the frames are, and that as an image whose rows both branches read.
        if self.lags:
            similarity = 1 - relative_distances(x)  # [B, N, N]
            seen = centred_lags(similarity)
        else:
            similarity = jax.nn.softmax(-squared_distances(x) / TEMPERATURE)
            seen = similarity
        y = nn.Conv(TSM_CHANNELS, (3, 3), padding=1, name="similarity")(seen[..., None])
        rows = nn.relu(y).reshape(batch, frames, frames * TSM_CHANNELS)  # [B, N, N·32]
        shared = {"embedding": embedding, "positions": self.positions}
        periods = Branch(self.periods, name="period_branch", **shared)
        periodicity = Branch(1, name="periodicity_branch", **shared)
        return RepNetOutput(
            periods(rows, train=train),
            periodicity(rows, train=train)[..., 0],
            similarity,
        )
