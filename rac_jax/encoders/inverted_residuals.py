"""Inverted residual blocks, and where EfficientNet-Lite and MobileNetV2 have them.

Sandler et al., "MobileNetV2" (2018), and Tan and Le, "EfficientNet" (2019), in the Lite form:
ReLU6, no squeeze and excitation, first and last layers of a fixed width. A block is a 1x1
convolution that widens, a depthwise one, and a 1x1 one that narrows without a non-linearity.
Batch normalisation is folded into the convolutions: all of them have a bias. A network that
starts from nothing may have the normalisations themselves in place of the biases (`norm`).

Some blocks look back in time (paper 3, "Strided Inflated"): what widens sees three frames, the
newest last. Either all channels of all three ("inflated"), or in the light network a quarter of
the channels of the oldest, a quarter of the middle and half of the newest one ("sparse").
"""

import dataclasses
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from rac_jax.encoders.layers import BatchNorm
from rac_jax.ops import conv

SEEN = 3  # frames that an inflated convolution sees
STEM = 32
HEAD = 1280
EXPAND = 6
# First weights of what a residual block adds, as a variance beside He's: without a normalisation
# the sum of twenty blocks must not grow.
ADDED = 0.1
EPSILON = 1e-3  # of EfficientNet's batch normalisations
# Zeros around a picture: as many on both sides, or as few as give ceil(size / stride) places, the
# odd one after (TensorFlow's).
PADDINGS = ("symmetric", "same")

# (channels, depthwise taps, stride, blocks) of the stages; of EfficientNet-B0, and MobileNetV2.
EFFICIENTNET = (
    (16, 3, 1, 1),
    (24, 3, 2, 2),
    (40, 5, 2, 2),
    (80, 3, 2, 3),
    (112, 5, 1, 3),
    (192, 5, 2, 4),
    (320, 3, 1, 1),
)
MOBILENET = (
    (16, 3, 1, 1),
    (24, 3, 2, 2),
    (32, 3, 2, 3),
    (64, 3, 2, 4),
    (96, 3, 1, 3),
    (160, 3, 2, 3),
    (320, 3, 1, 1),
)
STAGES = {"efficientnet": EFFICIENTNET, "mobilenet": MOBILENET}
# Of which stage which blocks look back in time, and which of them leave every second frame: the
# published places, among so many blocks of the stage.
LOOKING_BACK = {
    "efficientnet": {
        1: (4, (1,)),
        2: (4, (1,)),
        3: (6, (1, 4)),
        4: (6, (1, 4)),
        5: (8, (1, 3)),
    },
    "mobilenet": {
        1: (2, (1,)),
        2: (3, (1,)),
        3: (4, (1, 3)),
        4: (3, (1, 2)),
        5: (3, (1, 2)),
    },
}
HALVING = {
    "efficientnet": ((2, 0), (3, 1)),  # (stage, which of its blocks that look back)
    "mobilenet": ((2, 0), (3, 1)),
}


