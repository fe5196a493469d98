"""Strided inflated BlazePose: paper 3, section 3.1.1, "SI-BlazePose".

What MediaPipe's landmark network ("full", 256 pixels) sees on its way to the joints: inverted
residual blocks down to 8 x 8 cells, then depthwise-separable blocks with a ReLU6 behind every
sum, at 4 x 4 and at 2 x 2. The part that draws heat maps and a mask is left out. The last eight
1x1 convolutions see three frames, the second and the fourth of them leave every second one: of 16
frames per second come 4 features. Nothing looks ahead; see `strided_inflated`.

The graph is that of the file; the paper names neither the eight nor what its softmax stands on.
Ours is a mean over the 2 x 2 cells, as SI-EN's.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rac_jax.encoders.inverted_residuals import (
    SEEN,
    Block,
    Convolution,
    InvertedResidual,
    look_back,
    rounded,
)
from rac_jax.encoders.strided_inflated import (
    STRIDE,
    StreamEncoder,
    StreamState,
    by_image,
)

KIND = "blazepose"
STEM = 24
# Channels, depthwise taps, stride of space, widening; of entries 1 to 15.
BLOCKS = (
    (16, 3, 1, 1),
    (24, 3, 2, 4),
    (24, 3, 1, 6),
    *[(32, 5, 2, 6), (32, 5, 1, 6)],
    *[(64, 3, 2, 6), (64, 3, 1, 6), (64, 3, 1, 6)],
    *[(88, 5, 1, 6), (88, 5, 1, 6), (88, 5, 1, 6)],
    *[(144, 5, 2, 6), (144, 5, 1, 6), (144, 5, 1, 6), (144, 5, 1, 6)],
)
WIDEN = 6  # of entry 16
CHANNELS = 288  # of the entries after it
# Of entries 18 to 28 those that halve the picture, and the last of all that see three frames,
# with the two among them that leave every second frame.
SHRINKING = (18, 23)
LOOKING_BACK = (21, 22, 23, 24, 25, 26, 27, 28)
HALVING = (22, 24)
ENTRIES = 29
CELL = 128  # pixels of a side that become one cell at the end
EXAMPLE = (1, STRIDE, CELL, CELL, 3)  # an input for `init`


def make_blocks(width: float) -> tuple[Block, ...]:
    """What entries 1 to 28 are, as blocks: the first 15 are those, the others add as those do.

    Args:
      width: multiplier of channels.

    Raises:
      ValueError: for a width that is not above 0.
    """
    if not width > 0:
        raise ValueError(f"width: {width} is not above 0")
    found, inputs = [], rounded(STEM * width)
    for channels, taps, stride, expand in BLOCKS:
        channels = rounded(channels * width)
        found.append(Block(inputs, channels, taps, stride, expand))
        inputs = channels
    last = rounded(CHANNELS * width)
    found.append(Block(inputs, WIDEN * inputs, 3, 1, WIDEN))
    found.append(Block(WIDEN * inputs, last, 3, 1, 1))
    return (*found, *[Block(last, last, 3, 1, 1)] * (ENTRIES - len(found) - 1))


class Widening(nn.Module):
    """A 1x1 convolution that widens and a depthwise one, with nothing that narrows again.

    Attributes:
      over_frames: see `Convolution`.
      channels: that go out.
      dtype: compute type.
    """

    channels: int
    dtype: str = "float32"

    over_frames = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] to [B, H, W, O]."""
        x = Convolution(self.channels, dtype=self.dtype, name="expand")(x)
        return Convolution(0, 3, dtype=self.dtype, name="depthwise")(x)


