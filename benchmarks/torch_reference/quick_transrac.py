"""TransRAC with all windows of a scale at once: what is timed, `transrac` is what is compared with.

The same modules and names; only how windows go through the backbone differs.
"""

import torch

from benchmarks.torch_reference import transrac


class TransRAC(transrac.TransRAC):
    """The network of `transrac`, quicker."""

    def windows(self, x, scale):
        """See `transrac.TransRAC.windows`."""
        before = {1: 0, 4: 2, 8: 4 + self.early}[scale]
        step = max(scale // 2, 1)
        batch, _, frames, _, _ = x.shape
        padded = torch.nn.functional.pad(x, (0, 0, 0, 0, before, scale))
        # [B, 3, W, H, W', scale], of which those that begin before the end are wanted.
        cut = padded.unfold(2, scale, step)[:, :, : frames // step]
        cut = cut.permute(0, 2, 1, 5, 3, 4).flatten(0, 1)
        tokens = self.backbone(cut).unflatten(0, (batch, -1))  # [B, W, C, t, h, w]
        return tokens.transpose(1, 2).flatten(2, 3)
