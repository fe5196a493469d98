"""I3D, the inflated Inception of frames: Carreira and Zisserman, "Quo vadis, action recognition?"
(2017).

Paper 3's end-to-end baseline. Layers have the published names (1a to 5c). Padding is TensorFlow's:
as few zeros as give ceil(size / stride) places, the odd one after, also before the maxima. Pixels
are those of the published weights, -1 to 1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rac_jax.encoders.inverted_residuals import zeros_around
from rac_jax.encoders.layers import ConvNorm, EncoderOutput, check_input, scaled
from rac_jax.encoders.s3d import MIXED
from rac_jax.ops.pooling import max_pool

EPSILON = 1e-3  # of batch normalisation, in the published weights
LEAST = (1, 1, 1, 1, 3)
EXAMPLE = (1, 8, 32, 32, 3)  # an input for `init`
# Stages of the network, what follows which maximum: (window, stride) of it over time and space.
STAGES = (
    ((1, 3), (1, 2), ("conv_2b", "conv_2c")),
    ((1, 3), (1, 2), ("mixed_3b", "mixed_3c")),
    ((3, 3), (2, 2), ("mixed_4b", "mixed_4c", "mixed_4d", "mixed_4e", "mixed_4f")),
    ((2, 2), (2, 2), ("mixed_5b", "mixed_5c")),
)
# (channels, taps of all three axes) of the layers that are no Inception blocks.
SINGLE = {"conv_2b": (64, 1), "conv_2c": (192, 3)}
SEEN = 2  # frames of the last features that the published classifier sees at once


def same(shape: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...]):
    """TensorFlow's zeros before and after time, height and width of [B, T, H, W, C]."""
    return tuple(
        zeros_around(length, taps, stride, "same")
        for length, taps, stride in zip(shape[1:4], size, strides, strict=True)
    )


class InflatedMixed(nn.Module):
    """One Inception block: four branches side by side.

    Attributes:
      branches: an entry of `MIXED`.
      width: multiplier of channels.
      dtype: compute type.
    """

    branches: tuple
    width: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, T, H, W, C] to [B, T, H, W, C']."""

        def layer(x, channels, taps, name):
            convolution = ConvNorm(
                scaled(channels, self.width),
                (taps,) * 3,
                (1,) * 3,
                (taps // 2,) * 3,
                epsilon=EPSILON,
                dtype=self.dtype,
                name=name,
            )
            return convolution(x, train=train)

        single, double, other, pooled = self.branches
        y0 = layer(x, single, 1, "branch0")
        y1 = layer(x, double[0], 1, "branch1_reduce")
        y1 = layer(y1, double[1], 3, "branch1")
        y2 = layer(x, other[0], 1, "branch2_reduce")
        y2 = layer(y2, other[1], 3, "branch2")
        y3 = max_pool(x, (3, 3, 3), (1, 1, 1), ((1, 1),) * 3)
        y3 = layer(y3, pooled, 1, "branch3")
        return jnp.concatenate([y0, y1, y2, y3], axis=-1)


class I3D(nn.Module):
    """The encoder.

    Args:
      width: multiplier of channels; 1 is the published network's.
      dtype: compute type; parameters are float32.
    """

    width: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, clips: jax.Array, *, train: bool = False) -> EncoderOutput:
        """Encodes clips.

        Args:
          clips: [B, T, H, W, 3] floats, -1 to 1, of any size.
          train: whether batch statistics are the batch's own.

        Returns:
          stage3 [B, ceil(T/4)..., 832·width] and features [B, 1024·width] of what the published
          classifier averages: means over space and two frames at a time, over time. float32.

        Raises:
          ValueError: for clips of another rank, or empty ones.
        """
        check_input("clips", clips, (None, None, None, None, 3), LEAST)

        def convolve(x, channels, taps, stride, name):
            sizes, strides = (taps,) * 3, (stride,) * 3
            if stride > 1:
                around = same(x.shape, sizes, strides)
                x = jnp.pad(x, ((0, 0), *around, (0, 0)))
            layer = ConvNorm(
                scaled(channels, self.width),
                sizes,
                strides,
                (0 if stride > 1 else taps // 2,) * 3,
                epsilon=EPSILON,
                dtype=self.dtype,
                name=name,
            )
            return layer(x, train=train)

        x = clips.astype(self.dtype)
        x = convolve(x, 64, 7, 2, "conv_1a")  # [B, T/2, H/2, W/2, 64]
        for window, stride, names in STAGES:
            before = x
            sizes, strides = (window[0], *window[1:] * 2), (stride[0], *stride[1:] * 2)
            # Zeros would do as minus infinity does: nothing is below zero here.
            x = max_pool(x, sizes, strides, same(x.shape, sizes, strides))
            for name in names:
                if name in SINGLE:
                    x = convolve(x, *SINGLE[name], 1, name)
                else:
                    block = InflatedMixed(
                        MIXED[name], self.width, self.dtype, name=name
                    )
                    x = block(x, train=train)
        seen = jnp.mean(x, axis=(2, 3), dtype=jnp.float32)  # [B, T/8, C]
        if seen.shape[1] >= SEEN:
            seen = (seen[:, 1:] + seen[:, :-1]) / SEEN
        return EncoderOutput(stage3=before, features=jnp.mean(seen, axis=1))
