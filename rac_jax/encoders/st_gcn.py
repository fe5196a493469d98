"""ST-GCN, a network of skeletons: Yan et al., "Spatial Temporal Graph Convolutional Networks for
Skeleton-Based Action Recognition" (2018), as released.

Ten blocks, each a sum over neighbouring joints (three groups of them, with a learned importance of
every edge) and a convolution over nine frames; two of them leave every second frame out. Without
dropout, as in paper 3 (section 3.1.2).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import BatchNorm, BiasConv, normalised, scaled
from rac_jax.encoders.skeleton_graphs import spatial_partition
from rac_jax.encoders.skeleton_layers import (
    SkeletonEncoder,
    example_shape,
)
from rac_jax.ops.skeletons import Layout

# (channels, stride in time) of the blocks.
BLOCKS = (*[(64, 1)] * 4, (128, 2), *[(128, 1)] * 2, (256, 2), *[(256, 1)] * 2)
TAPS = 9  # frames of a convolution over time


class STGCNBlock(nn.Module):
    """One block.

    Attributes:
      channels: C' of the result.
      stride: in time.
      residual: whether what comes in is added.
      dtype: compute type.
    """

    channels: int
    stride: int = 1
    residual: bool = True
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: jax.Array, partition: np.ndarray, *, train: bool
    ) -> jax.Array:
        """[N, T, V, C] to [N, ceil(T / stride), V, C'], by neighbours [3, V, V]."""
        parts, dtype = len(partition), self.dtype

        def norm(name):
            return BatchNorm(self.channels, dtype=dtype, name=name)

        # The importance of every edge.
        importance = self.param("scale", nn.initializers.ones, partition.shape)
        edges = (partition * importance).astype(dtype)  # [3, V, V]
        y = BiasConv(parts * self.channels, 1, 1, 0, dtype, name="spatial")(x)
        y = y.reshape(*y.shape[:3], parts, self.channels)  # [N, T, V, 3, C']
        y = jnp.einsum("ntvkc,kvw->ntwc", y, edges)  # [N, T, V, C']
        y = nn.relu(normalised(norm("norm1"), y, train=train))
        y = BiasConv(
            self.channels,
            (TAPS, 1),
            (self.stride, 1),
            (TAPS // 2, 0),
            dtype,
            name="temporal",
        )(y)  # [N, T', V, C']
        y = normalised(norm("norm2"), y, train=train)
        if self.residual:
            if x.shape[-1] != self.channels or self.stride > 1:
                stride = (self.stride, 1)
                x = BiasConv(self.channels, 1, stride, 0, dtype, name="residual")(x)
                x = normalised(norm("residual_norm"), x, train=train)
            y = y + x
        return nn.relu(y)


class STGCN(SkeletonEncoder):
    """The encoder; see `SkeletonEncoder`."""

    def look(self, x: jax.Array, layout: Layout, *, train: bool) -> jax.Array:
        """What the blocks see."""
        partition = spatial_partition(layout)
        for place, (channels, stride) in enumerate(BLOCKS):
            x = STGCNBlock(
                scaled(channels, self.width),
                stride,
                place > 0,
                self.dtype,
                name=f"block{place}",
            )(x, partition, train=train)
        return x


def EXAMPLE(network: STGCN) -> tuple[int, ...]:
    """The shape of an input for `init`."""
    return example_shape(network.layout, 1)
