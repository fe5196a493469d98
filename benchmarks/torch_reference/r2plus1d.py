"""R(2+1)D-18 with the names of torchvision's `r2plus1d_18`."""

import torch
from torch import nn

from benchmarks.torch_reference.layers import Encoded, pooled


class Factored(nn.Sequential):
    """3 x 3 over space, then 3 over time, normalised in between."""

    def __init__(self, before, middle, after, stride):
        super().__init__(
            nn.Conv3d(
                before, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False
            ),
            nn.BatchNorm3d(middle),
            nn.ReLU(inplace=True),
            nn.Conv3d(middle, after, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
        )


class Block(nn.Module):
    """A residual block of two factored convolutions."""

    def __init__(self, before, after, stride):
        super().__init__()
        middle = (before * after * 27) // (before * 9 + after * 3)
        self.conv1 = nn.Sequential(
            Factored(before, middle, after, stride),
            nn.BatchNorm3d(after),
            nn.ReLU(inplace=True),
        )
        self.conv2 = nn.Sequential(
            Factored(after, middle, after, 1), nn.BatchNorm3d(after)
        )
        self.downsample = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv3d(before, after, 1, stride, bias=False), nn.BatchNorm3d(after)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.conv2(self.conv1(x)) + shortcut)


def stage(before: int, after: int, stride: int = 2) -> nn.Sequential:
    """A stage of two blocks."""
    return nn.Sequential(Block(before, after, stride), Block(after, after, 1))


class R2Plus1D18(nn.Module):
    """The network; `forward` gives features.

    Args:
      classes: outputs of `fc`.
      base: channels of the first stage; each further one has twice as many.
      middle: channels between the stem's two convolutions.
    """

    def __init__(self, classes: int = 400, base: int = 64, middle: int = 45):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, middle, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.BatchNorm3d(middle),
            nn.ReLU(inplace=True),
            nn.Conv3d(middle, base, (3, 1, 1), 1, (1, 0, 0), bias=False),
            nn.BatchNorm3d(base),
            nn.ReLU(inplace=True),
        )
        self.layer1 = stage(base, base, stride=1)
        self.layer2 = stage(base, 2 * base)
        self.layer3 = stage(2 * base, 4 * base)
        self.layer4 = stage(4 * base, 8 * base)
        self.fc = nn.Linear(8 * base, classes)

    def forward(self, clips: torch.Tensor) -> Encoded:
        """Clips [B, 3, T, H, W] to features."""
        stage3 = self.layer3(self.layer2(self.layer1(self.stem(clips))))
        return Encoded(stage3, pooled(self.layer4(stage3)))
