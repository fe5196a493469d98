"""Listen to Look (paper 5): naming actions in long videos by previewing their sound, as a family.

Its models count nothing. `student.py` stands for a clip by one frame and a second of sound,
`skimming.py` chooses among a video's stored features; which of them a model is, its `part` says.
"""

from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import Conversion, TrainableFamily, Variables

if TYPE_CHECKING:
    import argparse

    import flax.linen as nn
    import jax

    from rac_jax.train.recipe import Recipe

STUDENT, SKIMMING = "student", "skimming"
PARTS = (STUDENT, SKIMMING)


class ListenToLookFamily(TrainableFamily):
    """An image-audio student, or a network that skims stored features."""

    name = "listen_to_look"

    def network(self, *, part: str = STUDENT, **arguments: Any) -> "nn.Module":
        """Builds a part; skimming computes in float32 whatever `dtype` is.

        Raises:
          TypeError: for an argument that the part does not have.
          ValueError: for an unknown part.
        """
        from rac_jax.encoders.initialise import build

        if part not in PARTS:
            raise ValueError(f"part: {part!r} is not one of {', '.join(PARTS)}")
        if part == SKIMMING:
            from rac_jax.models.listen_to_look.skimming import Skimming

            arguments.pop("dtype", None)
            return build(Skimming, f"{self.name} {part}", arguments)
        from rac_jax.models.listen_to_look.student import Student

        return build(Student, f"{self.name} {part}", arguments)

    def example_inputs(self, network: "nn.Module") -> tuple[Any, ...]:
        import jax
        import jax.numpy as jnp

        from rac_jax.models.listen_to_look.skimming import STEPS, Skimming

        if isinstance(network, Skimming):
            bank = jax.ShapeDtypeStruct((1, STEPS, network.features), jnp.float32)
            valid = jax.ShapeDtypeStruct((1, STEPS), jnp.bool_)
            return (bank,) * network.banks, valid
        return (
            jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32),
            jax.ShapeDtypeStruct((1, 101, 40), jnp.float32),
        )

    def initialise(self, network: "nn.Module", key: "jax.Array") -> Variables:
        import jax
        import jax.numpy as jnp

        from rac_jax.counting.programs import abstract_variables
        from rac_jax.encoders.initialise import draw_variables
        from rac_jax.models.listen_to_look.student import Student

        examples = self.example_inputs(network)
        # The released form merges rows by parameters of its own.
        if isinstance(network, Student) and not network.released:
            return draw_variables(abstract_variables(network, examples), key)
        inputs = jax.tree.map(lambda one: jnp.ones(one.shape, one.dtype), examples)
        variables = jax.device_get(jax.jit(network.init)(key, *inputs))
        return {"params": {}, "batch_stats": {}} | variables

    def recipe(self) -> "Recipe":
        from rac_jax.models.listen_to_look.recipe import RECIPE

        return RECIPE

    def conversions(self) -> tuple[Conversion, ...]:
        return (
            Conversion(
                "listen-to-look-student",
                "paper 5's released image and audio networks and their fusion",
                _add_student,
                _read_student,
            ),
            Conversion(
                "listen-to-look-skimming",
                "paper 5's released skimming network, of one modality or two",
                _add_skimming,
                _read_skimming,
            ),
        )

    def to_torch(
        self, network: "nn.Module", variables: Variables
    ) -> dict[str, Any] | None:
        """The released files; None for a student of the supplement's widths."""
        from rac_jax.models.listen_to_look.conversion import to_torch

        return to_torch(network, variables)


def _add_student(parser: "argparse.ArgumentParser") -> None:
    for name, what in (
        ("image", "the image network"),
        ("audio", "the audio network"),
        ("fusion", "fusion and classifier"),
    ):
        parser.add_argument(f"--{name}", metavar="FILE", required=True, help=what)


def _read_student(args: "argparse.Namespace") -> tuple[dict[str, Any], Variables]:
    from rac_jax.models.listen_to_look.conversion import read_student

    return read_student(args.image, args.audio, args.fusion)


def _add_skimming(parser: "argparse.ArgumentParser") -> None:
    parser.add_argument(
        "--weights", metavar="FILE", required=True, help="the skimming network"
    )


def _read_skimming(args: "argparse.Namespace") -> tuple[dict[str, Any], Variables]:
    from rac_jax.models.listen_to_look.conversion import read_skimmer

    return read_skimmer(args.weights)


FAMILY = ListenToLookFamily()
