"""RepNet with the names of its public PyTorch port, both releases.

Keras' ResNet-50 V2 up to conv4_block3_out: what a block is given is normalised first; the stride
is in a stage's last block, whose shortcut is a max pool of window 1; the stem's pool pads zeros.
"""

import torch
from torch import nn
from torch.nn import functional

EPSILON = 1.001e-5
BLOCKS = (3, 4, 6)  # of whole stages


class Downsample(nn.Module):
    """A convolution under the port's name."""

    def __init__(self, before, after):
        super().__init__()
        self.conv = nn.Conv2d(before, after, 1)

    def forward(self, x):
        return self.conv(x)


class Block(nn.Module):
    """A pre-activation bottleneck."""

    def __init__(self, before, channels, stride, projects):
        super().__init__()
        after = 4 * channels
        self.downsample = Downsample(before, after) if projects else None
        self.stride = stride
        self.norm1 = nn.BatchNorm2d(before, eps=EPSILON)
        self.conv1 = nn.Conv2d(before, channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels, eps=EPSILON)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels, eps=EPSILON)
        self.conv3 = nn.Conv2d(channels, after, 1)

    def forward(self, x):
        y = torch.relu(self.norm1(x))
        if self.downsample is not None:
            shortcut = self.downsample(y)
        else:
            shortcut = functional.max_pool2d(x, 1, self.stride)
        y = torch.relu(self.norm2(self.conv1(y)))
        y = torch.relu(self.norm3(self.conv2(y)))
        return shortcut + self.conv3(y)


class Stage(nn.Module):
    """Some blocks; `whole` says whether the last one has the stride."""

    def __init__(self, before, channels, number, whole):
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(
                before if place == 0 else 4 * channels,
                channels,
                2 if whole and place == number - 1 else 1,
                place == 0,
            )
            for place in range(number)
        )

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Stem(nn.Module):
    """A convolution under the port's name."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 7, 2, 3)

    def forward(self, x):
        return self.conv(x)


class ResNet50V2(nn.Module):
    """Images [B, 3, H, W] to [B, C, h, w]."""

    def __init__(self, base=64, blocks=(3, 4, 3)):
        super().__init__()
        self.stem = Stem(base)
        stages, before = [], base
        for place, number in enumerate(blocks):
            channels = base * 2**place
            stages.append(Stage(before, channels, number, number == BLOCKS[place]))
            before = 4 * channels
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        x = functional.max_pool2d(functional.pad(self.stem(x), (1, 1, 1, 1)), 3, 2)
        for stage in self.stages:
            x = stage(x)
        return x


class Branch(nn.Module):
    """Projection, positions and a transformer layer."""

    def __init__(self, rows, embedding, frames, positions):
        super().__init__()
        wide = embedding if positions == "vector" else 1
        self.pos_encoding = nn.Parameter(torch.zeros(1, frames, wide))
        self.input_projection = nn.Linear(rows, embedding)
        self.transformer_layer = nn.TransformerEncoderLayer(
            embedding,
            4,
            embedding,
            activation="relu",
            layer_norm_eps=1e-6,
            batch_first=True,
            norm_first=True,
        )

    def forward(self, x):
        return self.transformer_layer(self.input_projection(x) + self.pos_encoding)


def head(rows, embedding, frames, positions, outputs):
    """A branch and its three dense layers."""
    return nn.Sequential(
        Branch(rows, embedding, frames, positions),
        nn.Linear(embedding, embedding),
        nn.ReLU(),
        nn.Linear(embedding, embedding),
        nn.ReLU(),
        nn.Linear(embedding, outputs),
    )


class RepNet(nn.Module):
    """Windows [B, 3, N, H, W] in -1..1 to (periods [B, N, P], periodicity [B, N]).

    Args:
      periods: classes.
      positions: "number" (2020) or "vector" (2024).
      base: channels of the first stage.
      embedding: of the sequence.
      frames: N.
    """

    def __init__(self, periods, positions, base=64, embedding=512, frames=64):
        super().__init__()
        self.encoder = ResNet50V2(base)
        self.temporal_conv = nn.Sequential(
            nn.Conv3d(16 * base, embedding, 3, padding=(3, 1, 1), dilation=(3, 1, 1)),
            nn.BatchNorm3d(embedding, eps=1e-3),
            nn.ReLU(),
        )
        self.tsm_conv = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU())
        rows = 32 * frames
        self.period_length_head = head(rows, embedding, frames, positions, periods)
        self.periodicity_head = head(rows, embedding, frames, positions, 1)

    def forward(self, windows):
        batch, _, frames = windows.shape[:3]
        images = windows.transpose(1, 2).flatten(0, 1)
        x = self.encoder(images).unflatten(0, (batch, frames)).transpose(1, 2)
        x = self.temporal_conv(x).amax(dim=(3, 4)).transpose(1, 2)  # [B, N, C]
        apart = (x[:, :, None] - x[:, None]).square().sum(-1)
        similarity = torch.softmax(-apart / 13.544, dim=-1)
        y = self.tsm_conv(similarity[:, None])  # [B, 32, N, N]
        # Row by row, the channels of a column together.
        rows = y.permute(0, 2, 3, 1).flatten(2)
        return self.period_length_head(rows), self.periodicity_head(rows)[..., 0]
