"""RepNet, class-agnostic counting by the period of every frame (CVPR 2020), as a family."""

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

    from rac_jax.models.repnet.estimator import RepNetEstimator
    from rac_jax.train.recipe import Recipe

# Ours, or the authors' notebook to the letter.
PROTOCOLS = ("blended", "released")
STRIDES = (1, 2, 3, 4)


@dataclasses.dataclass(frozen=True)
class RepNetOptions:
    """How a video is counted."""

    protocol: str | None = option(
        None,
        "overlapping windows whose stride is chosen along time, or exactly as in the authors' "
        "released code (default: what the model says)",
        choices=PROTOCOLS,
    )
    stride: int | None = option(
        None, "temporal stride in frames (default: chosen of all)", least=1
    )
    constant_speed: bool = option(
        False, "released protocol: all periods are of one length"
    )
    fully_periodic: bool = option(
        False, "released protocol: every frame belongs to a repetition"
    )

    @property
    def strides(self) -> tuple[int, ...]:
        """The temporal strides to look at."""
        return STRIDES if self.stride is None else (self.stride,)


class RepNetFamily(Family):
    """Self-similarity of frames, read for the period and the periodicity of each."""

    name = "repnet"
    Options = RepNetOptions

    def needs(self, config: Mapping[str, Any], options: RepNetOptions) -> Needs:
        size = int(config["preprocessing"].get("resized_from", 0))
        # The authors resize as OpenCV does, then take means of 2 x 2 pixels.
        how = "bilinear" if size else "area"
        size = size or int(config["preprocessing"]["size"])
        return Needs(FrameNeeds(size=(size, size), interpolation=how), None)

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.repnet.network import RepNet

        return build(RepNet, self.name, arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        import jax
        import jax.numpy as jnp

        # Variables do not depend on the size of a picture.
        shape = (1, network.frames, 16, 16, 3)
        return (jax.ShapeDtypeStruct(shape, jnp.float32),)

    def estimator(
        self,
        network: "nn.Module",
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ) -> "RepNetEstimator":
        from rac_jax.models.repnet.estimator import RepNetEstimator

        return RepNetEstimator(network, variables, config, batch_sizes)

    def recipe(self) -> "Recipe":
        from rac_jax.models.repnet.recipe import RECIPE

        return RECIPE

    def conversions(self) -> tuple[Conversion, ...]:
        return (
            Conversion(
                "repnet",
                "RepNet's public weights, the PyTorch port's or TensorFlow's",
                _add_arguments,
                _read,
            ),
        )

    def to_torch(self, network: "nn.Module", variables: Variables) -> dict[str, Any]:
        from rac_jax.models.repnet.conversion import to_torch

        return to_torch(network, variables)


def _add_arguments(parser: "argparse.ArgumentParser") -> None:
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--weights", metavar="FILE", help="the PyTorch port's file")
    group.add_argument(
        "--tensorflow",
        metavar="CHECKPOINT",
        help="TensorFlow's checkpoint, its prefix or folder (needs the extra tensorflow)",
    )


def _read(args: "argparse.Namespace") -> tuple[dict[str, Any], Variables]:
    from rac_jax.models.repnet import conversion

    if args.tensorflow:
        return conversion.read_tensorflow(args.tensorflow)
    return conversion.read_torch(args.weights)


FAMILY = RepNetFamily()