class Separable(nn.Module):
    """A depthwise and a 1x1 convolution, added to what came in, over frames.

    Attributes:
      over_frames: see `Convolution`.
      channels: that go out.
      adds: whether what comes in is added, its largest values where the picture shrinks.
      shrinks: whether the picture is halved.
      looks_back: whether the 1x1 convolution sees three frames.
      halves: whether every second frame is left out.
      dtype: compute type.
    """

    channels: int
    adds: bool = True
    shrinks: bool = False
    looks_back: bool = False
    halves: bool = False
    dtype: str = "float32"

    over_frames = True

    @nn.compact
    def __call__(
        self, x: jax.Array, past: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array | None]:
        """Looks at frames.

        Args:
          x: [B, T, H, W, C]; an even number of frames where the block halves.
          past: [B, p, H', W', C], what the 1x1 convolution was given of the frames before; None
            where it sees one.

        Returns:
          ([B, T', H', W', O], the past of the frames to come).
        """
        stride = 2 if self.shrinks else 1
        # Halved as TensorFlow pads: of an even side the odd zero comes after.
        padding = "same" if self.shrinks else "symmetric"
        depthwise = Convolution(
            0, 3, stride, padding, dtype=self.dtype, name="depthwise"
        )
        seen, kept = by_image(depthwise, x), x  # [B, T, H', W', C]
        if self.looks_back:
            windows, past = look_back(seen, past)
            seen = jnp.concatenate(windows, axis=-1)  # [B, T', H', W', 3 C]
            # Of what is added the newest frame is kept.
            step = 2 if self.halves else 1
            kept = kept[:, step - 1 :: step]
        narrow = Convolution(
            self.channels, relu=not self.adds, dtype=self.dtype, name="project"
        )
        y = by_image(narrow, seen)
        if not self.adds:
            return y, past
        if self.shrinks:
            *lead, high, wide, channels = kept.shape
            cells = kept.reshape(*lead, high // 2, 2, wide // 2, 2, channels)
            kept = jnp.max(cells, axis=(-4, -2))
        return jnp.clip(y + kept, 0, 6), past


class StridedBlazePose(StreamEncoder):
    """The encoder, of RGB in 0..1; MediaPipe's frames have 256 pixels a side.

    Args:
      width: multiplier of channels; 1 is MediaPipe's network.
      dtype: compute type; parameters are float32.
    """

    width: float = 1.0
    dtype: str = "float32"

    @property
    def channels(self) -> int:
        """C of the features."""
        return rounded(CHANNELS * self.width)

    def setup(self):
        blocks = make_blocks(self.width)
        stem = blocks[0].inputs
        layers = [Convolution(stem, 3, 2, dtype=self.dtype, name="entry0")]
        for entry, block in enumerate(blocks[: len(BLOCKS)], start=1):
            name = f"entry{entry}"
            layers.append(InvertedResidual(block, dtype=self.dtype, name=name))
        wide = blocks[len(BLOCKS)].channels
        layers.append(Widening(wide, self.dtype, name="entry16"))
        for entry in range(17, ENTRIES):
            layers.append(
                Separable(
                    self.channels,
                    entry > 17,
                    entry in SHRINKING,
                    entry in LOOKING_BACK,
                    entry in HALVING,
                    self.dtype,
                    name=f"entry{entry}",
                )
            )
        self.layers = layers

    def start(self, batch: int, height: int, width: int) -> StreamState:
        """The state before the first frame, zeros.

        Args:
          batch: B.
          height, width: of frames, in pixels, multiples of 128.

        Raises:
          ValueError: for other sizes.
        """
        if height % CELL or width % CELL:
            raise ValueError(
                f"frames: {height} x {width} pixels are no multiples of {CELL}"
            )
        past = {}
        for entry in LOOKING_BACK:
            side = CELL // 2 if entry < SHRINKING[1] else CELL
            frames = SEEN - (2 if entry in HALVING else 1)
            shape = (batch, frames, height // side, width // side, self.channels)
            past[f"entry{entry}"] = jnp.zeros(shape, self.dtype)
        return StreamState(jnp.zeros((batch, 0, height, width, 3), self.dtype), past)
