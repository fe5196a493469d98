"""What networks of skeletons share: their input, their output, and steps along time."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from rac_jax.encoders.layers import BatchNorm, check_input, normalised
from rac_jax.ops.skeletons import Layout, find_layout

STRIDE = 4  # frames per feature


@flax.struct.dataclass
class SkeletonOutput:
    """What a network sees in poses; all float32.

    Attributes:
      frames: [B, ceil(T / 4), C] means over joints and people; feature k is of the frames around
        4 k, of both sides.
      features: [B, C] their mean over time.
    """

    frames: jax.Array
    features: jax.Array


def check_poses(poses: jax.Array, layout: Layout, people: int | None) -> None:
    """Checks the input of a network.

    Raises:
      ValueError: for poses that are not [B, M, T, V, 3].
    """
    joints = len(layout.joints)
    axes, least = (None, people, None, joints, 3), (1, 1, 1, joints, 3)
    check_input("poses", poses, axes, least)


def example_shape(layout: str, people: int) -> tuple[int, ...]:
    """The shape of the smallest sensible poses of a layout."""
    return (1, people, 2 * STRIDE, len(find_layout(layout).joints), 3)


class SkeletonEncoder(nn.Module):
    """A network of skeletons: its input, normalised, its blocks, and means of what they see.

    A subclass has the blocks, in `look`.

    Args:
      layout: of the skeletons, of `rac_jax.ops.skeletons.LAYOUTS`.
      width: multiplier of channels; 1 is the published network's.
      dtype: compute type; parameters and statistics are float32.
    """

    layout: str = "blazepose-33"
    width: float = 1.0
    dtype: str = "float32"

    # M people whose joints are channels side by side, each normalised by itself; None for any
    # number of them, who are normalised as one.
    people = None

    def look(self, x: jax.Array, layout: Layout, *, train: bool) -> jax.Array:
        """[N, T, V, 3] of N people to [N, ceil(T / 4), V, C]."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, poses: jax.Array, *, train: bool = False) -> SkeletonOutput:
        """Encodes the poses of clips.

        Args:
          poses: [B, M, T, V, 3] of M people, see `rac_jax.ops.skeletons`; zeros where one is not
            seen.
          train: whether batches are normalised by their own statistics.

        Returns:
          Features of every fourth frame, and of all.

        Raises:
          ValueError: for poses of another shape, or an unknown layout.
        """
        layout = find_layout(self.layout)
        check_poses(poses, layout, self.people)
        batch, _, frames, joints, wide = poses.shape
        beside = self.people or 1
        x = poses.reshape(-1, beside, frames, joints, wide)
        x = jnp.moveaxis(x, 1, 2)  # [N / beside, T, beside, V, 3]
        side_by_side = x.shape
        norm = BatchNorm(beside * joints * wide, dtype=self.dtype, name="data_norm")
        x = normalised(norm, x.reshape(*x.shape[:2], -1), train=train)
        x = jnp.moveaxis(x.reshape(side_by_side), 2, 1)
        x = x.reshape(-1, frames, joints, wide)  # [N, T, V, 3]
        return skeleton_output(self.look(x, layout, train=train), batch)


def skeleton_output(x: jax.Array, batch: int) -> SkeletonOutput:
    """The output of what is seen in each person's joints [B · M, T', V, C]."""
    x = x.astype(jnp.float32).reshape(batch, -1, *x.shape[1:])  # [B, M, T', V, C]
    frames = jnp.mean(x, axis=(1, 3))  # [B, T', C]
    return SkeletonOutput(frames, jnp.mean(frames, axis=1))


def windows(
    x: jax.Array, taps: int, dilation: int = 1, stride: int = 1
) -> list[jax.Array]:
    """Frames around every `stride`-th frame, zeros beyond the ends.

    Args:
      x: [N, T, V, C].
      taps: frames of a window, an odd number; the one in the middle is the frame itself.
      dilation: from one of them to the next.
      stride: from one window to the next.

    Returns:
      `taps` arrays [N, ceil(T / stride), V, C], the oldest frames first.
    """
    reach = taps // 2 * dilation
    padded = jnp.pad(x, ((0, 0), (reach, reach), (0, 0), (0, 0)))
    length = x.shape[1]
    return [
        padded[:, first : first + length : stride]
        for first in range(0, taps * dilation, dilation)
    ]


class OverTime(nn.Module):
    """A convolution of three frames that lie apart, with a bias.

    Attributes:
      channels: C' of the result.
      dilation, stride: see `windows`.
      dtype: compute type.
    """

    channels: int
    dilation: int = 1
    stride: int = 1
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, T, V, C] to [N, ceil(T / stride), V, C']."""
        taps, wide = 3, x.shape[-1]
        he = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        kernel = self.param("kernel", he, (taps, 1, wide, self.channels), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)
        seen = windows(x.astype(self.dtype), taps, self.dilation, self.stride)
        together = jnp.concatenate(seen, axis=-1)  # [N, T', V, 3 C]
        flat = kernel.reshape(taps * wide, self.channels).astype(self.dtype)
        y = jnp.einsum("ntvc,cd->ntvd", together, flat)
        return y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
