"""Counting by phases of a skeleton, as a family: ST-GCN and MS-G3D in paper 3's comparisons.

A model of this family counts skeletons, not videos (`rac_jax.models.skeleton_phases.counter`); so
`rac count` does not know what to do with it.
"""

from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import TrainableFamily

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

    from rac_jax.train.recipe import Recipe


class SkeletonPhases(TrainableFamily):
    """A network of skeletons that says the phase of a repetition four times a second."""

    name = "skeleton_phases"
    config_fields = ("scheme",)

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.skeleton_phases.network import PhasesOfSkeletons

        return build(PhasesOfSkeletons, self.name, arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        import jax
        import jax.numpy as jnp

        from rac_jax.encoders.skeleton_layers import example_shape

        shape = example_shape(network.layout, 1)
        return (jax.ShapeDtypeStruct(shape, jnp.float32),)

    def recipe(self) -> "Recipe":
        from rac_jax.models.skeleton_phases.recipe import RECIPE

        return RECIPE


FAMILY = SkeletonPhases()
