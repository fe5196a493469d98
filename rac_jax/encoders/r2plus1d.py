"""R(2+1)D-18: Tran et al., "A closer look at spatiotemporal convolutions" (2018).

An 18-layer residual network whose 3x3x3 convolutions are factored into one over space and one
over time, with as many channels in between as keep the number of weights. It is the sight
encoder that paper 1's authors released. Out come the features after the third residual stage
and the pooled 512 features after the fourth; there is no classification layer.
"""

import flax.linen as nn
import jax

from rac_jax.encoders.layers import (
    ConvNorm,
    EncoderOutput,
    FactoredConv,
    check_input,
    scaled,
)
from rac_jax.ops.pooling import global_mean

PLANES = (64, 128, 256, 512)  # channels of the four stages
STEM_MIDDLE = 45  # channels between the stem's two convolutions
BLOCKS = 2  # per stage
MOMENTUM = 0.9
LEAST = (1, 1, 1, 1, 3)
EXAMPLE = (1, 8, 32, 32, 3)  # an input for `init`; variables do not depend on its size


def middle_planes(before: int, after: int) -> int:
    """Channels between the two factors of a 3x3x3 convolution with as many weights.

    Args:
      before: channels that go in.
      after: channels that come out.

    Returns:
      floor(27 · before · after / (9 · before + 3 · after)), section 3.5 of the paper.
    """
    return (before * after * 27) // (9 * before + 3 * after)


class FactoredBlock(nn.Module):
    """A residual block of two factored convolutions, both as wide inside as the first asks."""

    channels: int
    stride: int
    momentum: float = MOMENTUM
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shared = {"momentum": self.momentum, "dtype": self.dtype}
        middle = middle_planes(x.shape[-1], self.channels)
        y = FactoredConv(
            self.channels,
            middle,
            (3, 3),
            (self.stride, self.stride),
            name="conv1",
            **shared,
        )(x, train=train)
        y = FactoredConv(
            self.channels, middle, (3, 3), relu=False, name="conv2", **shared
        )(y, train=train)
        if self.stride != 1 or x.shape[-1] != self.channels:
            x = ConvNorm(
                self.channels,
                (1, 1, 1),
                (self.stride,) * 3,
                (0, 0, 0),
                relu=False,
                name="downsample",
                **shared,
            )(x, train=train)
        return nn.relu(x + y)


class R2Plus1DStage(nn.Module):
    """One residual stage; `stage` 1 to 4 gives its channels, all but the first halve the size."""

    stage: int = 4
    width: float = 1.0
    momentum: float = MOMENTUM
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        channels = scaled(PLANES[self.stage - 1], self.width)
        for i in range(BLOCKS):
            stride = 2 if i == 0 and self.stage > 1 else 1
            x = FactoredBlock(
                channels, stride, self.momentum, self.dtype, name=f"block{i}"
            )(x, train=train)
        return x  # [B, T', H', W', C]


class R2Plus1D18(nn.Module):
    """The encoder.

    Args:
      width: channel multiplier (`layers.scaled`); 1 is the published network. The channels
        inside a block follow from its own by `middle_planes`.
      momentum: what the running statistics keep of themselves per training step.
      dtype: compute type; parameters are float32.
    """

    width: float = 1.0
    momentum: float = MOMENTUM
    dtype: str = "float32"

    @nn.compact
    def __call__(self, clips: jax.Array, *, train: bool = False) -> EncoderOutput:
        """Encodes clips.

        Args:
          clips: [B, T, H, W, 3] normalised floats.
          train: whether batch statistics are the batch's own.

        Returns:
          stage3 [B, T/4, H/8, W/8, 256·width] and features [B, 512·width], float32.

        Raises:
          ValueError: if the clips are of another rank or empty.
        """
        check_input("clips", clips, (None, None, None, None, 3), LEAST)
        shared = {
            "width": self.width,
            "momentum": self.momentum,
            "dtype": self.dtype,
        }
        x = FactoredConv(
            scaled(64, self.width),
            scaled(STEM_MIDDLE, self.width),
            size=(3, 7),
            stride=(1, 2),
            momentum=self.momentum,
            dtype=self.dtype,
            name="stem",
        )(clips.astype(self.dtype), train=train)  # [B, T, H/2, W/2, 64]
        for stage in (1, 2, 3):
            x = R2Plus1DStage(stage, name=f"stage{stage}", **shared)(
                x, train=train
            )  # [B, T', H', W', C]
        last = R2Plus1DStage(4, name="stage4", **shared)
        return EncoderOutput(stage3=x, features=global_mean(last(x, train=train)))
