"""Strided inflated networks: Mercier et al., "Is end-to-end learning enough for fitness activity
recognition?" (paper 3, section 3.1.1), EfficientNet-Lite with a memory, and the MobileNetV2 sister.

Eight of the 1x1 convolutions that widen see three frames, and two of those leave every second
one: of 16 frames per second come 4 features. Nothing looks ahead. What a block needs of the past
is a state, zeros at the start, so a whole clip and the same clip fed in pieces of any length give
the same. Entry i of the published list of layers is the group `entry<i>` here.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.encoders.inverted_residuals import (
    HEAD,
    SEEN,
    STEM,
    Convolution,
    InvertedResidual,
    look_back,
    make_blocks,
)
from rac_jax.encoders.layers import check_input

STRIDE = 4  # frames per feature
STEM_NAME = "entry0"
LEAST = (1, 0, 1, 1, 3)
EXAMPLE = (1, STRIDE, 32, 32, 3)  # an input for `init`


@flax.struct.dataclass
class StreamState:
    """What is remembered of frames that were fed; arrays alone.

    Attributes:
      rest: [B, r, H, W, 3] the newest frames, fewer than make a feature: 0 to 3.
      past: entry to [B, p, h, w, C], what its convolution saw last.
    """

    rest: jax.Array
    past: dict[str, jax.Array]


class StreamEncoder(nn.Module):
    """A network of layers that sees whole clips, or the same clip in pieces.

    A subclass has the fields `dtype` and `channels`, of the features, its `layers` in order, of
    images or, where their `over_frames` is true, of frames and what they saw of those before, and
    `start`, the state before the first frame. Where its field `norm` is true, its layers are
    told whether they are trained.
    """

    norm = False

    def start(self, batch: int, height: int, width: int) -> StreamState:
        """The state before the first frame, zeros.

        Args:
          batch: B.
          height, width: of frames, in pixels.
        """
        raise NotImplementedError

    def __call__(self, clips: jax.Array, *, train: bool = False) -> jax.Array:
        """Encodes whole clips.

        Args:
          clips: [B, T, H, W, 3] floats in the colours and the range of the weights.
          train: whether normalisations, if there are any, are by the statistics of the batch,
            which "batch_stats" takes up if it is mutable.

        Returns:
          [B, T // 4, C] mean features over space, float32; feature k is of frame 4 k + 3 and of
          those before it. Frames after the last feature are not looked at.

        Raises:
          ValueError: for clips of another shape.
        """
        check_input("clips", clips, (None, None, None, None, 3), LEAST)
        start = self.start(clips.shape[0], *clips.shape[2:4])
        return self.step(start, clips, train=train)[1]

    def step(
        self, state: StreamState, frames: jax.Array, *, train: bool = False
    ) -> tuple[StreamState, jax.Array]:
        """Encodes the next frames of a stream, any number of them.

        Args:
          state: of `start`, or after the frames before.
          frames: [B, n, H, W, 3]; n may be 0.
          train: see `__call__`.

        Returns:
          (the state after them, [B, m, C] features that are known now, float32); in all there
          are a quarter as many features as frames, however these are cut.
        """
        x = jnp.concatenate([state.rest, frames.astype(self.dtype)], axis=1)
        whole = x.shape[1] // STRIDE * STRIDE
        x, rest = x[:, :whole], x[:, whole:]
        if not whole:
            features = jnp.zeros((x.shape[0], 0, self.channels), jnp.float32)
            return state.replace(rest=rest), features
        x, past = self.seen(x, state.past)
        told = {"train": train} if self.norm else {}
        for layer in self.layers:
            if not layer.over_frames:
                x = by_image(functools.partial(layer, **told), x)  # [B, T', h, w, C]
                continue
            x, left = layer(x, state.past.get(layer.name), **told)  # [B, T', h, w, C]
            if left is not None:
                past[layer.name] = left
        features = jnp.mean(x.astype(jnp.float32), axis=(2, 3))  # [B, T/4, C]
        return StreamState(rest, past), features

    def seen(
        self, x: jax.Array, past: dict[str, jax.Array]
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(what the first layer sees of frames [B, T, H, W, 3], what it keeps of them)."""
        del past
        return x, {}


class StridedInflated(StreamEncoder):
    """The encoder.

    Args:
      kind: "efficientnet", or "mobilenet", whose convolutions over time are the sparse ones.
      width: multiplier of channels: 1.4 and 1 are the published networks'.
      depth: multiplier of blocks: 1.8 and 1 are the published networks'.
      head: channels of the features.
      padding: of `inverted_residuals.PADDINGS`; the published networks' is symmetric.
      stem_looks_back: whether the first convolution sees three frames too, as an inflated one,
        so that what changes is seen before the picture shrinks; not in the published networks.
      norm: whether convolutions have batch normalisations in place of their biases, to start
        from nothing; the published networks have them folded (`inverted_tables.folded`).
      dtype: compute type; parameters are float32.
    """

    kind: str = "efficientnet"
    width: float = 1.4
    depth: float = 1.8
    head: int = HEAD
    padding: str = "symmetric"
    stem_looks_back: bool = False
    norm: bool = False
    dtype: str = "float32"

    @property
    def channels(self) -> int:
        """C of the features."""
        return self.head

    @property
    def blocks(self):
        """Its blocks, in order; the first is entry 1."""
        return make_blocks(self.kind, self.width, self.depth, temporal=True)

    def setup(self):
        shared = {"padding": self.padding, "norm": self.norm, "dtype": self.dtype}
        sparse = self.kind == "mobilenet"
        blocks = self.blocks
        layers = [Convolution(STEM, 3, 2, name=STEM_NAME, **shared)]
        for entry, block in enumerate(blocks, start=1):
            name = f"entry{entry}"
            layers.append(InvertedResidual(block, sparse, name=name, **shared))
        last = f"entry{len(blocks) + 1}"
        layers.append(Convolution(self.head, name=last, **shared))
        self.layers = layers

    def seen(
        self, x: jax.Array, past: dict[str, jax.Array]
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """See `StreamEncoder.seen`."""
        if not self.stem_looks_back:
            return x, {}
        windows, left = look_back(x, past[STEM_NAME])
        return jnp.concatenate(windows, axis=-1), {STEM_NAME: left}  # [B, T, H, W, 9]

    def start(self, batch: int, height: int, width: int) -> StreamState:
        """See `StreamEncoder.start`."""
        past = {}
        if self.stem_looks_back:
            shape = (batch, SEEN - 1, height, width, 3)
            past[STEM_NAME] = jnp.zeros(shape, self.dtype)
        high, wide = -(-height // 2), -(-width // 2)
        for entry, block in enumerate(self.blocks, start=1):
            if block.looks_back:
                shape = (batch, block.past, high, wide, block.inputs)
                past[f"entry{entry}"] = jnp.zeros(shape, self.dtype)
            high, wide = -(-high // block.stride), -(-wide // block.stride)
        return StreamState(jnp.zeros((batch, 0, height, width, 3), self.dtype), past)


def by_image(layer: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """A layer of images, over frames [B, T, H, W, C]."""
    y = layer(x.reshape(-1, *x.shape[2:]))
    return y.reshape(*x.shape[:2], *y.shape[1:])
