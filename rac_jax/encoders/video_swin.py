"""Video Swin Transformer (Liu et al., CVPR 2022): attention within windows of a clip that shift.

As mmaction and torchvision have it. Where a clip is smaller than the window the window shrinks to it
and does not shift along that axis. The relative positions are then looked up by the first rows and
columns of the whole window's table: right where only time is shorter, since time changes slowest;
for fewer rows or columns of a picture than a window has it is not, in neither of the two, and
published weights were trained so.
"""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.encoders.layers import TABLE_SCALE, check_input

CHANNELS = 96  # of the first stage; each later one has twice as many
DEPTHS = (2, 2, 6, 2)
HEADS = (3, 6, 12, 24)
PATCH = (2, 4, 4)
WINDOW = (8, 7, 7)
MLP = 4  # times as many channels
DROP_PATH = 0.1  # of the last block; those before it drop less
EPSILON = 1e-5
MASKED = -100.0  # added to scores of pairs that are apart
LEAST = (1, 1, 4, 4, 3)  # the smallest clip
EXAMPLE = (1, 2, 32, 32, 3)  # an input for `init`

Size = tuple[int, int, int]


@functools.cache
def relative_index(window: Size) -> np.ndarray:
    """Row of the bias table for each pair of a window's places: int [M, M]."""
    places = np.array(list(itertools.product(*map(range, window))))  # [M, 3]
    apart = places[:, None] - places[None] + np.array(window) - 1  # [M, M, 3]
    wide = 2 * np.array(window) - 1
    return (apart[..., 0] * wide[1] + apart[..., 1]) * wide[2] + apart[..., 2]


def shrunk(shape: Size, window: Size, shift: Size) -> tuple[Size, Size]:
    """The window and the shift for features of a shape (T, H, W)."""
    sizes, shifts = [], []
    for have, size, moved in zip(shape, window, shift, strict=True):
        sizes.append(min(have, size))
        shifts.append(moved if have > size else 0)
    return tuple(sizes), tuple(shifts)


