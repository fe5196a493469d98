"""Networks that name actions: what encoders learn before they count, as a family.

A model of this family does not count. It is trained on clips or sounds with a class
(`configs/pretrain.py`), and every other family's training takes its encoder:
`--config.start.sight_encoder=W/export`.
"""

from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import TrainableFamily, Variables

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

    from rac_jax.train.recipe import Recipe


class ClassifierFamily(TrainableFamily):
    """An encoder, its features pooled, and one dense layer."""

    name = "classifier"
    config_fields = ("class_names",)

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.classifier.network import Classifier

        return build(Classifier, self.name, arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        import jax
        import jax.numpy as jnp

        from rac_jax.models.classifier.network import EXAMPLES

        return (jax.ShapeDtypeStruct(EXAMPLES[network.input], jnp.float32),)

    def initialise(self, network: "nn.Module", key: "jax.Array") -> Variables:
        from rac_jax.counting.programs import abstract_variables
        from rac_jax.encoders.initialise import draw_variables
        from rac_jax.models.classifier.network import find_kind

        # Transformers' matrices are no heads, for which `draw_variables` would take them.
        if not find_kind(network.encoder).convolutional:
            return super().initialise(network, key)
        shapes = abstract_variables(network, self.example_inputs(network))
        return draw_variables(shapes, key)

    def recipe(self) -> "Recipe":
        from rac_jax.models.classifier.recipe import RECIPE

        return RECIPE

    def to_torch(
        self, network: "nn.Module", variables: Variables
    ) -> dict[str, Any] | None:
        """The encoder alone, with the published names, where they are known; see `rac convert`."""
        from rac_jax.encoders import ENCODERS, Encoder

        if network.encoder not in ENCODERS:
            return None
        maker = Encoder(network.encoder)
        alone = {kind: tree.get("encoder", {}) for kind, tree in variables.items()}
        return maker.to_torch(maker.network(width=network.width), alone)


FAMILY = ClassifierFamily()
