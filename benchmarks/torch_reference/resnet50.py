"""ResNet-50 with the names of torchvision's `resnet50`, and what a stem may be called elsewhere."""

import torch
from torch import nn

COUNTS = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolutions."""

    def __init__(self, before, planes, stride):
        super().__init__()
        after = 4 * planes
        self.conv1 = nn.Conv2d(before, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample = None
        if before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + shortcut)


class ResNet50(nn.Module):
    """The network; `forward` gives the map after the third stage.

    Args:
      classes: outputs of `fc`, 0 for none.
      base: channels of the first stage's inner convolutions.
      stem: names of the first convolution and its normalisation.
    """

    def __init__(self, classes=1000, base=64, stem=("conv1", "bn1"), channels=3):
        super().__init__()
        self.stem = stem
        setattr(self, stem[0], nn.Conv2d(channels, base, 7, 2, 3, bias=False))
        setattr(self, stem[1], nn.BatchNorm2d(base))
        before = base
        for place, count in enumerate(COUNTS):
            planes = base * 2**place
            blocks = []
            for number in range(count):
                stride = 2 if number == 0 and place else 1
                blocks.append(Bottleneck(before, planes, stride))
                before = 4 * planes
            setattr(self, f"layer{place + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, classes) if classes else None

    def forward(self, x):
        """x [B, C, H, W]."""
        conv, norm = (getattr(self, name) for name in self.stem)
        x = nn.functional.max_pool2d(torch.relu(norm(conv(x))), 3, 2, 1)
        return self.layer3(self.layer2(self.layer1(x)))
