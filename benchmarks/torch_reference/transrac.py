"""TransRAC with the names of its released checkpoint, whole procedure included.

Written from what is known of the authors' code: windows of 1, 4 and 8 frames, the padding of the
third scale on top of that of the second, scores over the root of 64, a softmax that is rectified.
"""

import math

import numpy as np
import torch
from torch import nn

from benchmarks.torch_reference.video_swin import VideoSwin

SCALES = (1, 4, 8)
HEADS = 4


class Similarities(nn.Module):
    """Attention's matrices; the values are made and not used."""

    def __init__(self, wide):
        super().__init__()
        self.linear_q, self.linear_k = nn.Linear(wide, wide), nn.Linear(wide, wide)
        self.linear_v = nn.Linear(wide, wide)

    def forward(self, x, divisor):
        batch, frames, wide = x.shape
        query, key = (
            layer(x).view(batch, frames, HEADS, wide // HEADS).transpose(1, 2)
            for layer in (self.linear_q, self.linear_k)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(divisor)
        return torch.relu(scores.softmax(-1))


class Positions(nn.Module):
    """A fixed table of sines and cosines."""

    def __init__(self, frames, wide):
        super().__init__()
        table = torch.zeros(frames, 1, wide)
        for t in range(frames):
            for i in range(0, wide, 2):
                angle = t / 10000 ** (i / wide)
                table[t, 0, i], table[t, 0, i + 1] = math.sin(angle), math.cos(angle)
        self.register_buffer("pe", table)


class Encoder(nn.Module):
    """One transformer layer and a last normalisation."""

    def __init__(self, frames, wide, feedforward):
        super().__init__()
        self.pos_encoder = Positions(frames, wide)
        layer = nn.TransformerEncoderLayer(wide, HEADS, feedforward, 0.2)
        norm = nn.LayerNorm(wide)
        self.trans_encoder = nn.TransformerEncoder(
            layer, 1, norm, enable_nested_tensor=False
        )

    def forward(self, x):
        """x [N, B, C]."""
        return self.trans_encoder(x + self.pos_encoder.pe)


class Head(nn.Module):
    """Dense layers to one number."""

    def __init__(self, wide, middle):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(wide, wide),
            nn.LayerNorm(wide),
            nn.Dropout(0.25),
            nn.ReLU(),
            nn.Linear(wide, middle),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.Linear(middle, 1),
        )

    def forward(self, x):
        return self.layers(x)


class TransRAC(nn.Module):
    """The network; `divisor` None is the width of a head, `early` the frames of the third scale."""

    def __init__(self, backbone, wide=512, frames=64, divisor=64, early=2):
        super().__init__()
        self.frames, self.early = frames, early
        self.divisor = divisor or wide // HEADS
        self.backbone = backbone
        depth = backbone.norm.weight.shape[0]
        self.conv3D = nn.Conv3d(depth, wide, 3, padding=(3, 1, 1), dilation=(3, 1, 1))
        self.bn1 = nn.BatchNorm3d(wide)
        self.sims = Similarities(wide)
        self.conv3x3 = nn.Conv2d(HEADS * len(SCALES), 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.input_projection = nn.Linear(frames * 32, wide)
        self.ln1 = nn.LayerNorm(wide)
        self.transEncoder = Encoder(frames, wide, wide)
        self.FC = Head(wide, wide // 2)

    def windows(self, x, scale):
        """The backbone's tokens of all windows of a scale, [B, C, N, h, w]."""
        before = {1: 0, 4: 2, 8: 4 + self.early}[scale]
        batch, channels, frames, height, width = x.shape
        zeros = x.new_zeros(batch, channels, before, height, width)
        more = x.new_zeros(batch, channels, scale, height, width)
        padded = torch.cat([zeros, x, more], dim=2)
        step = max(scale // 2, 1)
        found = [
            self.backbone(padded[:, :, start : start + scale])
            for start in range(0, frames, step)
        ]
        return torch.cat(found, dim=2)

    def forward(self, x):
        """x [B, 3, N, H, W] to [B, N]."""
        matrices = []
        for scale in SCALES:
            y = torch.relu(self.bn1(self.conv3D(self.windows(x, scale))))
            y = y.amax(dim=(3, 4)).transpose(1, 2)  # [B, N, C]
            matrices.append(self.sims(y, self.divisor))
        y = torch.relu(self.bn2(self.conv3x3(torch.cat(matrices, dim=1))))
        y = y.permute(0, 2, 3, 1).flatten(2)  # [B, N, N * 32]
        y = self.ln1(torch.relu(self.input_projection(y)))
        y = self.transEncoder(y.transpose(0, 1)).transpose(0, 1)
        return self.FC(y)[..., 0]


def narrow(frames=16, **changes):
    """A quarter of the width."""
    return TransRAC(VideoSwin(24, 1), 128, frames, **changes)


@torch.inference_mode()
def count(network, frames):
    """Counts as the released tools do.

    Args:
      network: in eval mode.
      frames: uint8 [T, S, S, 3], as they were resized.

    Returns:
      The sum of the density, not rounded.
    """
    total, wanted = len(frames), network.frames
    if total >= wanted:
        picked = [frames[i * total // wanted - 1] for i in range(1, wanted + 1)]
    else:
        picked = [frames[min(i, total - 1)] for i in range(wanted)]
    # [N, height, width, 3] becomes [N, 3, width, height].
    x = np.stack(picked).transpose(0, 3, 2, 1).astype(np.float32)
    x = (torch.from_numpy(x) - 127.5) / 127.5
    return float(network(x.transpose(0, 1)[None]).sum())
