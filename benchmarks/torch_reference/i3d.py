"""I3D of frames in PyTorch, with the names of piergiaj's port of the published weights.

Written from the paper and the published names and shapes; padding is TensorFlow's "same".
"""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_reference import s3d
from benchmarks.torch_reference.layers import Encoded


def pad_same(x, size, stride):
    """Zeros so that ceil(size / stride) places come out; the odd one after."""
    around = []
    for length, taps, step in zip(x.shape[2:], size, stride, strict=True):
        missing = max(taps - (length % step or step), 0)
        around = [missing // 2, missing - missing // 2, *around]
    return functional.pad(x, around)


class Unit(nn.Module):
    def __init__(self, inputs, channels, taps, stride=1):
        super().__init__()
        self.taps, self.stride = (taps,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(inputs, channels, taps, stride, bias=False)
        self.bn = nn.BatchNorm3d(channels, eps=1e-3)

    def forward(self, x):
        x = self.conv3d(pad_same(x, self.taps, self.stride))
        return functional.relu(self.bn(x))


class Maximum(nn.Module):
    def __init__(self, size, stride):
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x):
        x = pad_same(x, self.size, self.stride)
        return functional.max_pool3d(x, self.size, self.stride)


class Inception(nn.Module):
    def __init__(self, inputs, single, double, other, last):
        super().__init__()
        self.b0 = Unit(inputs, single, 1)
        self.b1a, self.b1b = Unit(inputs, double[0], 1), Unit(*double, 3)
        self.b2a, self.b2b = Unit(inputs, other[0], 1), Unit(*other, 3)
        self.b3a = Maximum((3, 3, 3), (1, 1, 1))
        self.b3b = Unit(inputs, last, 1)

    def forward(self, x):
        branches = (
            self.b0(x),
            self.b1b(self.b1a(x)),
            self.b2b(self.b2a(x)),
            self.b3b(self.b3a(x)),
        )
        return torch.cat(branches, dim=1)


class Logits(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv3d = nn.Conv3d(1024, classes, 1)


class I3D(nn.Module):
    """The network up to its features; the classifier is there for its names alone."""

    def __init__(self, classes=400):
        super().__init__()
        self.logits = Logits(classes)
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.MaxPool3d_2a_3x3 = Maximum((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        self.MaxPool3d_3a_3x3 = Maximum((1, 3, 3), (1, 2, 2))
        self.Mixed_3b = Inception(*s3d.MIXED_3B)
        self.Mixed_3c = Inception(*s3d.MIXED_3C)
        self.MaxPool3d_4a_3x3 = Maximum((3, 3, 3), (2, 2, 2))
        self.Mixed_4b = Inception(*s3d.MIXED_4B)
        self.Mixed_4c = Inception(*s3d.MIXED_4C)
        self.Mixed_4d = Inception(*s3d.MIXED_4D)
        self.Mixed_4e = Inception(*s3d.MIXED_4E)
        self.Mixed_4f = Inception(*s3d.MIXED_4F)
        self.MaxPool3d_5a_2x2 = Maximum((2, 2, 2), (2, 2, 2))
        self.Mixed_5b = Inception(*s3d.MIXED_5B)
        self.Mixed_5c = Inception(*s3d.MIXED_5C)

    def forward(self, clips):
        """[B, 3, T, H, W] to stage3 and features."""
        x, before = clips, None
        for name, layer in self.named_children():
            if name == "MaxPool3d_5a_2x2":
                before = x
            if name != "logits":
                x = layer(x)
        frames = min(2, x.shape[2])
        seen = functional.avg_pool3d(x, (frames, *x.shape[3:]), stride=1)
        return Encoded(before, seen.mean(dim=(2, 3, 4)))
