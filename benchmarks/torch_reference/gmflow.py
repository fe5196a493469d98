"""GMFlow with its authors' names, written plainly: loops over windows, places and pixels.

Attention is computed window by window from explicit lists of the pixels that see each other, and
nearby matches pixel by pixel through PyTorch's own sampling, so that nothing of the tricks with
rolling, gathering and linearity is shared with what is tested against it. From the paper (Xu et
al., CVPR 2022, section 3) and the public names and shapes; small pictures only.
"""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional as F

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SPLITS = (2, 8)
REACH = 4


class Residual(nn.Module):
    """Two convolutions beside a shortcut; each is normalised over the picture."""

    def __init__(self, before, wide, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, wide, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(wide, wide, 3, 1, 1, bias=False)
        self.norm = nn.InstanceNorm2d(wide)
        if stride > 1 or before != wide:
            shortcut = nn.Conv2d(before, wide, 1, stride)
            self.downsample = nn.Sequential(shortcut, nn.InstanceNorm2d(wide))

    def forward(self, x):
        y = torch.relu(self.norm(self.conv1(x)))
        y = torch.relu(self.norm(self.conv2(y)))
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        return torch.relu(x + y)


class Trident(nn.Module):
    """One weight at two strides."""

    def __init__(self, wide):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(wide, wide, 3, 3))

    def forward(self, x):
        return [F.conv2d(x, self.weight, stride=stride, padding=1) for stride in (2, 1)]


class Backbone(nn.Module):
    """Features at one or two scales, the small ones first."""

    def __init__(self, wide, scales):
        super().__init__()
        self.conv1 = nn.Conv2d(3, wide[0], 7, 2, 3, bias=False)
        self.norm = nn.InstanceNorm2d(wide[0])
        before = wide[0]
        strides = (1, 2, 2 if scales == 1 else 1)
        for stage, (channels, stride) in enumerate(zip(wide, strides, strict=True), 1):
            blocks = (
                Residual(before, channels, stride),
                Residual(channels, channels, 1),
            )
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            before = channels
        self.conv2 = nn.Conv2d(before, before, 1)
        if scales == 2:
            self.trident_conv = Trident(before)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv1(x)))
        x = self.conv2(self.layer3(self.layer2(self.layer1(x))))
        return self.trident_conv(x) if hasattr(self, "trident_conv") else [x]


