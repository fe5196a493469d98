"""TA2Net, paper 4: which frames of a silent video should be heard, as a family."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import Conversion, Family, Variables
from rac_jax.counting.needs import FrameNeeds, Needs
from rac_jax.counting.options import option

if TYPE_CHECKING:
    import argparse

    import flax.linen as nn
    import jax

    from rac_jax.models.ta2net.estimator import EventEstimator
    from rac_jax.train.recipe import Recipe

# Two classes: the likelier one. The paper gives no threshold.
THRESHOLD = 0.5


@dataclasses.dataclass(frozen=True)
class EventOptions:
    """How events are marked."""

    threshold: float | None = option(
        None,
        "probability from which a frame may be an event, 0 to 1 (default: what the model says, "
        f"else {THRESHOLD})",
        least=0.0,
    )
    place: str = option(
        "turning",
        "where an event is: where motion turns round most (default), or where the model's map is "
        "highest",
        choices=("turning", "map"),
    )

    def threshold_of(self, config: Mapping[str, Any]) -> float:
        """The threshold with a model.

        Raises:
          ValueError: if it is not from 0 to 1.
        """
        value = config.get("threshold", THRESHOLD)
        if self.threshold is not None:
            value = self.threshold
        if not 0 <= value <= 1:
            raise ValueError(f"threshold: {value} is not from 0 to 1")
        return float(value)


class TA2NetFamily(Family):
    """Pictures, their flow and its inflection, read for the frames in which something sounds."""

    name = "ta2net"
    Options = EventOptions

    def needs(self, config: Mapping[str, Any], options: EventOptions) -> Needs:
        size = int(config["preprocessing"]["size"])
        how = config["preprocessing"].get("interpolation", "area")
        return Needs(FrameNeeds(size=(size, size), interpolation=how), None)

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.ta2net.network import TA2Net

        return build(TA2Net, self.name, arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        import jax
        import jax.numpy as jnp

        # Variables do not depend on the size of a picture.
        shape = (1, network.frames, 32, 32, 3)
        return (jax.ShapeDtypeStruct(shape, jnp.float32),)

    def initialise(self, network: "nn.Module", key: "jax.Array") -> Variables:
        """Draws what `init` would, whose program takes 20 s to compile."""
        import flax.traverse_util
        import numpy as np

        from rac_jax.counting.programs import abstract_variables
        from rac_jax.encoders.initialise import draw_variables

        shapes = abstract_variables(network, self.example_inputs(network))
        variables = draw_variables(shapes, key)
        flat = flax.traverse_util.flatten_dict(variables, sep="/")
        for path, array in flat.items():
            # Outside of encoders what comes in decides how large weights are (LeCun, 1998).
            if path.endswith("/kernel") and "_encoder/" not in path:
                inputs = np.prod(array.shape[:-1])
                flat[path] = array / (np.std(array) * np.sqrt(inputs))
        return flax.traverse_util.unflatten_dict(flat, sep="/")

    def estimator(
        self,
        network: "nn.Module",
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ) -> "EventEstimator":
        from rac_jax.models.ta2net.estimator import EventEstimator

        return EventEstimator(network, variables, config, batch_sizes)

    def recipe(self) -> "Recipe":
        from rac_jax.models.ta2net.recipe import RECIPE

        return RECIPE

    def conversions(self) -> tuple[Conversion, ...]:
        return (
            Conversion(
                self.name,
                "TA2Net trained with its authors' modules",
                _add_arguments,
                _read,
            ),
        )

    def to_torch(self, network: "nn.Module", variables: Variables) -> dict[str, Any]:
        from rac_jax.models.ta2net.conversion import to_torch

        return to_torch(network, variables)


def _add_arguments(parser: "argparse.ArgumentParser") -> None:
    parser.add_argument(
        "--weights", metavar="FILE", required=True, help="the state dict"
    )


def _read(args: "argparse.Namespace") -> tuple[dict[str, Any], Variables]:
    from rac_jax.models.ta2net.conversion import read_torch

    return read_torch(args.weights)


FAMILY = TA2NetFamily()