def partition(x: np.ndarray | jax.Array, window: Size) -> np.ndarray | jax.Array:
    """[B, T, H, W, C] to [B, windows, M, C]; axes are multiples of the window's."""
    batch, *shape, channels = x.shape
    cut = [n // size for n, size in zip(shape, window, strict=True)]
    pairs = [n for pair in zip(cut, window, strict=True) for n in pair]
    x = x.reshape(batch, *pairs, channels).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(batch, int(np.prod(cut)), int(np.prod(window)), channels)


def joined(x: jax.Array, window: Size, shape: Size) -> jax.Array:
    """The inverse of `partition`, to [B, *shape, C]."""
    batch, channels = len(x), x.shape[-1]
    cut = [n // size for n, size in zip(shape, window, strict=True)]
    x = x.reshape(batch, *cut, *window, channels).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(batch, *shape, channels)


@functools.cache
def shift_parts(shape: Size, window: Size, shift: Size) -> np.ndarray | None:
    """Parts that a shift brings together in a window: int [windows, M], None without a shift.

    Places of different parts do not see each other. A mask for every pair would be a constant
    of 78 MB in the first stage of a clip of 32 x 224 x 224; these are 0.2 MB.
    """
    if not any(shift):
        return None
    regions = np.zeros((1, *shape, 1), np.int64)
    for axis, (size, moved) in enumerate(zip(window, shift, strict=True)):
        place = np.arange(shape[axis])
        part = (place >= shape[axis] - size).astype(int)
        part += place >= shape[axis] - moved
        view = [1] * 5
        view[axis + 1] = shape[axis]
        regions = regions * 3 + part.reshape(view)
    return partition(regions, window)[0, :, :, 0].astype(np.int32)  # [windows, M]


class WindowAttention(nn.Module):
    """Attention within windows, with a learned bias per relative position and head."""

    heads: int
    window: Size
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, parts: np.ndarray | None) -> jax.Array:
        """[B, windows, M, C] likewise; `parts` [windows, M] are those of `shift_parts`."""
        batch, windows, places, wide = x.shape
        qkv = nn.Dense(3 * wide, dtype=self.dtype, name="qkv")(x)
        qkv = qkv.reshape(batch, windows, places, 3, self.heads, wide // self.heads)
        query, key, value = (qkv[:, :, :, part] for part in range(3))
        rows = int(np.prod(2 * np.array(self.window) - 1))
        table = self.param(
            "bias_table",
            nn.initializers.truncated_normal(TABLE_SCALE),
            (rows, self.heads),
        )
        index = relative_index(self.window)[:places, :places]
        bias = table.T[:, index]  # [heads, M, M]
        scores = jnp.einsum(
            "bwihc,bwjhc->bwhij", query, key, preferred_element_type=jnp.float32
        )
        scores = scores / np.sqrt(wide // self.heads) + bias[None, None]
        if parts is not None:
            # Compared where they are added: no array of pairs is kept.
            parts = jnp.asarray(parts)
            apart = parts[:, :, None] != parts[:, None]
            scores = scores + jnp.where(apart, MASKED, 0.0)[None, :, None]
        weights = jax.nn.softmax(scores).astype(self.dtype)
        mixed = jnp.einsum("bwhij,bwjhc->bwihc", weights, value)
        return nn.Dense(wide, dtype=self.dtype, name="out")(mixed.reshape(x.shape))


class Block(nn.Module):
    """Attention within windows and two dense layers, each normalised before and added.

    Args:
      heads: of the attention.
      window: frames, rows and columns of a window.
      shift: by which windows begin later.
      drop: probability that training leaves out what a part adds to an example.
      dtype: compute type.
    """

    heads: int
    window: Size
    shift: Size
    drop: float
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, T, H, W, C] likewise, float32."""

        def kept(y: jax.Array) -> jax.Array:
            # A part is left out of whole examples.
            return nn.Dropout(
                self.drop, broadcast_dims=(1, 2, 3, 4), deterministic=not train
            )(y.astype(jnp.float32))

        # Filled up to whole windows with zeros, after the normalisation.
        shape = x.shape[1:4]
        window, shift = shrunk(shape, self.window, self.shift)
        y = nn.LayerNorm(EPSILON, name="norm1")(x)
        more = [(0, -n % size) for n, size in zip(shape, window, strict=True)]
        y = jnp.pad(y, ((0, 0), *more, (0, 0))).astype(self.dtype)
        padded = y.shape[1:4]
        back = tuple(-moved for moved in shift)
        y = jnp.roll(y, back, (1, 2, 3)) if any(shift) else y
        attention = WindowAttention(
            self.heads, self.window, self.dtype, name="attention"
        )
        y = attention(partition(y, window), shift_parts(padded, window, shift))
        y = joined(y, window, padded)
        y = jnp.roll(y, shift, (1, 2, 3)) if any(shift) else y
        x = x + kept(y[:, : shape[0], : shape[1], : shape[2]])

        y = nn.LayerNorm(EPSILON, name="norm2")(x)
        wide = x.shape[-1]
        y = nn.Dense(MLP * wide, dtype=self.dtype, name="dense1")(y)
        y = nn.gelu(y, approximate=False)
        return x + kept(nn.Dense(wide, dtype=self.dtype, name="dense2")(y))


class PatchMerging(nn.Module):
    """Four neighbours of a frame become one place with twice the channels."""

    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, T, H, W, C] to [B, T, H / 2, W / 2, 2 C], halves up."""
        x = jnp.pad(x, ((0, 0), (0, 0), *((0, n % 2) for n in x.shape[2:4]), (0, 0)))
        # Down first, then right, as published.
        parts = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = nn.LayerNorm(EPSILON, name="norm")(jnp.concatenate(parts, axis=-1))
        dense = nn.Dense(
            x.shape[-1] // 2, use_bias=False, dtype=self.dtype, name="reduction"
        )
        return dense(x).astype(jnp.float32)


class Patches(nn.Module):
    """A convolution of patches that do not overlap: a matrix product of each."""

    channels: int
    patch: Size
    dtype: str = "float32"

    @nn.compact
    def __call__(self, clips: jax.Array) -> jax.Array:
        """[B, T, H, W, 3] to [B, t, h, w, C]; filled up to whole patches with zeros."""
        wide = clips.shape[-1]
        shape = (*self.patch, wide, self.channels)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        sizes = zip(clips.shape[1:4], self.patch, strict=True)
        more = [(0, -n % size) for n, size in sizes]
        x = jnp.pad(clips, ((0, 0), *more, (0, 0))).astype(self.dtype)
        batch, *padded, _ = x.shape
        cut = tuple(n // size for n, size in zip(padded, self.patch, strict=True))
        x = partition(x, self.patch).reshape(batch, *cut, -1)
        flat = kernel.astype(self.dtype).reshape(-1, self.channels)
        return x @ flat + bias.astype(self.dtype).reshape(1, 1, 1, 1, -1)


class VideoSwin(nn.Module):
    """The encoder, tiny: 28 million parameters at full width.

    Args:
      width: channel multiplier; a head keeps its 32 channels as long as that leaves whole heads
        (width 1 and 1/3), else it is narrower.
      depths: blocks of each stage.
      heads: of each stage at width 1; narrower networks have in proportion fewer, at least one
        in the first stage.
      patch: frames, rows and columns of a patch, in pixels.
      window: frames, rows and columns of a window, in places.
      drop_path: of the last block.
      dtype: compute type of matrix products; sums, softmax and normalisation are float32.
    """

    width: float = 1.0
    depths: tuple[int, ...] = DEPTHS
    heads: tuple[int, ...] = HEADS
    patch: Size = PATCH
    window: Size = WINDOW
    drop_path: float = DROP_PATH
    dtype: str = "float32"

    @nn.compact
    def __call__(self, clips: jax.Array, *, train: bool = False) -> jax.Array:
        """Encodes clips.

        Args:
          clips: [B, T, H, W, 3], normalised; any size from 4 x 4 pixels on.
          train: whether paths are dropped (a key for "dropout").

        Returns:
          [B, T / 2, H / 32, W / 32, 768 · width], all divisions rounded up, float32.

        Raises:
          ValueError: for clips of another shape, stages without heads, or heads that do not
            divide their channels.
        """
        check_input("clips", clips, (None, None, None, None, 3), LEAST)
        first = round(CHANNELS * self.width)
        if len(self.heads) < len(self.depths):
            raise ValueError(f"heads: {self.heads} are too few for {self.depths}")
        fewest = max(1, round(self.heads[0] * self.width))
        heads = [fewest * number // self.heads[0] for number in self.heads]
        for stage, number in enumerate(heads[: len(self.depths)]):
            if number < 1 or (first << stage) % number:
                raise ValueError(
                    f"width: {self.width} gives {first << stage} channels, {number} heads"
                )
        x = Patches(first, self.patch, self.dtype, name="patches")(clips)
        x = nn.LayerNorm(EPSILON, name="patches_norm")(x)  # [B, t, h, w, C]

        rates = np.linspace(0, self.drop_path, sum(self.depths)).tolist()
        half = tuple(size // 2 for size in self.window)
        for stage, depth in enumerate(self.depths):
            for place in range(depth):
                x = Block(
                    heads[stage],
                    self.window,
                    half if place % 2 else (0, 0, 0),
                    rates.pop(0),
                    self.dtype,
                    name=f"stage{stage + 1}_block{place}",
                )(x, train=train)
            if stage < len(self.depths) - 1:
                merge = PatchMerging(self.dtype, name=f"stage{stage + 1}_merge")
                x = merge(x)
        return nn.LayerNorm(EPSILON, name="norm")(x)
