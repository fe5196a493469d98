"""Networks of optical flow, learned from scenes whose flow is known, as a family.

What is trained is the encoder `gmflow` itself, and what is exported is a folder of that encoder, as
`rac convert gmflow` makes one of the authors' files. It does not count: other families see by it.
"""

from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import TrainableFamily

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

    from rac_jax.train.recipe import Recipe

ENCODER = "gmflow"


class OpticalFlowFamily(TrainableFamily):
    """GMFlow, trained."""

    name = "optical_flow"

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders import Encoder

        return Encoder(ENCODER).network(**arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        from rac_jax.encoders import Encoder

        return Encoder(ENCODER).example_inputs(network)

    def recipe(self) -> "Recipe":
        from rac_jax.models.optical_flow.recipe import RECIPE

        return RECIPE


FAMILY = OpticalFlowFamily()
