"""Counting by sight and sound: Zhang, Shao and Snoek (CVPR 2021), paper 1, as a family."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import Conversion, Family, Variables
from rac_jax.counting.needs import FrameNeeds, Needs, SoundNeeds
from rac_jax.counting.options import chosen, option

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

    from rac_jax.models.sight_sound.estimator import SightSoundEstimator
    from rac_jax.train.recipe import Recipe

PROTOCOLS = ("paper", "released")


@dataclasses.dataclass(frozen=True)
class SightSoundOptions:
    """How a video is counted.

    Raises:
      ValueError: if neither stream is wanted, or a value is out of range.
    """

    protocol: str | None = option(
        None,
        "how clips are drawn and fused: as in the paper, or exactly as in the authors' "
        "released code (default: what the model says)",
        choices=PROTOCOLS,
    )
    stride: int | None = option(
        None,
        "temporal stride in frames (default: the ranker chooses)",
        least=1,
    )
    max_stride: int | None = option(
        None,
        "largest stride the ranker may choose (default: what the model says)",
        least=1,
    )
    sight: bool = option(True, "count by sound alone")
    sound: bool = option(True, "count by sight alone")
    seed: int = option(0, "of the released protocol's random pairs of windows", least=0)

    def __post_init__(self):
        if not (self.sight or self.sound):
            raise ValueError("sight, sound: at least one of them is needed")


class SightSoundFamily(Family):
    """Two streams that count, a ranker of temporal strides, and the reliability of the sound."""

    name = "sight_sound"
    Options = SightSoundOptions

    def needs(self, config: Mapping[str, Any], options: SightSoundOptions) -> Needs:
        preprocessing = config["preprocessing"]
        frames = sound = None
        if options.sight:
            size = int(preprocessing["size"])
            # The released code resizes as OpenCV does; our networks are trained on means.
            released = chosen(options, "protocol", config) == "released"
            frames = FrameNeeds(
                size=(size, size), interpolation="bilinear" if released else "area"
            )
        if options.sound:
            sound = SoundNeeds(int(preprocessing["audio_rate"]))
        return Needs(frames, sound)

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.sight_sound.network import SightSound

        renamed = {"reliability": "reliability_form"}
        return build(SightSound, self.name, arguments, renamed)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        import jax
        import jax.numpy as jnp

        # Variables do not depend on the sizes.
        return (
            jax.ShapeDtypeStruct((1, 8, 32, 32, 3), jnp.float32),
            jax.ShapeDtypeStruct((1, 32, 32), jnp.float32),
        )

    def initialise(self, network: "nn.Module", key: "jax.Array") -> Variables:
        from rac_jax.counting.programs import abstract_variables
        from rac_jax.encoders.initialise import draw_variables

        shapes = abstract_variables(network, self.example_inputs(network))
        return draw_variables(shapes, key)

    def estimator(
        self,
        network: "nn.Module",
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ) -> "SightSoundEstimator":
        from rac_jax.models.sight_sound.estimator import SightSoundEstimator

        return SightSoundEstimator(network, variables, config, batch_sizes)

    def recipe(self) -> "Recipe":
        from rac_jax.models.sight_sound.recipe import RECIPE

        return RECIPE

    def conversions(self) -> tuple[Conversion, ...]:
        from rac_jax.models.sight_sound.release import CONVERSION

        return (CONVERSION,)

    def to_torch(self, network: "nn.Module", variables: Variables) -> dict[str, Any]:
        from rac_jax.models.sight_sound.conversion import to_torch

        return to_torch(network, variables)


FAMILY = SightSoundFamily()
