"""Layers that the encoders share: bias-free convolutions, batch statistics, factored blocks.

Every layer has one weight named `kernel`, [taps..., in, out]; batch statistics are `scale` and
`bias` (parameters) with `mean` and `var` (running). Parameters and statistics are float32,
convolutions compute in `dtype`, statistics always in float32.
"""

from collections.abc import Sequence

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from rac_jax.ops import batch_norm, conv

# He et al. (2015), as PyTorch's ResNets start: variance 2 / (taps · out).
kernel_initialiser = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
HEAD_SCALE = 0.01  # standard deviation of a head's first weights
TABLE_SCALE = 0.02  # the same of a table of biases


@flax.struct.dataclass
class EncoderOutput:
    """What an encoder sees in a clip or a spectrogram."""

    stage3: jax.Array  # [B, *space, C] features before the last stage
    features: jax.Array  # [B, C] pooled features after it, float32


def scaled(channels: int, width: float) -> int:
    """Channels of a narrower or wider network.

    Args:
      channels: of the published network.
      width: multiplier above 0; 1 keeps `channels` exactly.

    Returns:
      channels · width rounded to a multiple of 4 (halves up), at least 4.
    """
    if width <= 0:
        raise ValueError(f"width {width} must be above 0")
    if width == 1:
        return channels
    return max(4, 4 * int(channels * width / 4 + 0.5))


def check_input(
    name: str, x: jax.Array, axes: Sequence[int | None], least: Sequence[int]
) -> None:
    """Checks a network's input.

    Args:
      name: of the input, for the message.
      x: the input.
      axes: its shape, None where any size goes.
      least: the smallest size of every axis.

    Raises:
      ValueError: if the rank, a fixed axis or a smallest size is not kept.
    """
    wanted = ", ".join(
        f">={low}" if size is None else str(size)
        for size, low in zip(axes, least, strict=True)
    )
    fits = len(x.shape) == len(axes) and all(
        have >= low and size in (None, have)
        for have, size, low in zip(x.shape, axes, least, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} is {list(x.shape)}, must be [{wanted}]")


class Conv(nn.Module):
    """A convolution without bias over images [B, H, W, C] or clips [B, T, H, W, C].

    `padding` is the number of zeros at both ends of each axis.
    """

    channels: int
    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, scale: jax.Array | None = None) -> jax.Array:
        """Convolves, with every output channel times `scale` [O] if that is given.

        The scale goes into the kernel on accelerators, which then convolve and shift in one
        kernel; on CPU the shift's pass over the output multiplies for nothing, where scaling
        the kernel anew in every call does not.
        """
        shape = (*self.size, x.shape[-1], self.channels)
        kernel = self.param("kernel", kernel_initialiser, shape, jnp.float32)
        function = conv.conv_video if len(self.size) == 3 else conv.conv_image
        padding = tuple((pad, pad) for pad in self.padding)

        def convolve(x, kernel):
            return function(
                x.astype(self.dtype), kernel.astype(self.dtype), self.strides, padding
            )

        if scale is not None:
            return jax.lax.platform_dependent(
                x,
                kernel,
                scale,
                cpu=lambda x, kernel, scale: (convolve(x, kernel) * scale).astype(
                    self.dtype
                ),
                default=lambda x, kernel, scale: convolve(x, kernel * scale),
            )
        return checkpoint_name(convolve(x, kernel), conv.CONVOLVED)


