"""Paper 3's strided inflated networks in PyTorch, in the layout of the released checkpoints.

Written from section 3.1.1 and the released names and shapes: `cnn` is a list of entries; an
entry of the middle has `conv`, whose inflated 1x1 convolutions are stored as ones of images with
three times the channels, the oldest frame's first. Whole clips only, frames as the batch.
"""

import torch
from torch import nn
from torch.nn import functional

# in, out, taps, stride, what is inflated: "" nothing, "3" three frames, "3/2" and every second.
SIEN = [
    (32, 24, 3, 1, ""),
    *[(24, 32, 3, 2, ""), (32, 32, 3, 1, "3"), *[(32, 32, 3, 1, "")] * 2],
    *[(32, 56, 5, 2, ""), (56, 56, 5, 1, "3/2"), *[(56, 56, 5, 1, "")] * 2],
    *[(56, 112, 3, 2, ""), (112, 112, 3, 1, "3"), *[(112, 112, 3, 1, "")] * 2],
    *[(112, 112, 3, 1, "3/2"), (112, 112, 3, 1, "")],
    *[(112, 160, 5, 1, ""), (160, 160, 5, 1, "3"), *[(160, 160, 5, 1, "")] * 2],
    *[(160, 160, 5, 1, "3"), (160, 160, 5, 1, "")],
    *[(160, 272, 5, 2, ""), (272, 272, 5, 1, "3"), (272, 272, 5, 1, "")],
    *[(272, 272, 5, 1, "3"), *[(272, 272, 5, 1, "")] * 4],
    (272, 448, 3, 1, ""),
]
SIMN = [
    (32, 16, 3, 1, ""),
    *[(16, 24, 3, 2, ""), (24, 24, 3, 1, "3")],
    *[(24, 32, 3, 2, ""), (32, 32, 3, 1, "3/2"), (32, 32, 3, 1, "")],
    *[(32, 64, 3, 2, ""), (64, 64, 3, 1, "3"), (64, 64, 3, 1, "")],
    (64, 64, 3, 1, "3/2"),
    *[(64, 96, 3, 1, ""), *[(96, 96, 3, 1, "3")] * 2],
    *[(96, 160, 3, 2, ""), *[(160, 160, 3, 1, "3")] * 2],
    (160, 320, 3, 1, ""),
]
TABLES = {"sien": SIEN, "simn": SIMN}


def narrower(table, channels):
    """A table with other channels: `channels` maps the published ones, the stem's stay."""

    def mapped(number, place):
        return number if place == 0 else channels(number)

    return [
        (mapped(a, place), channels(b), taps, stride, how)
        for place, (a, b, taps, stride, how) in enumerate(table)
    ]


def convolution(inputs, channels, taps=1, stride=1, groups=1):
    """A convolution with a bias and ReLU6."""
    conv = nn.Conv2d(inputs, channels, taps, stride, taps // 2, groups=groups)
    return nn.Sequential(conv, nn.ReLU6())


class Block(nn.Module):
    """One inverted residual block; `sparse` says how an inflated one sees three frames."""

    def __init__(self, inputs, channels, taps, stride, how, expand, sparse):
        super().__init__()
        self.how, self.sparse = how, sparse
        self.adds = stride == 1 and inputs == channels
        wide = inputs * expand
        layers = []
        if expand > 1:
            seen = 3 * inputs if how and not sparse else inputs
            layers.append(convolution(seen, wide))
        layers += [
            convolution(wide, wide, taps, stride, groups=wide),
            nn.Conv2d(wide, channels, 1),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        """Frames [T, C, H, W] to [T or T / 2, C, H, W]."""
        kept = x
        if self.how:
            newest = x
            middle = functional.pad(x, (0, 0) * 3 + (1, 0))[:-1]
            oldest = functional.pad(x, (0, 0) * 3 + (2, 0))[:-2]
            if self.sparse:
                quarter, half = x.shape[1] // 4, x.shape[1] // 2
                parts = oldest[:, :quarter], middle[:, quarter:half], newest[:, half:]
            else:
                parts = oldest, middle, newest
            x = torch.cat(parts, dim=1)
            if self.how == "3/2":
                x, kept = x[1::2], kept[1::2]
        y = self.conv(x)
        return y + kept if self.adds else y


class StridedInflated(nn.Module):
    """The network up to its features; `table` and `sparse` as above."""

    def __init__(self, table, sparse=False, head=1280):
        super().__init__()
        layers = [convolution(3, 32, 3, 2)]
        for place, row in enumerate(table):
            layers.append(Block(*row, 6 if place else 1, sparse))
        layers.append(convolution(table[-1][1], head))
        self.cnn = nn.Sequential(*layers)

    def forward(self, frames):
        """Frames [T, 3, H, W] of one clip to features [T / 4, C]."""
        return self.cnn(frames).mean(dim=(2, 3))
