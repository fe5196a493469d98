"""ResNet-18 on spectrograms: He et al., "Deep residual learning" (2016), with one input channel.

The sound encoder of paper 1; with images of three channels, the published network. Rows of the
spectrogram are the image's height, columns its width. Out come the features after the third
residual stage and the pooled 512 features after the fourth; there is no classification layer.
"""

import flax.linen as nn
import jax

from rac_jax.encoders.layers import ConvNorm, EncoderOutput, check_input, scaled
from rac_jax.ops.pooling import global_mean, max_pool

PLANES = (64, 128, 256, 512)  # channels of the four stages
BLOCKS = 2  # per stage
MOMENTUM = 0.9
LEAST = (1, 1, 1, 1)
EXAMPLE = (1, 32, 32, 1)  # an input for `init`; variables do not depend on its size


class Block(nn.Module):
    """A residual block of two 3x3 convolutions."""

    channels: int
    stride: int
    momentum: float = MOMENTUM
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shared = {"momentum": self.momentum, "dtype": self.dtype}
        strides = (self.stride, self.stride)
        y = ConvNorm(self.channels, (3, 3), strides, (1, 1), name="conv1", **shared)(
            x, train=train
        )
        y = ConvNorm(
            self.channels, (3, 3), (1, 1), (1, 1), relu=False, name="conv2", **shared
        )(y, train=train)
        if self.stride != 1 or x.shape[-1] != self.channels:
            x = ConvNorm(
                self.channels,
                (1, 1),
                strides,
                (0, 0),
                relu=False,
                name="downsample",
                **shared,
            )(x, train=train)
        return nn.relu(x + y)


class ResNetStage(nn.Module):
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
            x = Block(channels, stride, self.momentum, self.dtype, name=f"block{i}")(
                x, train=train
            )
        return x  # [B, H', W', C]


class ResNet18(nn.Module):
    """The encoder.

    Args:
      width: channel multiplier (`layers.scaled`); 1 is the published network.
      momentum: what the running statistics keep of themselves per training step.
      dtype: compute type; parameters are float32.
    """

    width: float = 1.0
    momentum: float = MOMENTUM
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, spectrograms: jax.Array, *, train: bool = False
    ) -> EncoderOutput:
        """Encodes spectrograms.

        Args:
          spectrograms: [B, F, n, 1] floats, F frequency bins (257 in paper 1) by n columns; or
            images [B, H, W, C], whose channels give the first kernel its own.
          train: whether batch statistics are the batch's own.

        Returns:
          stage3 [B, F/16, n/16, 256·width] and features [B, 512·width], float32.

        Raises:
          ValueError: if the spectrograms are of another rank or empty.
        """
        check_input("spectrograms", spectrograms, (None,) * 4, LEAST)
        shared = {
            "width": self.width,
            "momentum": self.momentum,
            "dtype": self.dtype,
        }
        x = ConvNorm(
            scaled(64, self.width),
            (7, 7),
            (2, 2),
            (3, 3),
            momentum=self.momentum,
            dtype=self.dtype,
            name="stem",
        )(spectrograms.astype(self.dtype), train=train)  # [B, F/2, n/2, 64]
        x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))  # [B, F/4, n/4, 64]
        for stage in (1, 2, 3):
            x = ResNetStage(stage, name=f"stage{stage}", **shared)(
                x, train=train
            )  # [B, F', n', C]
        last = ResNetStage(4, name="stage4", **shared)
        return EncoderOutput(stage3=x, features=global_mean(last(x, train=train)))
