"""MPR, the multi-scale period-aware representation (paper 2, section III.B), and what it is compared with.

The paper pools an N x N map with a stride of 2k and wants N x 1 of it, which a pool of both axes
does not give. Here a pool goes along the keys only, so that a row stays a frame (`along_keys`, the
default); `both_axes` pools both, attends over the N / 2k rows and shows each one 2k times.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.transformer import TransformerLayer, sinusoids
from rac_jax.models.transrac.network import AttentionMatrices, MatrixRows
from rac_jax.ops.similarity import (
    centred_lags,
    relative_distances,
    relative_embeddings,
    squared_distances,
)

# Table IV: the similarity that is learned with pools (the paper's), plain self-similarity without
# pools, self-attention without, and pools on plain self-similarity.
REPRESENTATIONS = ("mpr", "tsm", "attention", "mpr_tsm")
POOLS = ("along_keys", "both_axes")
MAP_CHANNELS = 32
HEADS = 4
TOKEN = 64  # width of a scale's sequence


class LearnedSimilarity(nn.Module):
    """S = X W Xᵀ / √C; W begins as the identity, so that S begins as a scaled dot product."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, N, C] to [B, N, N]."""
        wide = x.shape[-1]

        def identity(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
            del key
            return jnp.eye(*shape, dtype=jnp.float32)

        weight = self.param("weight", identity, (wide, wide))
        return jnp.einsum("bic,cd,bjd->bij", x, weight, x) / np.sqrt(wide)


def plain_similarity(x: jax.Array) -> jax.Array:
    """RepNet's: rows of -d² / √C as shares, [B, N, C] to [B, N, N]."""
    return jax.nn.softmax(-squared_distances(x) / np.sqrt(x.shape[-1]))


class ScaleVector(nn.Module):
    """One scale: the map pooled by 2k, attention over frames, one number of each.

    Args:
      scale: k, from 1 on.
      pool: of `POOLS`.
    """

    scale: int
    pool: str

    @nn.compact
    def __call__(self, maps: jax.Array, *, train: bool) -> jax.Array:
        """[B, N, N, M] to [B, N, 1]."""
        size, frames = 2 * self.scale, maps.shape[1]
        # Rows, too, in the other reading; what does not fill a window is filled up.
        rows = size if self.pool == "both_axes" else 1
        pad = [(0, -frames % rows), (0, -frames % size)]
        low = jnp.finfo(maps.dtype).min
        padded = jnp.pad(maps, ((0, 0), *pad, (0, 0)), constant_values=low)
        shape = (len(maps), padded.shape[1] // rows, rows, -1, size, maps.shape[-1])
        x = jnp.max(padded.reshape(shape), axis=(2, 4))  # [B, N / rows, N / 2k, M]
        x = nn.Dense(TOKEN, name="projection")(x.reshape(*x.shape[:2], -1))
        x = x + sinusoids(x.shape[1], TOKEN)[None]
        x = TransformerLayer(HEADS, TOKEN, norm_first=True, name="attention")(
            x, train=train
        )
        x = nn.Dense(1, name="weights")(x)
        return jnp.repeat(x, rows, axis=1)[:, :frames]


class PeriodMaps(nn.Module):
    """Embeddings of frames to a representation of their periods.

    Args:
      representation: of `REPRESENTATIONS`.
      scales: K.
      pool: of `POOLS`.
      lags: whether maps are read in lag coordinates, and on a scale of the window's own, on
        which a frame's likeness to itself is 1 on average.
      channels: of the result where nothing is pooled.
      dropout: share of the published dropout, where nothing is pooled.
    """

    representation: str = "mpr"
    scales: int = 4
    pool: str = "along_keys"
    lags: bool = False
    channels: int = 512
    dropout: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """[B, N, C] to ([B, N, K], or [B, N, channels] without pools; matrices [B, M, N, N]).

        Raises:
          ValueError: for an unknown representation or pool.
        """
        for name, allowed in (("representation", REPRESENTATIONS), ("pool", POOLS)):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}: {getattr(self, name)!r} is not one of "
                    f"{', '.join(allowed)}"
                )
        known = relative_embeddings(x) if self.lags else x
        if self.representation == "attention":
            matrices = AttentionMatrices(name="similarity")(known)
        elif self.representation == "mpr":
            matrices = LearnedSimilarity(name="similarity")(known)[:, None]
            matrices = matrices / np.sqrt(x.shape[-1]) if self.lags else matrices
        elif self.lags:
            matrices = 1 - relative_distances(x)[:, None]
        else:
            matrices = plain_similarity(x)[:, None]
        seen = centred_lags(matrices) if self.lags else matrices
        if self.representation in ("tsm", "attention"):
            rows = MatrixRows(self.channels, self.dropout, name="rows")
            return rows(seen, train=train), matrices

        # A 1 x 1 and a dilated convolution, then a number per frame from each scale.
        y = nn.Conv(MAP_CHANNELS, (1, 1), name="conv1")(jnp.moveaxis(seen, 1, -1))
        y = nn.Conv(
            MAP_CHANNELS, (3, 3), kernel_dilation=(2, 2), padding=2, name="conv2"
        )(y)
        maps = nn.relu(y)  # [B, N, N, 32]
        vectors = [
            ScaleVector(scale, self.pool, name=f"scale{scale}")(maps, train=train)
            for scale in range(1, self.scales + 1)
        ]
        return jnp.concatenate(vectors, axis=-1), matrices
