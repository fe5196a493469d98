"""The same GMFlow, of one scale and without refinements, as one would write it for speed.

A clip's frames are encoded together, once each; all pairs of neighbours go through the transformer
as one batch, both ways of one correlation. Tokens are put into windows by a roll and a reshape
once per block, and stay so through attention and feed-forward part; what a roll brings together is
kept apart by a mask. Names and numbers are those of `gmflow`, which loops over pixels.
"""

import functools

import torch
from torch.nn import functional

from benchmarks.torch_reference import gmflow

SPLITS = gmflow.SPLITS[0]


@functools.cache
def tiled_positions(height: int, width: int, wide: int) -> torch.Tensor:
    """Positions within each window: [H, W, C]."""
    own = gmflow.positions(height // SPLITS, width // SPLITS, wide)
    return own.repeat(SPLITS, SPLITS, 1)


@functools.cache
def apart(height: int, width: int) -> torch.Tensor:
    """Of windows that begin half a window later, which tokens see each other: bool [S², M, M]."""
    high, wide = height // SPLITS, width // SPLITS
    rows, columns = torch.arange(height), torch.arange(width)
    # The last half window of a side is what the roll has brought there from the other end.
    sides = (rows >= height - high // 2)[:, None] * 2 + (columns >= width - wide // 2)
    parts = to_windows(sides[None, ..., None].float())[0, ..., 0]  # [S², M]
    return parts[:, :, None] == parts[:, None]


def to_windows(x: torch.Tensor) -> torch.Tensor:
    """[N, H, W, C] to [N, S², M, C]."""
    number, height, width, wide = x.shape
    x = x.reshape(number, SPLITS, height // SPLITS, SPLITS, width // SPLITS, wide)
    return x.transpose(2, 3).reshape(number, SPLITS**2, -1, wide)


def from_windows(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """[N, S², M, C] to [N, H, W, C]."""
    number, wide = len(x), x.shape[-1]
    x = x.reshape(number, SPLITS, SPLITS, height // SPLITS, width // SPLITS, wide)
    return x.transpose(2, 3).reshape(number, height, width, wide)


def message(
    layer: gmflow.Attention,
    source: torch.Tensor,
    target: torch.Tensor,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """What tokens [N, S², M, C] learn from others in the same window, added to them."""
    # Windows take the place of heads.
    mixed = functional.scaled_dot_product_attention(
        layer.q_proj(source), layer.k_proj(target), layer.v_proj(target), mask
    )
    learned = layer.norm1(layer.merge(mixed))
    if layer.feeds_forward:
        learned = layer.norm2(layer.mlp(torch.cat([source, learned], dim=-1)))
    return source + learned


class QuickGMFlow(gmflow.GMFlow):
    """The flow between neighbouring frames of a clip; its parameters are `gmflow.GMFlow`'s."""

    def __init__(self, **arguments):
        super().__init__(scales=1, refinements=0, **arguments)
        colours = torch.tensor([gmflow.MEAN, gmflow.STD]).reshape(2, 1, 3, 1, 1)
        self.register_buffer("colours", colours, persistent=False)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The flow there and back.

        Args:
          frames: [T, 3, H, W] in 0..255, H and W multiples of 16.

        Returns:
          [T - 1, 2, H, W] from each frame to the next, and from each but the first to the one
          before, in pixels to the right and down.
        """
        mean, deviation = self.colours
        (features,) = self.backbone((frames / 255 - mean) / deviation)
        features = features.permute(0, 2, 3, 1)  # [T, h, w, C]
        height, width, wide = features.shape[1:]
        features = features + tiled_positions(height, width, wide)

        # The two pictures of every pair learn of each other.
        pairs = len(frames) - 1
        both = torch.cat([features[:-1], features[1:]])  # [2 P, h, w, C]
        for place, block in enumerate(self.transformer.layers):
            both = self._block(block, both, shifted=place % 2 == 1)

        # The match, and then: what looks alike moves alike.
        tokens = both.reshape(2 * pairs, height * width, wide)
        grid = gmflow.pixels(height, width).reshape(-1, 2)
        scores = tokens[:pairs] @ tokens[pairs:].transpose(1, 2) / wide**0.5
        ways = scores.softmax(-1) @ grid, scores.transpose(1, 2).softmax(-1) @ grid
        flow = torch.cat(ways) - grid  # [2 P, h w, 2]
        query = self.feature_flow_attn.q_proj(tokens)
        key = self.feature_flow_attn.k_proj(query)
        alike = (query @ key.transpose(1, 2) / wide**0.5).softmax(-1)
        flow = (alike @ flow).transpose(1, 2).reshape(-1, 2, height, width)

        large = self._enlarged(flow, both.permute(0, 3, 1, 2))
        return large[:pairs], large[pairs:]

    def _block(
        self, block: gmflow.Block, both: torch.Tensor, shifted: bool
    ) -> torch.Tensor:
        """One block over the first pictures [P, h, w, C] and then the second ones."""
        height, width = both.shape[1:3]
        shift = height // SPLITS // 2, width // SPLITS // 2
        mask = None
        if shifted:
            both = both.roll([-n for n in shift], (1, 2))
            mask = apart(height, width)
        tokens = to_windows(both)
        # What the other picture answers with is as it was before this block.
        others = torch.cat(tokens.chunk(2)[::-1])
        tokens = message(block.self_attn, tokens, tokens, mask)
        tokens = message(block.cross_attn_ffn, tokens, others, mask)
        both = from_windows(tokens, height, width)
        return both.roll(shift, (1, 2)) if shifted else both

    def _enlarged(self, flow: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """A flow [N, 2, h, w] in full size, each pixel a learned mean of nine."""
        number, _, height, width = flow.shape
        factor = self.factor
        scores = self.upsampler(torch.cat([flow, features], dim=1))
        weights = scores.reshape(number, 1, 9, factor, factor, height, width).softmax(2)
        near = functional.unfold(factor * flow, 3, padding=1)
        near = near.reshape(number, 2, 9, 1, 1, height, width)
        fine = (weights * near).sum(2)  # [N, 2, f, f, h, w]
        fine = fine.permute(0, 1, 4, 2, 5, 3)
        return fine.reshape(number, 2, factor * height, factor * width)