def windows(height, width, splits, shifted):
    """Lists of the pixels (row, column) that see each other."""
    high, wide = height // splits, width // splits
    down, right = (high // 2, wide // 2) if shifted else (0, 0)
    groups = {}
    for row, column in itertools.product(range(height), range(width)):
        # Moved up and to the left; what comes in at the other end is a group of its own.
        at_row, at_column = (row - down) % height, (column - right) % width
        name = (at_row // high, at_column // wide, row < down, column < right)
        groups.setdefault(name, []).append((row, column))
    return list(groups.values())


class Attention(nn.Module):
    """A message from a picture to each pixel of another, or of itself."""

    def __init__(self, wide, feeds_forward):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "merge"):
            setattr(self, name, nn.Linear(wide, wide, bias=False))
        self.norm1 = nn.LayerNorm(wide)
        self.feeds_forward = feeds_forward
        if feeds_forward:
            self.mlp = nn.Sequential(
                nn.Linear(2 * wide, 8 * wide, bias=False),
                nn.GELU(),
                nn.Linear(8 * wide, wide, bias=False),
            )
            self.norm2 = nn.LayerNorm(wide)

    def forward(self, source, target, splits, shifted):
        """[H, W, C] each."""
        height, width, wide = source.shape
        message = torch.zeros_like(source)
        for group in windows(height, width, splits, shifted):
            rows, columns = map(list, zip(*group, strict=True))
            query = self.q_proj(source[rows, columns])
            key = self.k_proj(target[rows, columns])
            value = self.v_proj(target[rows, columns])
            weights = torch.softmax(query @ key.T / math.sqrt(wide), dim=-1)
            message[rows, columns] = weights @ value
        message = self.norm1(self.merge(message))
        if self.feeds_forward:
            message = self.norm2(self.mlp(torch.cat([source, message], dim=-1)))
        return source + message


class Block(nn.Module):
    """A picture looks at itself, then at the other one."""

    def __init__(self, wide):
        super().__init__()
        self.self_attn = Attention(wide, False)
        self.cross_attn_ffn = Attention(wide, True)


class Transformer(nn.Module):
    """All blocks; every second one has windows that begin later."""

    def __init__(self, wide, blocks):
        super().__init__()
        self.layers = nn.ModuleList(Block(wide) for _ in range(blocks))

    def forward(self, one, two, splits):
        """[H, W, C] of two pictures."""
        for place, block in enumerate(self.layers):
            shifted = place % 2 == 1
            pair = []
            for mine, other in ((one, two), (two, one)):
                mine = block.self_attn(mine, mine, splits, shifted)
                pair.append(block.cross_attn_ffn(mine, other, splits, shifted))
            one, two = pair
        return one, two


def positions(height, width, wide):
    """[H, W, C]: half of the channels for the row, then half for the column."""
    table = torch.zeros(height, width, wide)
    half = wide // 2
    for row, column in itertools.product(range(height), range(width)):
        for channel in range(half):
            wave = 10000.0 ** (2 * (channel // 2) / half)
            curve = math.cos if channel % 2 else math.sin
            for start, place, size in ((0, row, height), (half, column, width)):
                angle = 2 * math.pi * (place + 1) / (size + 1e-6)
                table[row, column, start + channel] = curve(angle / wave)
    return table


class Propagation(nn.Module):
    """The flow of what looks alike."""

    def __init__(self, wide):
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(wide, wide), nn.Linear(wide, wide)

    def forward(self, features, flow, radius):
        """[H, W, C] and [H, W, 2]."""
        height, width, wide = features.shape
        query = self.q_proj(features)
        if not radius:
            query = query.reshape(-1, wide)
            scores = query @ self.k_proj(query).T / math.sqrt(wide)
            return (torch.softmax(scores, -1) @ flow.reshape(-1, 2)).reshape(flow.shape)
        key = F.pad(self.k_proj(features), (0, 0, radius, radius, radius, radius))
        value = F.pad(flow, (0, 0, radius, radius, radius, radius))
        found = torch.zeros_like(flow)
        side = 2 * radius + 1
        for row, column in itertools.product(range(height), range(width)):
            near = key[row : row + side, column : column + side].reshape(-1, wide)
            weights = torch.softmax(near @ query[row, column] / math.sqrt(wide), 0)
            moves = value[row : row + side, column : column + side].reshape(-1, 2)
            found[row, column] = weights @ moves
        return found


def sampled(image, points):
    """[H, W, C] at points [..., 2] (x, y) in pixels, 0 outside."""
    height, width, _ = image.shape
    size = torch.tensor([width - 1, height - 1])
    grid = (2 * points / size - 1).reshape(1, 1, -1, 2)
    found = F.grid_sample(image.permute(2, 0, 1)[None], grid, align_corners=True)
    return found[0, :, 0].T.reshape(*points.shape[:-1], -1)


def pixels(height, width):
    """[H, W, 2], x before y."""
    rows, columns = torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing="ij"
    )
    return torch.stack([columns, rows], -1).float()


def around(radius):
    """Offsets of a window, row by row, x before y. [K, 2]"""
    span = range(-radius, radius + 1)
    return torch.tensor([(x, y) for y in span for x in span]).float()


def global_match(one, two):
    """Expected partners, there and back. Each [H, W, 2]"""
    height, width, wide = one.shape
    grid = pixels(height, width)
    scores = one.reshape(-1, wide) @ two.reshape(-1, wide).T / math.sqrt(wide)
    places = grid.reshape(-1, 2)
    there, back = (torch.softmax(s, -1) @ places for s in (scores, scores.T))
    return there.reshape(grid.shape) - grid, back.reshape(grid.shape) - grid


def local_match(one, two):
    """The expected partner among the pixels within `REACH` of each. [H, W, 2]"""
    height, width, wide = one.shape
    found = torch.zeros(height, width, 2)
    for row, column in itertools.product(range(height), range(width)):
        here = torch.tensor([column, row]).float()
        points = here + around(REACH)
        kept = [
            point
            for point in points
            if 0 <= point[0] < width and 0 <= point[1] < height
        ]
        features = torch.stack([two[int(y), int(x)] for x, y in kept])
        weights = torch.softmax(features @ one[row, column] / math.sqrt(wide), 0)
        found[row, column] = weights @ torch.stack(kept) - here
    return found


def local_correlation(one, two, flow):
    """Products with the features around where the flow leads to. [H, W, 81]"""
    points = (pixels(*flow.shape[:2]) + flow)[:, :, None] + around(REACH)
    return (sampled(two, points) * one[:, :, None]).sum(-1) / math.sqrt(one.shape[-1])


def bilinear(flow, factor):
    """[H, W, 2] larger, in pixels of the larger picture."""
    large = F.interpolate(
        flow.permute(2, 0, 1)[None],
        scale_factor=factor,
        mode="bilinear",
        align_corners=True,
    )
    return factor * large[0].permute(1, 2, 0)


def convex(flow, scores, factor):
    """[H, W, 2] larger; every pixel is a mean of nine. Scores are [9 f², H, W]."""
    height, width, _ = flow.shape
    padded = F.pad(factor * flow, (0, 0, 1, 1, 1, 1))
    scores = torch.softmax(scores.reshape(9, factor, factor, height, width), 0)
    large = torch.zeros(factor * height, factor * width, 2)
    for row, column in itertools.product(range(height), range(width)):
        near = padded[row : row + 3, column : column + 3].reshape(9, 2)
        fine = torch.einsum("kij,kx->ijx", scores[..., row, column], near)
        top, left = factor * row, factor * column
        large[top : top + factor, left : left + factor] = fine
    return large


class MotionEncoder(nn.Module):
    """What is known of the motion so far."""

    def __init__(self, wide, sizes):
        super().__init__()
        c1, c2, f1, f2 = sizes
        self.convc1 = nn.Conv2d((2 * REACH + 1) ** 2, c1, 1)
        self.convc2 = nn.Conv2d(c1, c2, 3, 1, 1)
        self.convf1 = nn.Conv2d(2, f1, 7, 1, 3)
        self.convf2 = nn.Conv2d(f1, f2, 3, 1, 1)
        self.conv = nn.Conv2d(c2 + f2, wide - 2, 3, 1, 1)

    def forward(self, flow, fit):
        fit = torch.relu(self.convc2(torch.relu(self.convc1(fit))))
        move = torch.relu(self.convf2(torch.relu(self.convf1(flow))))
        return torch.cat([torch.relu(self.conv(torch.cat([fit, move], 1))), flow], 1)


class Gru(nn.Module):
    """A gated unit along the rows, then one along the columns."""

    def __init__(self, wide):
        super().__init__()
        for place, size in ((1, (1, 5)), (2, (5, 1))):
            for gate in "zrq":
                pad = tuple(n // 2 for n in size)
                layer = nn.Conv2d(3 * wide, wide, size, padding=pad)
                setattr(self, f"conv{gate}{place}", layer)

    def forward(self, hidden, seen):
        for place in (1, 2):
            update, reset, new = (getattr(self, f"conv{gate}{place}") for gate in "zrq")
            both = torch.cat([hidden, seen], 1)
            z, r = torch.sigmoid(update(both)), torch.sigmoid(reset(both))
            q = torch.tanh(new(torch.cat([r * hidden, seen], 1)))
            hidden = (1 - z) * hidden + z * q
        return hidden


class FlowHead(nn.Module):
    def __init__(self, wide, hidden):
        super().__init__()
        self.conv1 = nn.Conv2d(wide, hidden, 3, 1, 1)
        self.conv2 = nn.Conv2d(hidden, 2, 3, 1, 1)

    def forward(self, x):
        return self.conv2(torch.relu(self.conv1(x)))


def scores_of_nine(before, hidden, factor):
    """Layers that say how to enlarge."""
    last = nn.Conv2d(hidden, 9 * factor**2, 1)
    return nn.Sequential(nn.Conv2d(before, hidden, 3, 1, 1), nn.ReLU(), last)


class Refine(nn.Module):
    def __init__(self, wide, hidden, sizes, factor):
        super().__init__()
        self.encoder = MotionEncoder(wide, sizes)
        self.gru = Gru(wide)
        self.flow_head = FlowHead(wide, hidden)
        self.mask = scores_of_nine(wide, hidden, factor)


class GMFlow(nn.Module):
    """The network; `wide` are the channels of the stages, the rest as published for 128."""

    def __init__(
        self,
        scales=1,
        refinements=0,
        wide=(64, 96, 128),
        blocks=6,
        hidden=256,
        sizes=(256, 192, 128, 64),
    ):
        super().__init__()
        self.factor = 8 // scales
        self.refinements = refinements
        self.backbone = Backbone(wide, scales)
        self.transformer = Transformer(wide[-1], blocks)
        self.feature_flow_attn = Propagation(wide[-1])
        if refinements:
            self.refine_proj = nn.Conv2d(wide[-1], 2 * wide[-1], 1)
            self.refine = Refine(wide[-1], hidden, sizes, self.factor)
        else:
            self.upsampler = scores_of_nine(2 + wide[-1], hidden, self.factor)

    def forward(self, one, two, back=False):
        """All predictions of one pair.

        Args:
          one, two: [3, H, W] in 0..255, H and W multiples of 16 (of 32 for two scales).
          back: predict the flow from the second to the first, of the same matches.

        Returns:
          Flows [H, W, 2], the last one the finest.
        """
        mean, std = (torch.tensor(x).reshape(3, 1, 1) for x in (MEAN, STD))
        images = torch.stack([(image / 255 - mean) / std for image in (one, two)])
        flow, steps = None, []
        scales = self.backbone(images)
        for scale, features in enumerate(scales):
            first, second = features.permute(0, 2, 3, 1)
            if back and scale:
                first, second = second, first
            plain = first, second
            if flow is not None:
                flow = bilinear(flow, 2)
                second = sampled(second, pixels(*flow.shape[:2]) + flow)
            splits = SPLITS[scale]
            size = first.shape[0] // splits, first.shape[1] // splits
            places = positions(*size, first.shape[-1]).repeat(splits, splits, 1)
            first, second = self.transformer(first + places, second + places, splits)
            if scale:
                flow = flow + local_match(first, second)
            else:
                flow = global_match(first, second)[back]
                first = second if back else first
            larger = self.factor * 2 ** (len(scales) - 1 - scale)
            steps.append(bilinear(flow, larger))
            flow = self.feature_flow_attn(first, flow, scale)
            steps.append(bilinear(flow, larger))
        planes = first.permute(2, 0, 1)[None]
        if not self.refinements:
            both = torch.cat([flow.permute(2, 0, 1)[None], planes], 1)
            steps[-1] = convex(flow, self.upsampler(both)[0], self.factor)
        for _ in range(self.refinements):
            fit = local_correlation(*plain, flow).permute(2, 0, 1)[None]
            hidden, context = self.refine_proj(planes).chunk(2, 1)
            known = self.refine.encoder(flow.permute(2, 0, 1)[None], fit)
            seen = torch.cat([torch.relu(context), known], 1)
            hidden = self.refine.gru(torch.tanh(hidden), seen)
            flow = flow + self.refine.flow_head(hidden)[0].permute(1, 2, 0)
            steps.append(convex(flow, self.refine.mask(hidden)[0], self.factor))
        return steps


@torch.no_grad()
def soften(network: GMFlow) -> None:
    """Makes random weights such that features are small.

    Of large ones all softmaxes are hard, and where two places tie, rounding would decide.
    """
    network.backbone.conv2.weight.mul_(0.3)
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.uniform_(0.2, 0.5)
            module.bias.uniform_(-0.2, 0.2)
