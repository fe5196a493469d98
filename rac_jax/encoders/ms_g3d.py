"""MS-G3D, a network of skeletons: Liu et al., "Disentangling and Unifying Graph Convolutions for
Skeleton-Based Action Recognition" (2020), as released.

Three stages. Each adds three ways to see the skeleton: sums over joints that are 0, 1, 2, ... hops
away, followed by two convolutions over time, and twice a graph of all joints of a window of three
or five frames. The second and the third stage leave every second frame out.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import BatchNorm, BiasConv, normalised, scaled
from rac_jax.encoders.skeleton_graphs import adjacency, scale_matrices, window_graph
from rac_jax.encoders.skeleton_layers import (
    OverTime,
    SkeletonEncoder,
    example_shape,
    windows,
)
from rac_jax.ops.skeletons import Layout

STAGES = ((96, 1), (192, 2), (384, 2))  # (channels, stride in time)
WINDOWS = (3, 5)  # frames
# Of the branches over time; there are two more: a maximum, and one frame.
DILATIONS = (1, 2, 3, 4)
BRANCHES = len(DILATIONS) + 2


class MultiScaleGraph(nn.Module):
    """A sum over joints at several distances, then a mixture of their channels.

    Attributes:
      channels: C' of the result.
      dtype: compute type.
    """

    channels: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, scales: np.ndarray, *, train: bool) -> jax.Array:
        """[N, T, V, C] to [N, T, V, C'], by joints [K, V, V]."""
        number, joints = scales.shape[:2]
        # A learned correction of the graph; the authors draw it within 1e-6 of zero.
        shape = (number * joints, joints)
        correction = self.param("bias", nn.initializers.zeros, shape)
        edges = (scales + correction.reshape(scales.shape)).astype(self.dtype)
        y = jnp.einsum("kvu,ntuc->ntvkc", edges, x.astype(self.dtype))
        y = y.reshape(*y.shape[:3], -1)  # [N, T, V, K C]
        y = BiasConv(self.channels, 1, 1, 0, self.dtype, name="mix")(y)
        norm = BatchNorm(self.channels, dtype=self.dtype, name="norm")
        return nn.relu(normalised(norm, y, train=train))


class WindowGraph(nn.Module):
    """A graph of all joints of a window of frames, whose frames are then joined.

    Attributes:
      channels: C' of the result.
      frames: of a window.
      stride: from one window to the next.
      first: whether the graph itself changes the channels, as in the first stage.
      dtype: compute type.
    """

    channels: int
    frames: int
    stride: int
    first: bool
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, scales: np.ndarray, *, train: bool) -> jax.Array:
        """[N, T, V, C] to [N, ceil(T / stride), V, C'], by joints [K, W V, W V]."""
        wide, joints = x.shape[-1], x.shape[2]
        seen = windows(x, self.frames, stride=self.stride)
        y = jnp.concatenate(seen, axis=2)  # [N, T', W·V, C]
        inner = self.channels if self.first else wide
        graph = MultiScaleGraph(inner, self.dtype, name="graph")
        y = graph(y, scales, train=train)
        y = y.reshape(*y.shape[:2], self.frames, joints, inner)  # [N, T', W, V, C]
        he = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        shape = (1, self.frames, 1, inner, self.channels)
        kernel = self.param("kernel", he, shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)
        y = jnp.einsum("ntwvc,wcd->ntvd", y, kernel[0, :, 0])  # [N, T', V, C']
        y = y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
        norm = BatchNorm(self.channels, dtype=self.dtype, name="norm")
        return normalised(norm, y, train=train)


class MultiScaleTime(nn.Module):
    """Six branches over time, side by side, added to what came in.

    Attributes:
      channels: C', a multiple of 6.
      stride: in time.
      relu: whether ReLU follows.
      dtype: compute type.
    """

    channels: int
    stride: int = 1
    relu: bool = True
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[N, T, V, C] to [N, ceil(T / stride), V, C']."""
        own, dtype = self.channels // BRANCHES, self.dtype

        def norm(y, name, channels=own):
            layer = BatchNorm(channels, dtype=dtype, name=name)
            return normalised(layer, y, train=train)

        branches = []
        for branch in range(BRANCHES):
            name, last = f"branch{branch}", branch == BRANCHES - 1
            stride = (self.stride if last else 1, 1)
            y = BiasConv(own, 1, stride, 0, dtype, name=f"{name}_reduce")(x)
            y = norm(y, f"{name}_norm1")
            if branch < len(DILATIONS):
                layer = OverTime(
                    own, DILATIONS[branch], self.stride, dtype, name=f"{name}_time"
                )
                y = norm(layer(nn.relu(y)), f"{name}_norm2")
            elif not last:
                # After ReLU the zeros beyond the ends are never the largest.
                seen = windows(nn.relu(y), 3, stride=self.stride)
                y = norm(jnp.max(jnp.stack(seen), axis=0), f"{name}_norm2")
            branches.append(y)
        y = jnp.concatenate(branches, axis=-1)  # [N, T', V, C']
        if x.shape[-1] != self.channels or self.stride > 1:
            stride = (self.stride, 1)
            x = BiasConv(self.channels, 1, stride, 0, dtype, name="residual")(x)
            x = norm(x, "residual_norm", self.channels)
        return nn.relu(y + x) if self.relu else y + x


class MSG3D(SkeletonEncoder):
    """The encoder; see `SkeletonEncoder` for what is not here.

    Args:
      scales: distances over which joints are summed, from 0 hops on; 8 and 8 on Kinetics.
      window_scales: the same within windows of frames.
      people: M; how joints are normalised at the input depends on it. 2 on Kinetics.
    """

    scales: int = 8
    window_scales: int = 8
    people: int = 1

    def look(self, x: jax.Array, layout: Layout, *, train: bool) -> jax.Array:
        """What the blocks see."""
        neighbours = adjacency(layout)
        near = scale_matrices(neighbours, self.scales)
        across = {
            size: scale_matrices(window_graph(neighbours, size), self.window_scales)
            for size in WINDOWS
        }
        for place, (published, stride) in enumerate(STAGES):
            # Six branches share the channels.
            channels = BRANCHES * scaled(published // BRANCHES, self.width)
            lead = f"stage{place}"

            def over_time(name, lead=lead, channels=channels, stride=1, relu=True):
                return MultiScaleTime(
                    channels,
                    stride,
                    relu=relu,
                    dtype=self.dtype,
                    name=f"{lead}_{name}",
                )

            inner = channels if place == 0 else x.shape[-1]
            graph = MultiScaleGraph(inner, self.dtype, name=f"{lead}_graph")
            y = graph(x, near, train=train)
            y = over_time("time1", stride=stride)(y, train=train)
            y = over_time("time2", relu=False)(y, train=train)
            for size in WINDOWS:
                window = WindowGraph(
                    channels,
                    size,
                    stride,
                    place == 0,
                    self.dtype,
                    name=f"{lead}_window{size}",
                )
                y = y + window(x, across[size], train=train)
            x = over_time("time3")(nn.relu(y), train=train)
        return x


def EXAMPLE(network: MSG3D) -> tuple[int, ...]:
    """The shape of an input for `init`."""
    return example_shape(network.layout, network.people)