@dataclasses.dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
      inputs: channels that come in.
      channels: that go out.
      taps: of the depthwise convolution, along each side.
      stride: of space.
      expand: how many times wider it is inside.
      looks_back: whether it sees three frames.
      halves: whether it leaves every second frame only.
    """

    inputs: int
    channels: int
    taps: int
    stride: int
    expand: int
    looks_back: bool = False
    halves: bool = False

    @property
    def adds(self) -> bool:
        """Whether what comes in is added to what goes out."""
        return self.stride == 1 and self.inputs == self.channels

    @property
    def past(self) -> int:
        """Frames of the past that it needs beside new ones."""
        if not self.looks_back:
            return 0
        return SEEN - (2 if self.halves else 1)


def rounded(channels: float) -> int:
    """Channels as the authors round them: to a multiple of 8, and never under nine tenths."""
    found = max(8, int(channels + 4) // 8 * 8)
    return found + 8 if found < 0.9 * channels else found


def make_blocks(
    kind: str, width: float, depth: float, *, temporal: bool
) -> tuple[Block, ...]:
    """The blocks of a network.

    Args:
      kind: of `STAGES`.
      width: multiplier of channels.
      depth: of the blocks of each stage but the first and the last, rounded up.
      temporal: whether some blocks look back in time.

    Returns:
      The blocks; at the published depth (1.8, and 1 of "mobilenet") those that look back are the
      published ones, at another depth as far into their stages.

    Raises:
      ValueError: for another kind, a multiplier that is not above 0, or a depth at which a stage
        has fewer blocks than are to look back.
    """
    if kind not in STAGES:
        raise ValueError(f"kind: {kind!r} is not one of {', '.join(STAGES)}")
    for name, value in (("width", width), ("depth", depth)):
        if not value > 0:
            raise ValueError(f"{name}: {value} is not above 0")
    found, inputs = [], STEM
    for stage, (wide, taps, stride, number) in enumerate(STAGES[kind]):
        ends = stage in (0, len(STAGES[kind]) - 1)
        number = number if ends else math.ceil(depth * number)
        places = ()
        if temporal and stage in LOOKING_BACK[kind]:
            places = _places(number, *LOOKING_BACK[kind][stage], depth)
        for place in range(number):
            looks_back = place in places
            order = places.index(place) if looks_back else -1
            found.append(
                Block(
                    inputs,
                    rounded(wide * width),
                    taps,
                    stride if place == 0 else 1,
                    1 if stage == 0 else EXPAND,
                    looks_back,
                    (stage, order) in HALVING[kind],
                )
            )
            inputs = rounded(wide * width)
    return tuple(found)


def _places(
    number: int, published: int, wanted: tuple[int, ...], depth: float
) -> tuple[int, ...]:
    """Places among `number` blocks that lie as `wanted` among `published` ones."""
    if number < len(wanted):
        raise ValueError(
            f"depth: {depth} leaves {number} of the {len(wanted)} blocks that look back"
        )
    places: list[int] = []
    for place in wanted:
        share = place * (number - 1) / max(1, published - 1)
        # Not the first block, which has nothing to add to, as long as there are others.
        places.append(max(round(share), 1 if not places else places[-1] + 1))
    # From the end, so that all of them are there.
    for back in range(1, len(places) + 1):
        places[-back] = min(places[-back], number - back)
    return tuple(places)


def deviation(path: Sequence[str], shape: Sequence[int], blocks: Sequence[Block]):
    """Standard deviation of a kernel's first weights, He's of what it sees.

    Args:
      path: of the array inside the network, ("entry3", "project", "kernel").
      shape: [kh, kw, C, O]; C is 1 of a depthwise one.
      blocks: of the network; block i is its entry i + 1.
    """
    variance = 2.0 / math.prod(shape[:-1])
    if path[-2] == "project":
        # A linear layer, whose result is added to what came in or takes its place.
        adds = blocks[int(path[-3].removeprefix("entry")) - 1].adds
        variance *= ADDED / 2 if adds else 0.5
    return math.sqrt(variance)


def zeros_around(size: int, taps: int, stride: int, padding: str) -> tuple[int, int]:
    """Zeros before and after an axis of so many places, for an odd number of taps.

    Raises:
      ValueError: for a padding that is not one of `PADDINGS`.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding: {padding!r} is not one of {', '.join(PADDINGS)}")
    if padding == "symmetric":
        return (taps // 2, taps // 2)
    missing = max(0, (-(-size // stride) - 1) * stride + taps - size)
    return (missing // 2, missing - missing // 2)


class Convolution(nn.Module):
    """A convolution of images with a bias or a batch normalisation, dense or depthwise.

    Attributes:
      over_frames: whether it is given frames [B, T, H, W, C] and what it saw before.
      channels: that go out; 0 for a depthwise one, which keeps them.
      taps, stride: of both axes.
      padding: of `PADDINGS`.
      relu: whether ReLU6 follows.
      norm: whether a batch normalisation is in the place of the bias; but in training it is
        folded into the kernel.
      dtype: compute type.
    """

    channels: int
    taps: int = 1
    stride: int = 1
    padding: str = "symmetric"
    relu: bool = True
    norm: bool = False
    dtype: str = "float32"

    over_frames = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[B, H, W, C] to [B, H', W', O]; normalised by the batch's statistics in training."""
        channels = self.channels or x.shape[-1]
        seen = x.shape[-1] if self.channels else 1
        shape = (self.taps, self.taps, seen, channels)
        he = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        kernel = self.param("kernel", he, shape, jnp.float32)
        if self.norm:
            norm = BatchNorm(channels, epsilon=EPSILON, dtype=self.dtype, name="norm")
            scale, bias = norm.running()
            kernel = kernel if train else kernel * scale
        else:
            bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        around = tuple(
            zeros_around(size, self.taps, self.stride, self.padding)
            for size in x.shape[1:3]
        )
        function = conv.conv_image if self.channels else conv.conv_depthwise
        kernel = kernel.astype(self.dtype)
        y = function(x.astype(self.dtype), kernel, (self.stride,) * 2, around)
        y = checkpoint_name(y, conv.CONVOLVED)
        if self.norm and train:
            y = norm(y)
        else:
            y = y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
        return jnp.clip(y, 0, 6) if self.relu else y


def look_back(x: jax.Array, past: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    """Windows of three frames, each ending with the newest one.

    Args:
      x: [B, T, H, W, C], the next frames; an even number where every second one is left out.
      past: [B, p, H, W, C] of the frames before: 2, or 1 where every second one is left out.

    Returns:
      (the oldest, the middle and the newest frame of each window [B, T', H, W, C], the past of
      the frames to come).
    """
    number = past.shape[1]
    frames = jnp.concatenate([past, x], axis=1)  # [B, p + T, H, W, C]
    last, step = frames.shape[1] - SEEN + 1, SEEN - number
    windows = [frames[:, first : last + first : step] for first in range(SEEN)]
    return windows, frames[:, frames.shape[1] - number :]


class InvertedResidual(nn.Module):
    """One block, over frames.

    Attributes:
      over_frames: see `Convolution`.
      block: what it is.
      sparse: of a block that looks back, how: see the module's docstring.
      padding: of `PADDINGS`.
      norm: of its convolutions.
      dtype: compute type.
    """

    block: Block
    sparse: bool = False
    padding: str = "symmetric"
    norm: bool = False
    dtype: str = "float32"

    over_frames = True

    @nn.compact
    def __call__(
        self, x: jax.Array, past: jax.Array | None = None, *, train: bool = False
    ) -> tuple[jax.Array, jax.Array | None]:
        """Looks at frames.

        Args:
          x: [B, T, H, W, C]; an even number of frames where the block halves.
          past: [B, p, H, W, C] frames before, `Block.past` of them; None where it looks at none.
          train: of its convolutions.

        Returns:
          ([B, T', H', W', O], the past of the frames to come).
        """
        block = self.block
        shared = {"padding": self.padding, "norm": self.norm, "dtype": self.dtype}
        inputs, seen = x, x
        if block.looks_back:
            windows, past = look_back(x, past)
            # Of the residual the newest frame is kept.
            inputs = windows[-1]
            if self.sparse:
                quarter, half = block.inputs // 4, block.inputs // 2
                cuts = (slice(0, quarter), slice(quarter, half), slice(half, None))
                windows = [
                    one[..., cut] for one, cut in zip(windows, cuts, strict=True)
                ]
            seen = jnp.concatenate(windows, axis=-1)  # [B, T', H, W, 3 C or C]

        batch, frames = seen.shape[:2]
        y = seen.reshape(batch * frames, *seen.shape[2:])  # [B·T', H, W, C]
        if block.expand > 1:
            wide = block.inputs * block.expand
            y = Convolution(wide, name="expand", **shared)(y, train=train)
        depthwise = Convolution(0, block.taps, block.stride, name="depthwise", **shared)
        project = Convolution(block.channels, relu=False, name="project", **shared)
        y = project(depthwise(y, train=train), train=train)
        y = y.reshape(batch, frames, *y.shape[1:])  # [B, T', H', W', O]
        return (y + inputs if block.adds else y), past
