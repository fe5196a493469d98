"""Counters without learning, `frame-differences` and `self-similarity`, as a family."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import Family, Variables
from rac_jax.counting.needs import FrameNeeds, Needs

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

    from rac_jax.models.baselines.estimator import BaselineEstimator


class Baselines(Family):
    """Baselines by sight alone: no variables, no options, nothing to train."""

    name = "baseline"

    def needs(self, config: Mapping[str, Any], options: Any) -> Needs:
        size = int(config["preprocessing"]["size"])
        return Needs(FrameNeeds(size=(size, size), colour="grey"), None)

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.baselines.network import Baseline

        return build(Baseline, self.name, arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        return ()

    def estimator(
        self,
        network: "nn.Module",
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ) -> "BaselineEstimator":
        from rac_jax.models.baselines.estimator import BaselineEstimator

        return BaselineEstimator(network.similarity)


FAMILY = Baselines()
