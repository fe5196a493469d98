"""LMRL (arXiv 2501.07312), written from its text: there is no code of the authors to follow.

Where the text leaves something open: a window of four frames stands for its second one and repeats
the first or the last frame beyond the ends; the two tokens that the backbone gives of it are
averaged and go through TransRAC's neck; a similarity map is pooled along its columns alone, so that
its rows stay frames; both branches are brought to half the width, joined, normalised and rectified;
the predictor is TransRAC's. There is no dropout.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_reference.transrac import Encoder, Head, Positions

WINDOW, EARLIER = (
    4,
    1,
)  # frames, and how many of them before the one that they stand for
MAPS = 32
TOKEN = 64
HEADS = 4
LOCAL = 64


class Embeddings(nn.Module):
    """Clips [B, 3, N, H, W] to a vector of every frame, [B, N, C]."""

    def __init__(self, backbone, wide):
        super().__init__()
        self.backbone = backbone
        depth = backbone.norm.weight.shape[0]
        self.across = nn.Conv3d(depth, wide, 3, padding=(3, 1, 1), dilation=(3, 1, 1))
        self.normal = nn.BatchNorm3d(wide)

    def forward(self, x):
        batch, _, frames, _, _ = x.shape
        ends = (0, 0, 0, 0, EARLIER, WINDOW - 1 - EARLIER)
        cut = F.pad(x, ends, mode="replicate").unfold(2, WINDOW, 1)
        cut = cut.permute(0, 2, 1, 5, 3, 4).flatten(0, 1)  # [B · N, 3, 4, H, W]
        seen = self.backbone(cut).mean(2).unflatten(0, (batch, frames))
        seen = torch.relu(self.normal(self.across(seen.transpose(1, 2))))
        return seen.amax(dim=(3, 4)).transpose(1, 2)


class Bilinear(nn.Module):
    """S = X W Xᵀ / √C."""

    def __init__(self, wide):
        super().__init__()
        self.form = nn.Parameter(torch.eye(wide))

    def forward(self, x):
        return x @ self.form @ x.transpose(1, 2) / math.sqrt(x.shape[-1])


class Scale(nn.Module):
    """Maps [B, 32, N, N] to a number per frame, [B, N, 1], through pools of `size` columns."""

    def __init__(self, frames, size):
        super().__init__()
        self.size = size
        self.enter = nn.Linear(math.ceil(frames / size) * MAPS, TOKEN)
        self.places = Positions(frames, TOKEN)
        self.mix = nn.TransformerEncoderLayer(
            TOKEN, HEADS, TOKEN, dropout=0.0, batch_first=True, norm_first=True
        )
        self.leave = nn.Linear(TOKEN, 1)

    def forward(self, maps):
        # A last window that is not full has the maximum of what there is.
        pooled = F.max_pool2d(maps, (1, self.size), ceil_mode=True)
        rows = self.enter(pooled.permute(0, 2, 3, 1).flatten(2))
        return self.leave(self.mix(rows + self.places.pe.transpose(0, 1)))


class PeriodAware(nn.Module):
    """MPR: vectors [B, N, C] to ([B, N, K], similarity [B, N, N])."""

    def __init__(self, wide, frames, scales):
        super().__init__()
        self.similar = Bilinear(wide)
        self.lift = nn.Conv2d(1, MAPS, 1)
        self.spread = nn.Conv2d(MAPS, MAPS, 3, padding=2, dilation=2)
        self.scales = nn.ModuleList(Scale(frames, 2 * k) for k in range(1, scales + 1))

    def forward(self, x):
        similarity = self.similar(x)
        maps = torch.relu(self.spread(self.lift(similarity[:, None])))
        return torch.cat([scale(maps) for scale in self.scales], dim=-1), similarity


class Residual(nn.Module):
    """A dilated convolution over time, ReLU and a convolution of one tap, added."""

    def __init__(self, dilation):
        super().__init__()
        self.wide = nn.Conv1d(LOCAL, LOCAL, 3, padding=dilation, dilation=dilation)
        self.point = nn.Linear(LOCAL, LOCAL)

    def forward(self, x):
        y = torch.relu(self.wide(x.transpose(1, 2)).transpose(1, 2))
        return x + self.point(y)


class Localiser(nn.Module):
    """RFL: vectors [B, N, C] to (features [B, N, 64], logits [B, N, 2])."""

    def __init__(self, wide, blocks):
        super().__init__()
        self.enter = nn.Linear(wide, LOCAL)
        self.blocks = nn.Sequential(*(Residual(2**i) for i in range(blocks)))
        self.judge = nn.Linear(LOCAL, 2)

    def forward(self, x):
        x = self.blocks(self.enter(x))
        return x, self.judge(x)


class Joint(nn.Module):
    """What both branches say of a frame, [B, N, C']."""

    def __init__(self, wide, scales):
        super().__init__()
        self.of_period = nn.Linear(scales, wide // 2)
        self.of_place = nn.Linear(LOCAL, wide // 2)
        self.normal = nn.LayerNorm(wide)

    def forward(self, period, place):
        both = torch.cat([self.of_period(period), self.of_place(place)], dim=-1)
        return torch.relu(self.normal(both))


class LMRL(nn.Module):
    """The network.

    Args:
      backbone: of clips [B, 3, T, H, W] to [B, D, T / 2, h, w], with a last `norm`.
      wide: C and C'.
      frames: N.
      scales: K.
      blocks: n of RFL.
    """

    def __init__(self, backbone, wide=512, frames=64, scales=4, blocks=6):
        super().__init__()
        self.embed = Embeddings(backbone, wide)
        self.period = PeriodAware(wide, frames, scales)
        self.local = Localiser(wide, blocks)
        self.joint = Joint(wide, scales)
        self.mixer = Encoder(frames, wide, wide)
        self.reader = Head(wide, wide // 2)

    def forward(self, clips):
        """[B, 3, N, H, W] to (density [B, N], logits [B, N, 2], similarity [B, N, N])."""
        x = self.embed(clips)
        period, similarity = self.period(x)
        place, logits = self.local(x)
        y = self.joint(period, place).transpose(0, 1)
        density = self.reader(self.mixer(y).transpose(0, 1))[..., 0]
        return density, logits, similarity
