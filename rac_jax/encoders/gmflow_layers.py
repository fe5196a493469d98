"""What GMFlow is made of: features, the transformer, propagation, enlargement and refinement."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import BiasConv, Conv, kernel_initialiser, scaled
from rac_jax.encoders.video_swin import MASKED, joined, partition, shift_parts
from rac_jax.ops import conv, matching

EPSILON = 1e-5
CHANNELS = (64, 96, 128)  # of the stages of the convolutions
EXPANSION = 4  # of the two vectors that a feed-forward part is given
REACH = 4  # pixels that a local match, and a refinement, looks around
HIDDEN = 256  # channels before the scores of an enlargement
glorot = nn.initializers.xavier_uniform()


def instance_norm(x: jax.Array) -> jax.Array:
    """[B, H, W, C] with mean 0 and variance 1 over each image's pixels, in float32."""
    x = x.astype(jnp.float32)
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    var = jnp.mean(jnp.square(x - mean), axis=(1, 2), keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + EPSILON)


class Residual(nn.Module):
    """Two 3x3 convolutions, each normalised by image, beside a shortcut."""

    channels: int
    stride: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to [B, H / stride, W / stride, channels], halves up."""
        y = x
        for place, stride in enumerate((self.stride, 1)):
            y = Conv(
                self.channels,
                (3, 3),
                (stride, stride),
                (1, 1),
                self.dtype,
                name=f"conv{place + 1}",
            )(y)
            y = nn.relu(instance_norm(y))
        if self.stride > 1 or x.shape[-1] != self.channels:
            shortcut = BiasConv(
                self.channels, 1, self.stride, 0, self.dtype, name="downsample"
            )
            x = instance_norm(shortcut(x))
        return nn.relu(x + y)


class Trident(nn.Module):
    """One 3x3 convolution of one weight, with stride 2 and with stride 1."""

    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """[B, H, W, C] to [B, H / 2, W / 2, C] and [B, H, W, C], float32."""
        channels = x.shape[-1]
        shape = (3, 3, channels, channels)
        kernel = self.param("kernel", kernel_initialiser, shape, jnp.float32)
        taps = kernel.astype(self.dtype)
        padding = ((1, 1), (1, 1))
        return [
            conv.conv_image(x, taps, (stride, stride), padding).astype(jnp.float32)
            for stride in (2, 1)
        ]


class Backbone(nn.Module):
    """Features of pictures at an eighth of their size, or at an eighth and a quarter.

    For two scales the last stage keeps a quarter, and a convolution makes both of it.
    """

    scales: int
    width: float
    dtype: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array) -> list[jax.Array]:
        """[B, H, W, 3] to features [B, h, w, C] of each scale, small ones first, float32."""
        first, _, last = wide = [scaled(channels, self.width) for channels in CHANNELS]
        x = images.astype(self.dtype)
        x = Conv(first, (7, 7), (2, 2), (3, 3), self.dtype, name="conv1")(x)
        x = nn.relu(instance_norm(x))  # [B, H / 2, W / 2, C]
        strides = (1, 2, 2 if self.scales == 1 else 1)
        for stage, (channels, stride) in enumerate(zip(wide, strides, strict=True)):
            for place in range(2):
                x = Residual(
                    channels,
                    1 if place else stride,
                    self.dtype,
                    name=f"layer{stage + 1}_block{place}",
                )(x)
        x = BiasConv(last, 1, 1, 0, self.dtype, name="conv2")(x)
        if self.scales == 1:
            return [x.astype(jnp.float32)]
        return Trident(self.dtype, name="trident")(x)


@functools.cache
def sines(height: int, width: int, channels: int) -> np.ndarray:
    """Positions: float32 [H, W, C], half of the channels for the row, half for the column.

    Sines and cosines in turn of places that are counted from 1 and scaled to end at 2 pi, as DETR
    has them (Carion et al., ECCV 2020).
    """
    half = channels // 2
    waves = 10000.0 ** (2 * (np.arange(half) // 2) / half)

    def along(size: int) -> np.ndarray:
        place = 2 * np.pi * np.arange(1, size + 1) / (size + 1e-6)
        angles = place[:, None] / waves[None]
        return np.where(np.arange(half)[None] % 2 == 0, np.sin(angles), np.cos(angles))

    shape = (height, width, half)
    rows = np.broadcast_to(along(height)[:, None], shape)
    columns = np.broadcast_to(along(width)[None], shape)
    return np.concatenate([rows, columns], axis=-1).astype(np.float32)


def add_positions(x: jax.Array, splits: int) -> jax.Array:
    """Features [B, H, W, C] with positions within each of splits x splits windows."""
    height, width, channels = x.shape[1:]
    one = sines(height // splits, width // splits, channels)
    return x + np.tile(one, (splits, splits, 1))[None]


class Attention(nn.Module):
    """What each place learns from another picture, or its own, within its window.

    Args:
      shifted: whether windows begin half a window later.
      feeds_forward: whether two dense layers follow, given the place and its message.
      dtype: compute type of matrix products; sums, softmax and normalisation are float32.
    """

    shifted: bool
    feeds_forward: bool
    dtype: str = "float32"

    @nn.compact
    def __call__(self, source: jax.Array, target: jax.Array, splits: int) -> jax.Array:
        """Sends a message to every place.

        Args:
          source: [B, H, W, C] that ask.
          target: [B, H, W, C] that answer.
          splits: windows along each side.

        Returns:
          [B, H, W, C], float32.
        """
        *shape, channels = source.shape[1:]
        window = tuple(size // splits for size in shape)
        shift = tuple(size // 2 if self.shifted else 0 for size in window)

        def dense(units: int, name: str) -> nn.Dense:
            return nn.Dense(
                units,
                use_bias=False,
                kernel_init=glorot,
                dtype=self.dtype,
                name=name,
            )

        def windows(x: jax.Array, name: str) -> jax.Array:
            x = dense(channels, name)(x)
            x = jnp.roll(x, tuple(-n for n in shift), (1, 2)) if any(shift) else x
            return partition(x[:, None], (1, *window))  # [B, windows, M, C]

        query = windows(source, "query")
        key, value = windows(target, "key"), windows(target, "value")
        scores = jnp.einsum(
            "bnic,bnjc->bnij", query, key, preferred_element_type=jnp.float32
        ) / np.sqrt(channels)
        # Windows that begin later hold places of two sides of the picture.
        parts = shift_parts((1, *shape), (1, *window), (0, *shift))
        if parts is not None:
            parts = jnp.asarray(parts)
            apart = parts[:, :, None] != parts[:, None]
            scores = scores + jnp.where(apart, MASKED, 0.0)[None]
        weights = jax.nn.softmax(scores).astype(self.dtype)
        mixed = jnp.einsum("bnij,bnjc->bnic", weights, value)
        mixed = joined(mixed, (1, *window), (1, *shape))[:, 0]  # [B, H, W, C]
        mixed = jnp.roll(mixed, shift, (1, 2)) if any(shift) else mixed
        message = dense(channels, "merge")(mixed)
        message = nn.LayerNorm(EPSILON, name="norm1")(message.astype(jnp.float32))
        if self.feeds_forward:
            y = jnp.concatenate([source, message], axis=-1)
            y = nn.gelu(dense(2 * EXPANSION * channels, "dense1")(y), approximate=False)
            y = dense(channels, "dense2")(y).astype(jnp.float32)
            message = nn.LayerNorm(EPSILON, name="norm2")(y)
        return source + message


class Transformer(nn.Module):
    """Blocks of attention to the own picture, then to the other one, for both at once."""

    blocks: int
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, first: jax.Array, second: jax.Array, splits: int
    ) -> tuple[jax.Array, jax.Array]:
        """Features [B, H, W, C] of two pictures, likewise; `splits` windows along each side."""
        both = jnp.concatenate([first, second])  # [2 B, H, W, C]
        for place in range(self.blocks):
            # What the other picture answers with is as it was before this block.
            others = jnp.roll(both, len(first), axis=0)
            for name, feeds_forward in (("self", False), ("cross", True)):
                attend = Attention(
                    place % 2 == 1,
                    feeds_forward,
                    self.dtype,
                    name=f"block{place}_{name}",
                )
                both = attend(both, others if feeds_forward else both, splits)
        return both[: len(first)], both[len(first) :]


class Propagation(nn.Module):
    """Each place's flow from places whose features are alike: all of them, or the nearest.

    Where all are asked the key is projected from the projected query, not from the features, as
    the authors found too late to change it; among the nearest it is not.
    """

    @nn.compact
    def __call__(self, features: jax.Array, flow: jax.Array, radius: int) -> jax.Array:
        """[B, H, W, C] and [B, H, W, 2] to [B, H, W, 2]; a radius of 0 asks all."""
        channels = features.shape[-1]
        query = nn.Dense(channels, kernel_init=glorot, name="query")(features)
        project_key = nn.Dense(channels, kernel_init=glorot, name="key")
        if radius:
            return matching.propagate_locally(
                query, project_key(features), flow, radius
            )
        key = project_key(query)
        flat = (len(flow), -1, channels)
        scores = matching.einsum("bic,bjc->bij", query.reshape(flat), key.reshape(flat))
        weights = jax.nn.softmax(scores / np.sqrt(channels))
        mixed = matching.einsum("bij,bjx->bix", weights, flow.reshape(len(flow), -1, 2))
        return mixed.reshape(flow.shape)


class Scores(nn.Module):
    """Scores of the nine pixels that each pixel of an enlarged flow is a mean of."""

    width: float
    factor: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, D] to [B, H, W, 9 · factor²]."""
        x = BiasConv(scaled(HIDDEN, self.width), 3, 1, 1, self.dtype, name="conv1")(x)
        wide = 9 * self.factor**2
        return BiasConv(wide, 1, 1, 0, self.dtype, name="conv2")(nn.relu(x))


