"""LMRL, paper 2 (arXiv 2501.07312), as a family; it counts as TransRAC does."""

from typing import TYPE_CHECKING, Any

from rac_jax.models.transrac import DensityFamily

if TYPE_CHECKING:
    import flax.linen as nn

    from rac_jax.train.recipe import Recipe


class LMRLFamily(DensityFamily):
    """Similarity at several scales and a foreground, read for the density of repetitions."""

    name = "lmrl"

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.lmrl.network import LMRL

        return build(LMRL, self.name, arguments)

    def recipe(self) -> "Recipe":
        from rac_jax.models.lmrl.recipe import RECIPE

        return RECIPE


FAMILY = LMRLFamily()
