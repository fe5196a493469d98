"""ResNet-50 as torchvision has it: He et al., "Deep residual learning" (2016), of pictures.

Blocks of 1x1, 3x3 and 1x1 convolutions, the stride in the 3x3 one. Out come the features after the
last stage that is asked for, as a map; there is no classification layer.
"""

import flax.linen as nn
import jax

from rac_jax.encoders.layers import ConvNorm, check_input, scaled
from rac_jax.ops.pooling import max_pool

# Blocks of each stage, and channels of their first two convolutions; the third has four times
# as many.
BLOCKS = (3, 4, 6, 3)
PLANES = (64, 128, 256, 512)
EXPANSION = 4
LEAST = (1, 8, 8, 1)
EXAMPLE = (1, 32, 32, 3)  # an input for `init`; variables do not depend on its size


class Bottleneck(nn.Module):
    """A residual block; a first block of a stage has a convolution in its shortcut."""

    channels: int
    stride: int
    projects: bool
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def layer(name: str, channels: int, size: int, stride: int, relu: bool):
            return ConvNorm(
                channels,
                (size, size),
                (stride, stride),
                (size // 2, size // 2),
                relu=relu,
                dtype=self.dtype,
                name=name,
            )

        wide = EXPANSION * self.channels
        y = layer("conv1", self.channels, 1, 1, True)(x, train=train)
        y = layer("conv2", self.channels, 3, self.stride, True)(y, train=train)
        y = layer("conv3", wide, 1, 1, False)(y, train=train)
        if self.projects:
            x = layer("downsample", wide, 1, self.stride, False)(x, train=train)
        return nn.relu(x + y)


class Stage(nn.Module):
    """One residual stage; all but the first halve the size."""

    stage: int
    width: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        channels = scaled(PLANES[self.stage - 1], self.width)
        for place in range(BLOCKS[self.stage - 1]):
            stride = 2 if place == 0 and self.stage > 1 else 1
            block = Bottleneck(
                channels, stride, place == 0, self.dtype, name=f"block{place}"
            )
            x = block(x, train=train)
        return x


class ResNet50(nn.Module):
    """The encoder.

    Args:
      width: channel multiplier (`layers.scaled`); 1 is the published network.
      stages: how many of the four there are.
      dtype: compute type; parameters are float32.
    """

    width: float = 1.0
    stages: int = 3
    dtype: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        """Encodes images.

        Args:
          images: [B, H, W, C] floats, normalised as its weights want them.
          train: whether batch statistics are the batch's own.

        Returns:
          [B, H/16, W/16, 1024·width] for three stages.

        Raises:
          ValueError: if the images are of another rank or too small.
        """
        check_input("images", images, (None, None, None, None), LEAST)
        x = ConvNorm(
            scaled(PLANES[0], self.width),
            (7, 7),
            (2, 2),
            (3, 3),
            dtype=self.dtype,
            name="stem",
        )(images.astype(self.dtype), train=train)  # [B, H/2, W/2, 64]
        x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))  # [B, H/4, W/4, 64]
        for stage in range(1, self.stages + 1):
            x = Stage(stage, self.width, self.dtype, name=f"stage{stage}")(
                x, train=train
            )  # [B, h, w, C]
        return x
