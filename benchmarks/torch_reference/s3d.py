"""S3D with the names of torchvision's `s3d`, and their translation to kylemin's."""

import re

import torch
from torch import nn

from benchmarks.torch_reference.layers import Encoded, pooled

# (in, pointwise, (reduced, out), (reduced, out), pooled) of the nine Inception blocks.
MIXED_3B = (192, 64, (96, 128), (16, 32), 32)
MIXED_3C = (256, 128, (128, 192), (32, 96), 64)
MIXED_4B = (480, 192, (96, 208), (16, 48), 64)
MIXED_4C = (512, 160, (112, 224), (24, 64), 64)
MIXED_4D = (512, 128, (128, 256), (24, 64), 64)
MIXED_4E = (512, 112, (144, 288), (32, 64), 64)
MIXED_4F = (528, 256, (160, 320), (32, 128), 128)
MIXED_5B = (832, 256, (160, 320), (32, 128), 128)
MIXED_5C = (832, 384, (192, 384), (48, 128), 128)


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, before, after, size, stride=1, padding=0):
        super().__init__(
            nn.Conv3d(before, after, size, stride, padding, bias=False),
            nn.BatchNorm3d(after, eps=1e-3, momentum=1e-3),
            nn.ReLU(inplace=True),
        )


class Separable(nn.Sequential):
    """k x k over space, then k over time."""

    def __init__(self, before, after, k, stride=1):
        pad = k // 2
        super().__init__(
            ConvNorm(before, after, (1, k, k), (1, stride, stride), (0, pad, pad)),
            ConvNorm(after, after, (k, 1, 1), (stride, 1, 1), (pad, 0, 0)),
        )


class Mixed(nn.Module):
    """An Inception block of four branches."""

    def __init__(self, before, single, double, other, last):
        super().__init__()
        self.branch0 = ConvNorm(before, single, 1)
        self.branch1 = nn.Sequential(
            ConvNorm(before, double[0], 1), Separable(*double, 3)
        )
        self.branch2 = nn.Sequential(
            ConvNorm(before, other[0], 1), Separable(*other, 3)
        )
        self.branch3 = nn.Sequential(
            nn.MaxPool3d(3, stride=1, padding=1), ConvNorm(before, last, 1)
        )

    def forward(self, x):
        branches = self.branch0, self.branch1, self.branch2, self.branch3
        return torch.cat([branch(x) for branch in branches], dim=1)


def stage4() -> nn.Sequential:
    """The last max-pool and two blocks."""
    return nn.Sequential(nn.MaxPool3d(2, 2), Mixed(*MIXED_5B), Mixed(*MIXED_5C))


class S3D(nn.Module):
    """The network; `forward` gives features, `logits` classifies as torchvision does."""

    def __init__(self, classes: int = 400):
        super().__init__()

        def spatial_pool():
            return nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

        self.features = nn.Sequential(
            Separable(3, 64, 7, stride=2),
            spatial_pool(),
            ConvNorm(64, 64, 1),
            Separable(64, 192, 3),
            spatial_pool(),
            Mixed(*MIXED_3B),
            Mixed(*MIXED_3C),
            nn.MaxPool3d(3, 2, 1),
            Mixed(*MIXED_4B),
            Mixed(*MIXED_4C),
            Mixed(*MIXED_4D),
            Mixed(*MIXED_4E),
            Mixed(*MIXED_4F),
            *stage4(),
        )
        self.avgpool = nn.AvgPool3d((2, 7, 7), stride=1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Conv3d(1024, classes, 1))

    def forward(self, clips: torch.Tensor) -> Encoded:
        """Clips [B, 3, T, H, W] to features."""
        stage3 = self.features[:13](clips)
        return Encoded(stage3, pooled(self.features[13:](stage3)))

    def logits(self, clips: torch.Tensor) -> torch.Tensor:
        """Class logits [B, classes] of clips [B, 3, T >= 16, 224, 224]."""
        return pooled(self.classifier(self.avgpool(self.features(clips))))


def kylemin_name(name: str) -> str:
    """The name that kylemin's S3D has for a parameter of torchvision's."""
    # The pairs of a separable convolution are (.0, .1) for space and time; inside each of
    # them, as in a plain convolution, .0 is the convolution and .1 the normalisation.
    name = re.sub(r"^classifier\.1\.", "fc.0.", name)
    name = re.sub(r"^features\.", "base.", name)
    name = name.replace(".branch0.", ".branch0.0.")  # a sequence of one there
    match = re.match(
        r"^(base\.(?:0|3|\d+\.branch[12]\.1))\.([01])\.([01])\.(.+)$", name
    )
    if match:
        layer, axis, kind, rest = match.groups()
        return f"{layer}.{('conv', 'bn')[int(kind)]}_{'st'[int(axis)]}.{rest}"
    match = re.match(r"^(base\..+)\.([01])\.([a-z_]+)$", name)
    if match:
        layer, kind, rest = match.groups()
        return f"{layer}.{('conv', 'bn')[int(kind)]}.{rest}"
    return name
