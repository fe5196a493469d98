"""Video Swin (Liu et al., CVPR 2022) with mmaction's names, written plainly: loops over windows.

Each window's attention is computed by itself from explicit lists of places, so that nothing of the
tricks with reshaping and rolling is shared with what is tested against it.
"""

import functools
import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

PATCH = (2, 4, 4)


@functools.cache
def relative_index(window):
    """Row of the bias table of each pair of places in a window."""
    places = list(itertools.product(*(range(size) for size in window)))
    table = torch.zeros(len(places), len(places), dtype=torch.int64)
    _, high, wide = (2 * size - 1 for size in window)
    for i, a in enumerate(places):
        for j, b in enumerate(places):
            t, h, w = (
                p - q + size - 1 for p, q, size in zip(a, b, window, strict=True)
            )
            table[i, j] = (t * high + h) * wide + w
    return table


class Attention(nn.Module):
    """Attention of the places of one window, with a bias per relative position."""

    def __init__(self, wide, heads, window):
        super().__init__()
        self.heads, self.window = heads, window
        rows = int(np.prod([2 * size - 1 for size in window]))
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        self.register_buffer("relative_position_index", relative_index(window))
        self.qkv = nn.Linear(wide, 3 * wide)
        self.proj = nn.Linear(wide, wide)

    def forward(self, x, apart):
        """x [B, M, C] of one window; apart bool [M, M], pairs that do not see each other."""
        _, places, wide = x.shape
        size = wide // self.heads
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        bias = self.relative_position_bias_table[
            self.relative_position_index[:places, :places]
        ]
        outs = []
        for head in range(self.heads):
            part = slice(head * size, (head + 1) * size)
            scores = query[..., part] @ key[..., part].transpose(1, 2) / size**0.5
            scores = scores + bias[..., head] + torch.where(apart, -100.0, 0.0)
            outs.append(scores.softmax(-1) @ value[..., part])
        return self.proj(torch.cat(outs, dim=-1))


class Mlp(nn.Module):
    """Two dense layers with GELU between."""

    def __init__(self, wide):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(wide, 4 * wide), nn.Linear(4 * wide, wide)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """One block; where `moved`, windows begin half a window later."""

    def __init__(self, wide, heads, window, moved):
        super().__init__()
        self.window, self.moved = window, moved
        self.norm1, self.norm2 = nn.LayerNorm(wide), nn.LayerNorm(wide)
        self.attn, self.mlp = Attention(wide, heads, window), Mlp(wide)

    def attend(self, x):
        shape = x.shape[1:4]
        window = [min(n, size) for n, size in zip(shape, self.window, strict=True)]
        shift = [
            size // 2 if self.moved and n > size else 0
            for n, size in zip(shape, self.window, strict=True)
        ]
        full = [-(-n // size) * size for n, size in zip(shape, window, strict=True)]
        padded = x.new_zeros(len(x), *full, x.shape[-1])
        padded[:, : shape[0], : shape[1], : shape[2]] = x
        out = torch.zeros_like(padded)
        # A window is a list of places along each axis; a shifted one may hold the clip's last
        # and its first places, which do not see each other.
        axes = []
        for n, size, begin in zip(full, window, shift, strict=True):
            cuts = []
            for start in range(0, n, size):
                places = [(start + k + begin) % n for k in range(size)]
                cuts.append((places, [p < start + begin for p in places]))
            axes.append(cuts)
        for (t, tw), (h, hw), (w, ww) in itertools.product(*axes):
            grid = list(itertools.product(t, h, w))
            wrapped = list(itertools.product(tw, hw, ww))
            apart = torch.tensor([[a != b for b in wrapped] for a in wrapped])
            index = tuple(torch.tensor(axis) for axis in zip(*grid, strict=True))
            out[(slice(None), *index)] = self.attn(padded[(slice(None), *index)], apart)
        return out[:, : shape[0], : shape[1], : shape[2]]

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Merging(nn.Module):
    """Four neighbours to one place."""

    def __init__(self, wide):
        super().__init__()
        self.reduction = nn.Linear(4 * wide, 2 * wide, bias=False)
        self.norm = nn.LayerNorm(4 * wide)

    def forward(self, x):
        x = F.pad(x, (0, 0, 0, x.shape[3] % 2, 0, x.shape[2] % 2))
        corners = [(0, 0), (1, 0), (0, 1), (1, 1)]
        x = torch.cat([x[:, :, i::2, j::2] for i, j in corners], dim=-1)
        return self.reduction(self.norm(x))


class Stage(nn.Module):
    """Blocks, every second one shifted, and a merging unless it is the last."""

    def __init__(self, wide, heads, window, depth, last, block=Block):
        super().__init__()
        self.blocks = nn.ModuleList(
            block(wide, heads, window, bool(place % 2)) for place in range(depth)
        )
        self.downsample = None if last else Merging(wide)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class PatchEmbed(nn.Module):
    """Patches, filled up with zeros at the ends."""

    def __init__(self, wide):
        super().__init__()
        self.proj = nn.Conv3d(3, wide, PATCH, PATCH)
        self.norm = nn.LayerNorm(wide)

    def forward(self, x):
        more = [(0, -n % size) for n, size in zip(x.shape[2:], PATCH, strict=True)]
        x = F.pad(x, [n for pair in reversed(more) for n in pair])
        return self.norm(self.proj(x).permute(0, 2, 3, 4, 1))


class VideoSwin(nn.Module):
    """The encoder; in [B, 3, T, H, W], out [B, C, T', H', W']; `block` is the class of blocks."""

    def __init__(
        self, wide=96, heads=3, depths=(2, 2, 6, 2), window=(8, 7, 7), block=Block
    ):
        super().__init__()
        self.patch_embed = PatchEmbed(wide)
        last = len(depths) - 1
        self.layers = nn.ModuleList(
            Stage(wide * 2**i, heads * 2**i, window, depth, i == last, block)
            for i, depth in enumerate(depths)
        )
        self.norm = nn.LayerNorm(wide * 2**last)

    def forward(self, x):
        x = self.patch_embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x).permute(0, 4, 1, 2, 3)
