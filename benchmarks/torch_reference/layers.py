"""What the reference networks share."""

import dataclasses

import torch
from torch import nn
from torch.nn import functional


@dataclasses.dataclass
class Encoded:
    """Features of an encoder: before its last stage, and pooled after it."""

    stage3: torch.Tensor  # [B, C, *space]
    features: torch.Tensor  # [B, C]


def pooled(x: torch.Tensor) -> torch.Tensor:
    """The mean over space: [B, C, *space] to [B, C]."""
    return x.flatten(2).mean(dim=-1)


def scaled_unit(x: torch.Tensor, norm: float) -> torch.Tensor:
    """Vectors [B, C] scaled to length `norm`."""
    return functional.normalize(x, dim=-1) * norm


@torch.no_grad()
def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Draws every weight and statistic so that activations neither vanish nor explode.

    Args:
      network: changed in place, set to eval mode.
      seed: of the draws.

    Returns:
      The network.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))

    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            uniform(module.weight, 0.6, 1.4)
            uniform(module.bias, -0.2, 0.2)
            uniform(module.running_mean, -0.2, 0.2)
            uniform(module.running_var, 0.6, 1.6)
        elif isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            fan_in = module.weight[0].numel()
            noise = torch.randn(module.weight.shape, generator=generator)
            module.weight.copy_(noise * (2 / fan_in) ** 0.5)
            if module.bias is not None:
                uniform(module.bias, -0.5, 0.5)
    # After all others, whose draws do not depend on whether there are any.
    for name, parameter in network.named_parameters():
        if name.endswith("relative_position_bias_table"):
            uniform(parameter, -1.0, 1.0)
    return network.eval()
