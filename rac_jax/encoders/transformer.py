"""One layer of a transformer encoder (Vaswani et al., 2017), normalised before or after each part.

Everything is float32: the sequences are frames of a window, and none of it is large.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

# GELU in its exact form, as PyTorch's.
ACTIVATIONS = {
    "relu": nn.relu,
    "gelu": functools.partial(nn.gelu, approximate=False),
}


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself.

    Args:
      heads: how many; must divide the width of the sequence.
      dropout: share of the attention weights that training drops.
    """

    heads: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[B, T, C] to [B, T, C]."""
        batch, frames, width = x.shape
        if width % self.heads:
            raise ValueError(f"heads: {self.heads} do not divide a width of {width}")

        initialiser = nn.initializers.xavier_uniform()

        def project(name: str) -> jax.Array:
            y = nn.Dense(width, kernel_init=initialiser, name=name)(x)
            return y.reshape(batch, frames, self.heads, width // self.heads)

        query, key, value = project("query"), project("key"), project("value")
        scores = jnp.einsum("bihc,bjhc->bhij", query, key)  # [B, heads, T, T]
        weights = jax.nn.softmax(scores / np.sqrt(width // self.heads))
        weights = nn.Dropout(self.dropout, deterministic=not train)(weights)
        mixed = jnp.einsum(
            "bhij,bjhc->bihc", weights, value
        )  # [B, T, heads, C / heads]
        return nn.Dense(width, name="out")(mixed.reshape(batch, frames, width))


class TransformerLayer(nn.Module):
    """Self-attention and two dense layers, each with a residual and layer normalisation.

    With the same weights it computes what `torch.nn.TransformerEncoderLayer` does.

    Args:
      heads: of the attention.
      feedforward: width between the two dense layers.
      norm_first: whether each part is normalised before it is computed, or its sum after.
      epsilon: of the layer normalisation.
      dropout: share dropped in training, of attention weights and of what each part adds.
      activation: a key of `ACTIVATIONS`.
    """

    heads: int
    feedforward: int
    norm_first: bool = False
    epsilon: float = 1e-5
    dropout: float = 0.0
    activation: str = "relu"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[B, T, C] to [B, T, C], float32.

        Raises:
          ValueError: for an unknown activation, or heads that do not divide C.
        """
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation: {self.activation!r} is not one of {', '.join(ACTIVATIONS)}"
            )
        activation = ACTIVATIONS[self.activation]

        def drop(y: jax.Array) -> jax.Array:
            return nn.Dropout(self.dropout, deterministic=not train)(y)

        def attend(y: jax.Array) -> jax.Array:
            attention = SelfAttention(self.heads, self.dropout, name="attention")
            return drop(attention(y, train=train))

        def expand(y: jax.Array) -> jax.Array:
            y = activation(nn.Dense(self.feedforward, name="dense1")(y))
            return drop(nn.Dense(x.shape[-1], name="dense2")(drop(y)))

        x = x.astype(jnp.float32)
        norm1 = nn.LayerNorm(self.epsilon, name="norm1")
        norm2 = nn.LayerNorm(self.epsilon, name="norm2")
        if self.norm_first:
            x = x + attend(norm1(x))
            return x + expand(norm2(x))
        x = norm1(x + attend(x))
        return norm2(x + expand(x))


def sinusoids(frames: int, width: int) -> np.ndarray:
    """Fixed positions (Vaswani et al., section 3.5): sines in even places, cosines in odd ones.

    Args:
      frames: T.
      width: C.

    Returns:
      float32 [T, C].
    """
    place = np.arange(frames)[:, None]
    step = np.exp(np.arange(0, width, 2) * (-np.log(10000.0) / width))
    table = np.zeros((frames, width), np.float32)
    table[:, 0::2] = np.sin(place * step)
    table[:, 1::2] = np.cos(place * step)[:, : width // 2]
    return table
