"""LMRL, paper 2: localization-aware multi-scale representation learning (arXiv 2501.07312).

Embeddings of frames go through two branches: MPR (`period_maps`) reads their similarity at several
scales, RFL says which frames belong to a cycle. What both find is integrated and a transformer
predicts a density. No code was released; `docs/results.md` says which readings are ours.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import scaled
from rac_jax.models.lmrl.period_maps import PeriodMaps
from rac_jax.models.transrac.layers import (
    EMBEDDING,
    DensityOutput,
    Features,
    FramePredictor,
    Neck,
    WindowEncoder,
)

WINDOW = 4  # frames that are encoded together
BEFORE = 1  # of them before the frame that they stand for
LOCAL_CHANNELS = 64
LOCAL_DROPOUT = 0.5
# Table II: the paper's text, plain concatenation, a weighted mean, and each branch alone.
INTEGRATIONS = ("fc_concat", "concat", "average", "mpr", "rfl")


class Foreground(nn.Module):
    """RFL (section III.C): dilated residual blocks over time, and which frames are in a cycle.

    Args:
      blocks: n; block i sees 2^i frames to either side.
      channels: of them.
      dropout: after each.
    """

    blocks: int = 6
    channels: int = LOCAL_CHANNELS
    dropout: float = LOCAL_DROPOUT

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """[B, N, C] to (features [B, N, channels], logits [B, N, 2])."""
        x = nn.Dense(self.channels, name="enter")(x)
        for place in range(self.blocks):
            dilation = 2**place
            y = nn.Conv(
                self.channels,
                (3,),
                kernel_dilation=(dilation,),
                padding=((dilation, dilation),),
                name=f"dilated{place}",
            )(x)
            y = nn.Dense(self.channels, name=f"dense{place}")(nn.relu(y))
            x = x + nn.Dropout(self.dropout, deterministic=not train)(y)
        return x, nn.Dense(2, name="output")(x)


class Integration(nn.Module):
    """What both branches find as one embedding per frame.

    Args:
      kind: of `INTEGRATIONS`.
      channels: C'.
    """

    kind: str
    channels: int

    @nn.compact
    def __call__(
        self, period: jax.Array, local: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """([B, N, K], [B, N, D]) to ([B, N, C'], MPR's own embedding, which triplets pull at).

        Raises:
          ValueError: for an unknown kind.
        """
        if self.kind not in INTEGRATIONS:
            raise ValueError(
                f"integration: {self.kind!r} is not one of {', '.join(INTEGRATIONS)}"
            )
        alone = self.kind in ("average", "mpr", "rfl")
        wide = self.channels if alone else self.channels // 2
        own = nn.Dense(wide, name="period")(period)
        other = nn.Dense(wide, name="local")(local)
        if self.kind == "average":
            weight = self.param("weight", nn.initializers.zeros, (1, 1, 1))
            share = jax.nn.sigmoid(weight)
            return share * own + (1 - share) * other, own
        if self.kind == "concat":
            return jnp.concatenate([own, other], axis=-1), own
        if self.kind == "fc_concat":
            x = jnp.concatenate([own, other], axis=-1)
        else:
            x = own if self.kind == "mpr" else other
        return nn.relu(nn.LayerNorm(1e-5, name="norm")(x)), own


class LMRL(nn.Module):
    """The network.

    Args:
      encoder: of `rac_jax.models.transrac.layers.ENCODERS`.
      frames: N, frames of a window.
      width: channel multiplier of all parts.
      representation: of `period_maps.REPRESENTATIONS`.
      scales: K of MPR.
      pool: of `period_maps.POOLS`.
      integration: of `INTEGRATIONS`.
      blocks: n of RFL.
      frozen: whether the encoder learns nothing.
      places: rows and columns that the convolution across time sees.
      lags: whether similarity is read by how far apart frames are, and not by which frames they
        are, on a scale of the window's own (ours): what is learned of a period in one place then
        holds in all, and at any contrast.
      dropout: share of the published dropout in all that comes after the encoder; a narrow
        network that is shown scenes without end learns faster without.
      dtype: compute type of what is done over pixels.
    """

    encoder: str = "video_swin"
    frames: int = 64
    width: float = 1.0
    representation: str = "mpr"
    scales: int = 4
    pool: str = "along_keys"
    integration: str = "fc_concat"
    blocks: int = 6
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
          The density and the foreground of every frame.
        """
        return self._halves(clips, train, "both")

    def features(self, clips: jax.Array, *, train: bool = False) -> Features:
        """What the encoder finds in clips, `from_features` goes on from it.

        Args:
          clips, train: as in `__call__`.

        Returns:
          One [B, N, h, w, C].
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
        """Windows about every frame through the encoder."""
        chex.assert_shape(clips, (None, self.frames, None, None, 3))
        # A window of four frames about each; beyond the ends the edge goes on.
        encoder = WindowEncoder(
            self.encoder,
            self.width,
            self.frozen,
            edges="frames",
            dtype=self.dtype,
            name="encoder",
        )
        windows = [(np.arange(self.frames) - BEFORE, WINDOW)]
        return tuple(encoder(clips, windows, train=train and not self.frozen))

    def _count(self, features: Features, train: bool) -> DensityOutput:
        """From the encoder's features to a density and a foreground."""
        wide = scaled(EMBEDDING, self.width)
        neck = Neck(wide, self.places, self.dtype, name="neck")
        x = neck(features[0], train=train)  # [B, N, C]

        maps = PeriodMaps(
            self.representation,
            self.scales,
            self.pool,
            self.lags,
            wide,
            self.dropout,
            name="period_maps",
        )
        period, similarity = maps(x, train=train)
        foreground = Foreground(
            self.blocks, dropout=self.dropout * LOCAL_DROPOUT, name="foreground"
        )
        local, logits = foreground(x, train=train)
        joined, embeddings = Integration(self.integration, wide, name="integration")(
            period, local
        )
        predictor = FramePredictor(self.width, dropout=self.dropout, name="predictor")
        density = predictor(joined, train=train)[..., 0]
        return DensityOutput(
            density, jax.nn.softmax(logits)[..., 1], similarity, logits, embeddings
        )
