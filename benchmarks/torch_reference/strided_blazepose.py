"""Paper 3's SI-BlazePose in PyTorch, written from MediaPipe's graph and section 3.1.1.

Every layer is named as ours are: "entry<i>" and, within it, what widens, the depthwise one, and
what narrows. Whole clips only, frames as the batch; `width` maps the published channels.
"""

import torch
from torch import nn
from torch.nn import functional

# Of the trunk: channels, depthwise taps, stride, widening.
TRUNK = [(16, 3, 1, 1)]
TRUNK += [(24, 3, 2, 4), (24, 3, 1, 6)]
TRUNK += [(32, 5, 2, 6), (32, 5, 1, 6)]
TRUNK += [(64, 3, 2, 6), (64, 3, 1, 6), (64, 3, 1, 6)]
TRUNK += [(88, 5, 1, 6)] * 3
TRUNK += [(144, 5, 2, 6)] + [(144, 5, 1, 6)] * 3
# Of what follows, by entry from 18 on: stride of space, frames seen, stride of time.
TAIL = [(2, 1, 1), (1, 1, 1), (1, 1, 1), (1, 3, 1), (1, 3, 2), (2, 3, 1), (1, 3, 2)]
TAIL += [(1, 3, 1)] * 4


def convolution(inputs, channels, taps=1, stride=1, groups=1):
    """With a bias, and as many zeros on both sides."""
    return nn.Conv2d(inputs, channels, taps, stride, taps // 2, groups=groups)


class Trunk(nn.Module):
    """An inverted residual block."""

    def __init__(self, inputs, channels, taps, stride, times):
        super().__init__()
        self.adds = stride == 1 and inputs == channels
        wide = inputs * times
        self.expand = convolution(inputs, wide) if times > 1 else None
        self.depthwise = convolution(wide, wide, taps, stride, groups=wide)
        self.project = convolution(wide, channels)

    def forward(self, x):
        y = x if self.expand is None else functional.relu6(self.expand(x))
        y = self.project(functional.relu6(self.depthwise(y)))
        return x + y if self.adds else y


class Widening(nn.Module):
    """Wider, depthwise, and no narrower."""

    def __init__(self, inputs, channels):
        super().__init__()
        self.expand = convolution(inputs, channels)
        self.depthwise = convolution(channels, channels, 3, groups=channels)

    def forward(self, x):
        return functional.relu6(self.depthwise(functional.relu6(self.expand(x))))


class Separable(nn.Module):
    """Depthwise and 1x1, the latter over `seen` frames, and a sum with a ReLU6 behind it."""

    def __init__(self, inputs, channels, stride=1, seen=1, skip=1):
        super().__init__()
        self.stride, self.seen, self.skip = stride, seen, skip
        self.adds = inputs == channels
        # Halving, TensorFlow pads an even side behind alone.
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, groups=inputs)
        self.project = convolution(seen * inputs, channels)

    def forward(self, x):
        before = 0 if self.stride == 2 else 1
        y = functional.pad(x, (before, 1, before, 1))
        y = functional.relu6(self.depthwise(y))
        frames = len(y)
        late = [
            functional.pad(y, (0, 0) * 3 + (age, 0))[:frames]
            for age in reversed(range(self.seen))
        ]
        y = self.project(torch.cat(late, dim=1)[self.skip - 1 :: self.skip])
        if not self.adds:
            return functional.relu6(y)
        kept = functional.max_pool2d(x, 2) if self.stride == 2 else x
        return functional.relu6(y + kept[self.skip - 1 :: self.skip])


class StridedBlazePose(nn.Module):
    """The network up to its features."""

    def __init__(self, width=lambda channels: channels):
        super().__init__()
        inputs, last = width(24), width(288)
        self.entry0 = convolution(3, inputs, 3, 2)
        for place, (channels, *rest) in enumerate(TRUNK, start=1):
            block = Trunk(inputs, width(channels), *rest)
            self.add_module(f"entry{place}", block)
            inputs = width(channels)
        self.entry16 = Widening(inputs, 6 * inputs)
        self.entry17 = Separable(6 * inputs, last)
        for place, row in enumerate(TAIL, start=18):
            self.add_module(f"entry{place}", Separable(last, last, *row))

    def forward(self, frames):
        """Frames [T, 3, H, W] of one clip to features [T / 4, C]."""
        stem, *blocks = self.children()
        x = functional.relu6(stem(frames))
        for block in blocks:
            x = block(x)
        return x.mean(dim=(2, 3))
