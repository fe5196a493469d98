"""TransRAC, counting by a density map (CVPR 2022), as a family; and what LMRL's shares with it."""

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

    from rac_jax.models.transrac.estimator import DensityEstimator
    from rac_jax.train.recipe import Recipe

# Ours; the papers', which show a network N frames of the whole video; and that as TransRAC's
# authors' tools do it.
PROTOCOLS = ("blended", "paper", "released")
STRIDES = (1, 2, 4, 8)


@dataclasses.dataclass(frozen=True)
class DensityOptions:
    """How a video is counted."""

    protocol: str | None = option(
        None,
        "overlapping windows whose stride is chosen along time, or as many frames as a window "
        "has of the whole video, as in the papers or to the letter of TransRAC's tools "
        "(default: what the model says)",
        choices=PROTOCOLS,
    )
    stride: int | None = option(
        None,
        "blended protocol: temporal stride in frames (default: chosen of all)",
        least=1,
    )

    @property
    def strides(self) -> tuple[int, ...]:
        """The temporal strides to look at."""
        return STRIDES if self.stride is None else (self.stride,)


class DensityFamily(Family):
    """A family whose networks say how much of a repetition lies in each frame of a window."""

    Options = DensityOptions

    def needs(self, config: Mapping[str, Any], options: DensityOptions) -> Needs:
        size = int(config["preprocessing"]["size"])
        how = config["preprocessing"].get("interpolation", "area")
        return Needs(FrameNeeds(size=(size, size), interpolation=how), None)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        import jax
        import jax.numpy as jnp

        # Variables do not depend on the size of a picture.
        shape = (1, network.frames, 32, 32, 3)
        return (jax.ShapeDtypeStruct(shape, jnp.float32),)

    def estimator(
        self,
        network: "nn.Module",
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ) -> "DensityEstimator":
        from rac_jax.models.transrac.estimator import DensityEstimator

        return DensityEstimator(self.name, network, variables, config, batch_sizes)


class TransRACFamily(DensityFamily):
    """Attention between frames at several scales, read for the density of repetitions."""

    name = "transrac"

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.transrac.network import TransRAC

        return build(TransRAC, self.name, arguments)

    def recipe(self) -> "Recipe":
        from rac_jax.models.transrac.recipe import RECIPE

        return RECIPE

    def conversions(self) -> tuple[Conversion, ...]:
        return (
            Conversion(self.name, "TransRAC's released weights", _add_arguments, _read),
        )

    def to_torch(self, network: "nn.Module", variables: Variables) -> dict[str, Any]:
        from rac_jax.models.transrac.conversion import to_torch

        return to_torch(network, variables)


def _add_arguments(parser: "argparse.ArgumentParser") -> None:
    parser.add_argument(
        "--weights", metavar="FILE", required=True, help="the authors' file"
    )


def _read(args: "argparse.Namespace") -> tuple[dict[str, Any], Variables]:
    from rac_jax.models.transrac.conversion import read_torch

    return read_torch(args.weights)


FAMILY = TransRACFamily()
