"""SI-EN, counting by phases of a known exercise while it is seen (paper 3), as a family."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import Conversion, Family, Model, Pupil, Variables
from rac_jax.counting.needs import FrameNeeds, Needs
from rac_jax.counting.options import option

if TYPE_CHECKING:
    import argparse

    import flax.linen as nn
    import jax

    from rac_jax.models.sien.estimator import SIENEstimator
    from rac_jax.train.recipe import Recipe

# The released networks: their arguments by the kind of `rac convert`.
RELEASES = {
    "sien": {"kind": "efficientnet", "width": 1.4, "depth": 1.8},
    "simn": {"kind": "mobilenet", "width": 1.0, "depth": 1.0},
}
# The same of MediaPipe's landmark network; what it is fed with is a field of its own.
BLAZEPOSE = "si-blazepose"
BLAZEPOSE_ARGUMENTS = {"kind": "blazepose", "width": 1.0}
# What their authors feed them with: OpenCV's colours, in 0..1.
RELEASED = {
    "size": 256,
    "fps": 16.0,
    "colour": "bgr",
    "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
}


@dataclasses.dataclass(frozen=True)
class SIENOptions:
    """How a video is counted."""

    decoder: str | None = option(
        None,
        "how phases are counted: by the likeliest, as in the paper, or by two positions with a "
        "threshold each, as in the authors' tools (default: what the model says)",
        choices=("argmax", "thresholds"),
    )
    far_threshold: float = option(
        0.4, "probability from which the far position is taken, by thresholds"
    )
    home_threshold: float = option(
        0.4, "probability from which the other position is taken, by thresholds"
    )
    average: int | None = option(
        None,
        "predictions, four a second, whose mean is looked at (default: what the model says, "
        "else 1)",
        least=1,
    )


class PhaseFamily(Family):
    """A family whose networks say phases of a stream, counted by `SIENEstimator`."""

    Options = SIENOptions
    config_fields = ("scheme",)

    def estimator(
        self,
        network: "nn.Module",
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ) -> "SIENEstimator":
        from rac_jax.models.sien.estimator import SIENEstimator

        # A stream is one after the other: sizes of batches say nothing of it.
        del batch_sizes
        return SIENEstimator(network, variables, config)


class SIENFamily(PhaseFamily):
    """A causal network that says the phase of a repetition four times a second."""

    name = "sien"

    def needs(self, config: Mapping[str, Any], options: SIENOptions) -> Needs:
        fields = config["preprocessing"]
        size = int(fields["size"])
        frames = FrameNeeds(
            size=(size, size),
            aspect="pad",
            interpolation="bilinear",
            colour=fields["colour"],
            # Never fewer than the network is shown: they are chosen by time from these.
            most_fps=2 * float(fields["fps"]),
        )
        return Needs(frames, None)

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.sien.network import SIEN

        return build(SIEN, self.name, arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        import jax
        import jax.numpy as jnp

        from rac_jax.encoders.strided_inflated import STRIDE

        side = network.least_side
        return (jax.ShapeDtypeStruct((1, STRIDE, side, side, 3), jnp.float32),)

    def initialise(self, network: "nn.Module", key: "jax.Array") -> Variables:
        from rac_jax.counting.programs import abstract_variables
        from rac_jax.encoders import strided_blazepose
        from rac_jax.encoders.initialise import draw_variables
        from rac_jax.encoders.inverted_residuals import deviation, make_blocks
        from rac_jax.encoders.inverted_start import seeing_changes
        from rac_jax.encoders.strided_inflated import STEM_NAME

        shapes = abstract_variables(network, self.example_inputs(network))
        if network.kind == strided_blazepose.KIND:
            blocks = strided_blazepose.make_blocks(network.width)
        else:
            arguments = (network.kind, network.width, network.depth)
            blocks = make_blocks(*arguments, temporal=True)

        def scale(path: tuple[str, ...], shape: tuple[int, ...]) -> float | None:
            return deviation(path, shape, blocks) if "encoder" in path else None

        variables = draw_variables(shapes, key, scale)
        if network.stem_looks_back:
            stem = variables["params"]["encoder"][STEM_NAME]
            stem["kernel"] = seeing_changes(stem["kernel"])
        return variables

    def pupil(self, model: Model | None) -> Pupil | None:
        if model is None:
            return None
        from rac_jax.models.sien.pupil import make_pupil

        return make_pupil(model)

    def recipe(self) -> "Recipe":
        from rac_jax.models.sien.recipe import RECIPE

        return RECIPE

    def conversions(self) -> tuple[Conversion, ...]:
        import functools

        summaries = {
            "sien": "paper 3's released SI-EN, or one made of an EfficientNet-Lite",
            "simn": "the lighter network that was released beside paper 3's SI-EN",
            BLAZEPOSE: "paper 3's SI-BlazePose, made of the landmark network of MediaPipe",
        }
        return tuple(
            Conversion(
                kind,
                summary,
                functools.partial(_add_arguments, kind),
                functools.partial(_read, kind),
            )
            for kind, summary in summaries.items()
        )

    def to_torch(self, network: "nn.Module", variables: Variables) -> dict[str, Any]:
        from rac_jax.models.sien.conversion import to_torch

        return to_torch(network, variables)


def _add_arguments(kind: str, parser: "argparse.ArgumentParser") -> None:
    if kind == BLAZEPOSE:
        parser.add_argument(
            "--models",
            metavar="WHEEL",
            required=True,
            help="MediaPipe's wheel, or a folder with what is in it",
        )
        return
    if kind == "simn":
        parser.add_argument(
            "--weights", metavar="FILE", required=True, help="the released backbone"
        )
        return
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--weights", metavar="FILE", help="the released backbone")
    group.add_argument(
        "--efficientnet-lite",
        metavar="FILE",
        help="an EfficientNet-Lite's weights, which are inflated",
    )


def _read(kind: str, args: "argparse.Namespace") -> tuple[dict[str, Any], Variables]:
    from rac_jax.models.sien import conversion

    if kind == BLAZEPOSE:
        return conversion.read_blazepose(args.models)
    if kind == "sien" and args.efficientnet_lite:
        return conversion.read_efficientnet_lite(args.efficientnet_lite)
    return conversion.read_released(kind, args.weights)


FAMILY = SIENFamily()