class BiasConv(nn.Module):
    """A convolution of images with a bias.

    `size`, `stride` and `padding` (zeros at each end) are of both axes, or a pair of numbers.
    """

    channels: int
    size: int | tuple[int, int]
    stride: int | tuple[int, int]
    padding: int | tuple[int, int]
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, D] to [B, H', W', C] of the compute type."""
        shape = [
            n if isinstance(n, tuple) else (n, n)
            for n in (self.size, self.stride, self.padding)
        ]
        y = Conv(self.channels, *shape, self.dtype, name="conv")(x)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)
        return (y + bias.reshape(1, 1, 1, -1)).astype(self.dtype)


class TemporalConv(nn.Module):
    """A convolution of clips across time and places whose frames lie apart, with a bias.

    Computed as one of images that have the channels of all its frames, for which the lowerings
    are better than for dilated convolutions of clips.

    Attributes:
      channels: of the result.
      places: rows and columns that it sees, an odd number.
      taps: frames that it sees, an odd number.
      dilation: from one of them to the next.
      dtype: compute type.
    """

    channels: int
    places: int = 3
    taps: int = 3
    dilation: int = 3
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, T, H, W, D] to [B, T, H, W, C]; beyond the ends are zeros."""
        batch, frames, *space, wide = x.shape
        shape = (self.taps, self.places, self.places, wide, self.channels)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        reach = self.dilation * (self.taps // 2)
        padded = jnp.pad(x, ((0, 0), (reach, reach), (0, 0), (0, 0), (0, 0)))
        starts = range(0, 2 * reach + 1, self.dilation)
        together = jnp.concatenate([padded[:, s : s + frames] for s in starts], axis=-1)
        images = together.reshape(batch * frames, *space, self.taps * wide)
        # [rows, columns, taps · D, C]
        flat = jnp.moveaxis(kernel, 0, 2).reshape(
            self.places, self.places, self.taps * wide, self.channels
        )
        half = self.places // 2
        y = conv.conv_image(
            images.astype(self.dtype),
            flat.astype(self.dtype),
            (1, 1),
            ((half, half), (half, half)),
        )
        y = y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
        return y.reshape(batch, frames, *space, self.channels)


class BatchNorm(nn.Module):
    """Batch normalisation whose running statistics can also be had as one scale and shift.

    Flax's own gives its result only, so that a convolution before it cannot take it in. Means
    and variances are those of Flax: the running variance is the batch's biased one, where
    PyTorch keeps the unbiased one; they differ by 1 / (batch · positions).

    Attributes:
      channels: C.
      momentum: what the running statistics keep of themselves per training step; 0.9 is
        PyTorch's default 0.1 the other way round.
      epsilon: added to variances.
      dtype: type of the result; statistics are computed in float32.
    """

    channels: int
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: str = "float32"

    def setup(self):
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        shape = (self.channels,)
        self.scale = self.param("scale", ones, shape, jnp.float32)
        self.bias = self.param("bias", zeros, shape, jnp.float32)
        self.mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        self.var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)

    def running(self) -> tuple[jax.Array, jax.Array]:
        """(scale [C], shift [C]): x · scale + shift is x normalised by the running statistics."""
        scale = self.scale * jax.lax.rsqrt(self.var.value + self.epsilon)
        return scale, self.bias - self.mean.value * scale

    def then_relu(self, x: jax.Array, *, train: bool) -> jax.Array:
        """ReLU of [..., C] normalised by the batch's statistics in training, else the running ones.

        Returns:
          [..., C]; by the running statistics in float32.
        """
        if train:
            return self(x, relu=True)
        shape = (1,) * (x.ndim - 1) + (self.channels,)
        scale, shift = (one.reshape(shape) for one in self.running())
        return nn.relu(x * scale + shift)

    def __call__(self, x: jax.Array, relu: bool = False) -> jax.Array:
        """Normalises [..., C] by the statistics of the batch, and updates the running ones."""
        out, mean, var = batch_norm.batch_norm(
            x, self.scale, self.bias, self.epsilon, relu, self.dtype
        )
        if not self.is_initializing() and self.is_mutable_collection("batch_stats"):
            keep = self.momentum
            self.mean.value = keep * self.mean.value + (1 - keep) * mean
            self.var.value = keep * self.var.value + (1 - keep) * var
        return out


def normalised(norm: BatchNorm, x: jax.Array, *, train: bool) -> jax.Array:
    """[..., C] normalised by the batch's statistics in training, else by the running ones."""
    if train:
        return norm(x)
    shape = (1,) * (x.ndim - 1) + (norm.channels,)
    scale, shift = (one.reshape(shape) for one in norm.running())
    return (x * scale + shift).astype(norm.dtype)


class ConvNorm(nn.Module):
    """Convolution, batch normalisation and, unless told otherwise, ReLU.

    At inference the normalisation is folded into the convolution's kernel and a shift.
    """

    channels: int
    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    relu: bool = True
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: str = "float32"

    def setup(self):
        self.conv = Conv(
            self.channels, self.size, self.strides, self.padding, self.dtype
        )
        self.norm = BatchNorm(self.channels, self.momentum, self.epsilon, self.dtype)

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if train:
            return self.norm(self.conv(x), self.relu)
        scale, shift = self.norm.running()
        x = (self.conv(x, scale) + shift).astype(self.dtype)
        return nn.relu(x) if self.relu else x


class FactoredConv(nn.Module):
    """A convolution over space, then one over time, each with batch normalisation.

    `size` and `stride` are (of time, of space); `middle` are the channels between the two. The
    first is followed by ReLU, the second unless `relu` is False.
    """

    channels: int
    middle: int
    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    relu: bool = True
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        frames, side = self.size
        frame_stride, side_stride = self.stride
        shared = {
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "dtype": self.dtype,
        }
        x = ConvNorm(
            self.middle,
            (1, side, side),
            (1, side_stride, side_stride),
            (0, side // 2, side // 2),
            name="spatial",
            **shared,
        )(x, train=train)  # [B, T, H', W', M]
        return ConvNorm(
            self.channels,
            (frames, 1, 1),
            (frame_stride, 1, 1),
            (frames // 2, 0, 0),
            relu=self.relu,
            name="temporal",
            **shared,
        )(x, train=train)  # [B, T', H', W', C]


def head(units: int, name: str | None = None) -> nn.Dense:
    """A fully connected layer in float32 that starts near zero."""
    return nn.Dense(
        units,
        kernel_init=nn.initializers.normal(HEAD_SCALE),
        precision=jax.lax.Precision.HIGHEST,
        dtype=jnp.float32,
        name=name,
    )
