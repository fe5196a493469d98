"""ResNet-18 for spectrograms with the names of torchvision's `resnet18`."""

import torch
from torch import nn

from benchmarks.torch_reference.layers import Encoded, pooled


class Block(nn.Module):
    """A residual block of two 3x3 convolutions."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + shortcut)


def stage(before: int, after: int, stride: int = 2) -> nn.Sequential:
    """A stage of two blocks."""
    return nn.Sequential(Block(before, after, stride), Block(after, after, 1))


class ResNet18(nn.Module):
    """The network with one input channel; `forward` gives features.

    Args:
      classes: outputs of `fc`.
      base: channels of the first stage; each further one has twice as many.
    """

    def __init__(self, classes: int = 1000, base: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(1, base, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = stage(base, base, stride=1)
        self.layer2 = stage(base, 2 * base)
        self.layer3 = stage(2 * base, 4 * base)
        self.layer4 = stage(4 * base, 8 * base)
        self.fc = nn.Linear(8 * base, classes)

    def forward(self, spectrograms: torch.Tensor) -> Encoded:
        """Spectrograms [B, 1, F, n] to features."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(spectrograms))))
        stage3 = self.layer3(self.layer2(self.layer1(x)))
        return Encoded(stage3, pooled(self.layer4(stage3)))
