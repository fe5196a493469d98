"""The network of a baseline, which has none: it holds the name of the similarity."""

import flax.linen as nn

from rac_jax.models.baselines.estimator import SIMILARITIES


class Baseline(nn.Module):
    """Nothing to compute and no variables.

    Args:
      similarity: "differences" or "pixels", see `estimator`.
      dtype: of no use here; every family's network has it.
    """

    similarity: str = "pixels"
    dtype: str = "float32"

    def __post_init__(self):
        if self.similarity not in SIMILARITIES:
            raise ValueError(
                f"similarity {self.similarity!r} must be one of {', '.join(SIMILARITIES)}"
            )
        super().__post_init__()

    def __call__(self) -> None:
        """Does nothing, so that `init` finds no variables."""