class Refinement(nn.Module):
    """One step of refinement by regression, as RAFT's (Teed and Deng, ECCV 2020, section 3.3).

    The hidden state is made anew of the features in each step: it is not carried on, in the
    authors' code neither.
    """

    width: float
    factor: int
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, features: jax.Array, correlation: jax.Array, flow: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """What is to be added to a flow, and how to enlarge it.

        Args:
          features: [B, H, W, C] of the first picture, from the transformer.
          correlation: [B, H, W, 81] around where the flow leads to.
          flow: [B, H, W, 2].

        Returns:
          (flow [B, H, W, 2], scores [B, H, W, 9 · factor²]), float32.
        """
        wide = features.shape[-1]

        def layer(x, channels, size, name):
            pair = size if isinstance(size, tuple) else (size, size)
            half = tuple(n // 2 for n in pair)
            return BiasConv(channels, pair, (1, 1), half, self.dtype, name=name)(x)

        def active(x, channels, size, name):
            return nn.relu(layer(x, scaled(channels, self.width), size, name))

        hidden, context = jnp.split(layer(features, 2 * wide, 1, "project"), 2, axis=-1)
        hidden, context = jnp.tanh(hidden), nn.relu(context)
        # The motion so far: how well it fits, and the flow itself.
        fits = active(correlation, 256, 1, "correlation1")
        fits = active(fits, 192, 3, "correlation2")
        moves = active(flow, 128, 7, "flow1")
        moves = active(moves, 64, 3, "flow2")
        motion = jnp.concatenate([fits, moves], axis=-1)
        motion = nn.relu(layer(motion, wide - 2, 3, "motion"))
        seen = jnp.concatenate([context, motion, flow.astype(motion.dtype)], axis=-1)
        # A gated recurrent unit whose convolutions run along the rows, then along the columns.
        for place, size in (("1", (1, 5)), ("2", (5, 1))):
            both = jnp.concatenate([hidden, seen], axis=-1)
            keep = nn.sigmoid(layer(both, wide, size, f"update{place}"))
            reset = nn.sigmoid(layer(both, wide, size, f"reset{place}"))
            both = jnp.concatenate([reset * hidden, seen], axis=-1)
            new = jnp.tanh(layer(both, wide, size, f"new{place}"))
            hidden = (1 - keep) * hidden + keep * new
        change = active(hidden, 256, 3, "change1")
        change = layer(change, 2, 3, "change2").astype(jnp.float32)
        scores = Scores(self.width, self.factor, self.dtype, name="scores")(hidden)
        return change, scores.astype(jnp.float32)
