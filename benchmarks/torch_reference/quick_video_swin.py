"""Video Swin with all windows at once: what is timed, where `video_swin` is what is compared with.

The same modules and names; only how a block's windows are computed differs.
"""

import functools

import torch

from benchmarks.torch_reference import video_swin


def split(x, window):
    """[B, T, H, W, C] to [B · windows, M, C]."""
    batch, frames, height, width, wide = x.shape
    t, h, w = window
    x = x.view(batch, frames // t, t, height // h, h, width // w, w, wide)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, t * h * w, wide)


def joined(x, window, shape):
    """The way back, to [B, *shape, C]."""
    cut = [n // size for n, size in zip(shape, window, strict=True)]
    x = x.view(-1, *cut, *window, x.shape[-1])
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, *shape, x.shape[-1])


@functools.cache
def masks(shape, window, shift, device):
    """[windows, 1, M, M]: -100 between places that the shift alone has brought together."""
    number = torch.zeros(1, *shape, 1, device=device)
    for axis, (n, moved) in enumerate(zip(shape, shift, strict=True)):
        wrapped = (torch.arange(n, device=device) >= n - moved).float()
        view = [1] * 5
        view[axis + 1] = n
        number = 2 * number + wrapped.view(view)
    number = split(number, window)[..., 0]
    apart = number[:, None, :, None] != number[:, None, None, :]
    return torch.where(apart, -100.0, 0.0)


class Block(video_swin.Block):
    """A block whose attention is one product over all windows and heads."""

    def attend(self, x):
        shape = tuple(x.shape[1:4])
        window = tuple(min(n, size) for n, size in zip(shape, self.window, strict=True))
        shift = tuple(
            size // 2 if self.moved and n > size else 0
            for n, size in zip(shape, self.window, strict=True)
        )
        more = [-n % size for n, size in zip(shape, window, strict=True)]
        ends = [part for end in reversed(more) for part in (0, end)]
        x = torch.nn.functional.pad(x, (0, 0, *ends))
        full = tuple(x.shape[1:4])
        mask = None
        if any(shift):
            x = torch.roll(x, [-moved for moved in shift], (1, 2, 3))
            mask = masks(full, window, shift, x.device)
        x = joined(self._windows(split(x, window), mask), window, full)
        if any(shift):
            x = torch.roll(x, shift, (1, 2, 3))
        return x[:, : shape[0], : shape[1], : shape[2]]

    def _windows(self, x, mask):
        """[B · windows, M, C] likewise."""
        attn = self.attn
        rows, places, wide = x.shape
        heads, size = attn.heads, wide // attn.heads
        qkv = attn.qkv(x).view(rows, places, 3, heads, size)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        index = attn.relative_position_index[:places, :places]
        bias = attn.relative_position_bias_table[index].permute(2, 0, 1)
        scores = (query * size**-0.5) @ key.transpose(-2, -1) + bias
        if mask is not None:
            scores = scores.view(-1, len(mask), heads, places, places) + mask
            scores = scores.view(rows, heads, places, places)
        mixed = torch.softmax(scores, dim=-1).to(value.dtype) @ value
        return attn.proj(mixed.transpose(1, 2).reshape(rows, places, wide))


class VideoSwin(video_swin.VideoSwin):
    """The encoder of `video_swin`, quicker."""

    def __init__(self, *args, **options):
        super().__init__(*args, block=Block, **options)
