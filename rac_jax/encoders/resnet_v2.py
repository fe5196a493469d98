"""ResNet-50 V2 as Keras has it: He et al., "Identity mappings in deep residual networks" (2016).

Where it differs from the paper and from PyTorch's ResNets: what a block is given is normalised
once, for the block and for the shortcut of a stage's first block; the stride is in the last block
of a stage, whose shortcut is every second pixel of what the block was given; the stem, the
shortcuts and each block's last convolution have a bias, the others none.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import (
    BatchNorm,
    BiasConv,
    ConvNorm,
    check_input,
    scaled,
)
from rac_jax.ops.pooling import max_pool

EPSILON = 1.001e-5
MOMENTUM = 0.99
# Blocks of each stage, and channels of their first two convolutions; the third has four times
# as many.
BLOCKS = (3, 4, 6, 3)
CHANNELS = (64, 128, 256, 512)
EXPANSION = 4
LEAST = (1, 8, 8, 3)  # the smallest image
EXAMPLE = (1, 32, 32, 3)  # an input for `init`


class Block(nn.Module):
    """Normalisation and ReLU, then 1x1, 3x3 and 1x1 convolutions beside a shortcut.

    Args:
      channels: of the first two convolutions.
      stride: of the 3x3 one.
      projects: whether the shortcut is a convolution of the normalised input.
      dtype: compute type.
    """

    channels: int
    stride: int
    projects: bool
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, C] to [B, H / stride, W / stride, 4 channels]."""
        shared = {"momentum": MOMENTUM, "epsilon": EPSILON, "dtype": self.dtype}
        norm = BatchNorm(x.shape[-1], name="norm", **shared)
        before = norm.then_relu(x, train=train).astype(self.dtype)

        if self.projects:
            wide = EXPANSION * self.channels
            shortcut = BiasConv(wide, 1, self.stride, 0, self.dtype, name="shortcut")(
                before
            )
        else:
            shortcut = x[:, :: self.stride, :: self.stride]
        one, three, step = (1, 1), (3, 3), (self.stride, self.stride)
        y = ConvNorm(self.channels, one, one, (0, 0), name="conv1", **shared)(
            before, train=train
        )
        y = ConvNorm(self.channels, three, step, one, name="conv2", **shared)(
            y, train=train
        )
        wide = EXPANSION * self.channels
        return shortcut + BiasConv(wide, 1, 1, 0, self.dtype, name="conv3")(y)


class ResNet50V2(nn.Module):
    """The encoder of single frames, as far as its blocks go.

    Args:
      width: channel multiplier (`layers.scaled`); 1 is the published network.
      blocks: of each stage, at most those of `BLOCKS`; a stage that is not whole keeps its
        resolution. RepNet uses (3, 4, 3), up to Keras' conv4_block3_out.
      dtype: compute type; parameters are float32.
    """

    width: float = 1.0
    blocks: tuple[int, ...] = BLOCKS
    dtype: str = "float32"

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        """Encodes images.

        Args:
          images: [B, H, W, 3] in [-1, 1], H and W at least 8.
          train: whether batch statistics are the batch's own.

        Returns:
          [B, h, w, C], before the normalisation that follows the last stage in a classifier;
          h = H / 16 and C = 1024 · width for RepNet's blocks.

        Raises:
          ValueError: for images of another shape, or more blocks than there are.
        """
        check_input("images", images, (None, None, None, 3), LEAST)
        whole = zip(self.blocks, BLOCKS, strict=False)
        if len(self.blocks) > len(BLOCKS) or any(n > most for n, most in whole):
            raise ValueError(f"blocks: {self.blocks} are more than {BLOCKS}")
        x = images.astype(self.dtype)
        stem = scaled(CHANNELS[0], self.width)
        x = BiasConv(stem, 7, 2, 3, self.dtype, name="stem")(x)  # [B, H/2, W/2, 64]
        # Keras pads with zeros, not with what can be no maximum.
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = max_pool(x, (3, 3), (2, 2), ((0, 0), (0, 0)))  # [B, H/4, W/4, 64]
        for stage, number in enumerate(self.blocks):
            channels = scaled(CHANNELS[stage], self.width)
            for place in range(number):
                last = place == BLOCKS[stage] - 1 and stage < len(BLOCKS) - 1
                block = Block(
                    channels,
                    2 if last else 1,
                    place == 0,
                    self.dtype,
                    name=f"stage{stage + 1}_block{place}",
                )
                x = block(x, train=train)
        return x
