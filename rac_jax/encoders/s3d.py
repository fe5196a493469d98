"""S3D, the sight encoder of paper 1: Xie et al., "Rethinking spatiotemporal feature learning" (2018).

An Inception network whose 3-D convolutions are factored into one over space and one over time.
Layer names are the published ones (1a to 5c). Out come the features after Mixed_4f, which the
stride module starts from, and the pooled 1024 features after Mixed_5c: paper 1's text says
512, but the network it names is 1024 wide. Differences from the published classifier: features
are pooled over all of time and space at once, and there is no classification layer.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import (
    ConvNorm,
    EncoderOutput,
    FactoredConv,
    check_input,
    scaled,
)
from rac_jax.ops.pooling import global_mean, max_pool

EPSILON = 1e-3  # of batch normalisation, in the published weights
MOMENTUM = 0.999  # 1 − 0.001, with which the published weights were trained

# Channels of the four branches: pointwise; reduced, then 3x3x3; the same; after pooling.
MIXED = {
    "mixed_3b": (64, (96, 128), (16, 32), 32),
    "mixed_3c": (128, (128, 192), (32, 96), 64),
    "mixed_4b": (192, (96, 208), (16, 48), 64),
    "mixed_4c": (160, (112, 224), (24, 64), 64),
    "mixed_4d": (128, (128, 256), (24, 64), 64),
    "mixed_4e": (112, (144, 288), (32, 64), 64),
    "mixed_4f": (256, (160, 320), (32, 128), 128),
    "mixed_5b": (256, (160, 320), (32, 128), 128),
    "mixed_5c": (384, (192, 384), (48, 128), 128),
}
LEAST = (1, 5, 17, 17, 3)  # the smallest clip that leaves something after every pool
EXAMPLE = (1, 8, 32, 32, 3)  # an input for `init`; variables do not depend on its size


class Mixed(nn.Module):
    """One Inception block: four branches side by side, concatenated.

    `branches` is an entry of `MIXED`.
    """

    branches: tuple
    width: float = 1.0
    momentum: float = MOMENTUM
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        shared = {"momentum": self.momentum, "epsilon": EPSILON, "dtype": self.dtype}

        def pointwise(x, channels, name):
            layer = ConvNorm(
                scaled(channels, self.width),
                (1, 1, 1),
                (1, 1, 1),
                (0, 0, 0),
                name=name,
                **shared,
            )
            return layer(x, train=train)

        def factored(x, channels, name):
            channels = scaled(channels, self.width)
            layer = FactoredConv(channels, channels, (3, 3), name=name, **shared)
            return layer(x, train=train)

        single, double, other, pooled = self.branches
        y0 = pointwise(x, single, "branch0")
        y1 = pointwise(x, double[0], "branch1_reduce")
        y1 = factored(y1, double[1], "branch1")
        y2 = pointwise(x, other[0], "branch2_reduce")
        y2 = factored(y2, other[1], "branch2")
        y3 = max_pool(x, (3, 3, 3), (1, 1, 1), ((1, 1), (1, 1), (1, 1)))
        y3 = pointwise(y3, pooled, "branch3")
        return jnp.concatenate([y0, y1, y2, y3], axis=-1)  # [B, T, H, W, C]


class S3DStage4(nn.Module):
    """The last part, from the features after Mixed_4f on: the last max-pool, Mixed_5b, Mixed_5c."""

    width: float = 1.0
    momentum: float = MOMENTUM
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = max_pool(x, (2, 2, 2), (2, 2, 2), ((0, 0),) * 3)  # [B, T', H', W', C]
        for name in ("mixed_5b", "mixed_5c"):
            x = Mixed(MIXED[name], self.width, self.momentum, self.dtype, name=name)(
                x, train=train
            )
        return x  # [B, T', H', W', C']


class S3D(nn.Module):
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
    def __call__(self, clips: jax.Array, *, train: bool = False) -> EncoderOutput:
        """Encodes clips.

        Args:
          clips: [B, T, H, W, 3] normalised floats, T >= 5, H and W >= 17.
          train: whether batch statistics are the batch's own.

        Returns:
          stage3 [B, ceil(T/4)..., 832·width] and features [B, 1024·width], float32.

        Raises:
          ValueError: if the clips are of another rank, too small or empty.
        """
        check_input("clips", clips, (None, None, None, None, 3), LEAST)
        shared = {"momentum": self.momentum, "epsilon": EPSILON, "dtype": self.dtype}

        def spatial_pool(x):
            return max_pool(x, (1, 3, 3), (1, 2, 2), ((0, 0), (1, 1), (1, 1)))

        def mixed(x, name):
            layer = Mixed(MIXED[name], self.width, self.momentum, self.dtype, name=name)
            return layer(x, train=train)

        x = clips.astype(self.dtype)
        channels = scaled(64, self.width)
        x = FactoredConv(channels, channels, (7, 7), (2, 2), name="conv_1a", **shared)(
            x, train=train
        )  # [B, T/2, H/2, W/2, 64]
        x = spatial_pool(x)  # [B, T/2, H/4, W/4, 64]
        x = ConvNorm(
            channels, (1, 1, 1), (1, 1, 1), (0, 0, 0), name="conv_2b", **shared
        )(x, train=train)
        channels = scaled(192, self.width)
        x = FactoredConv(channels, channels, (3, 3), name="conv_2c", **shared)(
            x, train=train
        )  # [B, T/2, H/4, W/4, 192]
        x = spatial_pool(x)  # [B, T/2, H/8, W/8, 192]
        for name in ("mixed_3b", "mixed_3c"):
            x = mixed(x, name)
        x = max_pool(
            x, (3, 3, 3), (2, 2, 2), ((1, 1),) * 3
        )  # [B, T/4, H/16, W/16, 480]
        for name in ("mixed_4b", "mixed_4c", "mixed_4d", "mixed_4e", "mixed_4f"):
            x = mixed(x, name)  # [B, T/4, H/16, W/16, 832]
        last = S3DStage4(self.width, self.momentum, self.dtype, name="stage4")
        return EncoderOutput(stage3=x, features=global_mean(last(x, train=train)))
