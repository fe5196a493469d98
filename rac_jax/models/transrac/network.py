"""TransRAC: Hu et al. (CVPR 2022), a density of repetitions from similarity at several scales.

Windows of 1, 4 and 8 frames are encoded, the similarity of all pairs of frames is an attention
with four heads at each scale, and its twelve matrices are read by a transformer that says how much
of a repetition lies in every frame. `released` is what the authors' code does where it differs from
their text: scores are divided by √64, not by the root of a head's width, and the windows of the
third scale begin two frames early.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import BatchNorm, scaled
from rac_jax.models.transrac.layers import (
    EMBEDDING,
    HEADS,
    DensityOutput,
    Features,
    FramePredictor,
    Neck,
    WindowEncoder,
    scale_starts,
)
from rac_jax.ops.similarity import centred_lags, relative_embeddings

MAP_CHANNELS = 32
MAP_DROPOUT = 0.25
RELEASED_DIVISOR = 64  # of scores, under the root
RELEASED_EARLY = {8: 2}  # frames by scale: the clip is padded twice


class AttentionMatrices(nn.Module):
    """How like all pairs of frames are, as attention: one matrix per head.

    Args:
      divisor: of the scores, under the root; 0 for the width of a head.
    """

    divisor: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, N, C] to [B, heads, N, N]; rows sum to 1."""
        batch, frames, wide = x.shape

        def project(name: str) -> jax.Array:
            y = nn.Dense(wide, name=name)(x)
            return y.reshape(batch, frames, HEADS, wide // HEADS)

        query, key = project("query"), project("key")
        scores = jnp.einsum("bihc,bjhc->bhij", query, key)
        return jax.nn.softmax(scores / np.sqrt(self.divisor or wide // HEADS))


class MatrixRows(nn.Module):
    """Matrices as an image, convolved, whose rows become an embedding of each frame.

    Args:
      channels: C of the result.
      dropout: share of the published dropout.
    """

    channels: int
    dropout: float = 1.0

    @nn.compact
    def __call__(self, matrices: jax.Array, *, train: bool) -> jax.Array:
        """[B, M, N, N] to [B, N, C]."""
        image = jnp.moveaxis(matrices, 1, -1)  # [B, N, N, M]
        y = nn.Conv(MAP_CHANNELS, (3, 3), padding=1, name="conv")(image)
        y = BatchNorm(MAP_CHANNELS, name="norm").then_relu(y, train=train)
        y = nn.Dropout(self.dropout * MAP_DROPOUT, deterministic=not train)(y)
        rows = y.reshape(*y.shape[:2], -1)  # [B, N, N·32]
        y = nn.relu(nn.Dense(self.channels, name="projection")(rows))
        return nn.LayerNorm(1e-5, name="projection_norm")(y)


class TransRAC(nn.Module):
    """The network.

    Args:
      encoder: of `layers.ENCODERS`.
      scales: frames of the windows that are encoded.
      frames: N, frames of a window.
      width: channel multiplier of all parts.
      released: whether it computes what the authors' code does.
      frozen: whether the encoder learns nothing.
      places: rows and columns that the convolution across time sees.
      lags: whether similarity is read by how far apart frames are, and not by which frames they
        are, of embeddings on a scale of the window's own (ours): what is learned of a period in
        one place then holds in all, and at any contrast.
      dropout: share of the published dropout in all that comes after the encoder; a narrow
        network that is shown scenes without end learns faster without.
      dtype: compute type of what is done over pixels.
    """

    encoder: str = "video_swin"
    scales: tuple[int, ...] = (1, 4, 8)
    frames: int = 64
    width: float = 1.0
    released: bool = False
    frozen: bool = False
    places: int = 3
    lags: bool = False
    dropout: float = 1.0
    dtype: str = "float32"

    def __call__(self, clips: jax.Array, *, train: bool = False) -> DensityOutput:
        """Looks at clips.

        Args:
          clips: [B, N, H, W, 3] in [-1, 1].
          train: whether statistics are of the batch, and dropout drops.

        Returns:
          The density of every frame.
        """
        return self._halves(clips, train, "both")

    def features(self, clips: jax.Array, *, train: bool = False) -> Features:
        """What the encoder finds in clips, `from_features` goes on from it.

        Args:
          clips, train: as in `__call__`.

        Returns:
          By scale [B, N, h, w, C].
        """
        return self._halves(clips, train, "first")

    def from_features(
        self, features: Features, *, train: bool = False
    ) -> DensityOutput:
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
    ) -> DensityOutput | Features:
        """One half, or "both"; in one method, since Flax makes parts with names in one only."""
        features = x if half == "second" else self._encode(x, train)
        return features if half == "first" else self._count(features, train)

    def _encode(self, clips: jax.Array, train: bool) -> Features:
        """Windows of every scale through the encoder."""
        chex.assert_shape(clips, (None, self.frames, None, None, 3))
        early = RELEASED_EARLY if self.released else {}
        windows = [
            (scale_starts(self.frames, scale, early.get(scale, 0)), scale)
            for scale in self.scales
        ]
        encoder = WindowEncoder(
            self.encoder, self.width, self.frozen, dtype=self.dtype, name="encoder"
        )
        # The authors put their frozen encoder in training mode with the rest.
        learns = train and (self.released or not self.frozen)
        return tuple(encoder(clips, windows, train=learns))

    def _count(self, features: Features, train: bool) -> DensityOutput:
        """From the encoder's features to a density."""
        wide = scaled(EMBEDDING, self.width)
        # The same neck and the same attention see every scale.
        neck = Neck(wide, self.places, self.dtype, name="neck")
        divisor = RELEASED_DIVISOR if self.released else 0
        attention = AttentionMatrices(divisor, name="similarity")
        embeddings = [neck(one, train=train) for one in features]  # [B, N, C]
        if self.lags:
            embeddings = [relative_embeddings(one) for one in embeddings]
        matrices = [attention(one) for one in embeddings]
        similarity = jnp.concatenate(matrices, axis=1)  # [B, scales · heads, N, N]
        seen = centred_lags(similarity) if self.lags else similarity
        x = MatrixRows(wide, self.dropout, name="rows")(seen, train=train)
        predictor = FramePredictor(self.width, dropout=self.dropout, name="predictor")
        density = predictor(x, train=train)[..., 0]
        return DensityOutput(density, jnp.ones_like(density), similarity)
