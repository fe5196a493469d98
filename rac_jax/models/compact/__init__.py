"""The compact counter: sight and sound in small, from self-similarity, as a family.

Not a published system; `network` says what it takes from which.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import Family, Variables
from rac_jax.counting.needs import FrameNeeds, Needs, SoundNeeds
from rac_jax.counting.options import option
from rac_jax.models.compact.grid import (
    GRID_BINS,
    MOST_FPS,
    STRIDES,
    WINDOW_FRAMES,
)
from rac_jax.ops.sound_format import RATE

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

    from rac_jax.models.compact.estimator import CompactEstimator
    from rac_jax.train.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class CompactOptions:
    """How a video is counted.

    Raises:
      ValueError: if neither stream is wanted.
    """

    stride: int | None = option(
        None,
        "temporal stride in frames (default: all, weighed against each other)",
        choices=STRIDES,
    )
    max_stride: int | None = option(
        None, "largest temporal stride to look at (default: all)", least=1
    )
    sight: bool = option(True, "count by sound alone")
    sound: bool = option(True, "count by sight alone")

    def __post_init__(self):
        if not (self.sight or self.sound):
            raise ValueError("sight, sound: at least one of them is needed")

    @property
    def strides(self) -> tuple[int, ...]:
        """The temporal strides to look at, rising."""
        if self.stride is not None:
            return (self.stride,)
        most = self.max_stride
        return tuple(one for one in STRIDES if most is None or one <= most)


class CompactFamily(Family):
    """Two small streams over windows at several strides, a decoder each, and a reliability."""

    name = "compact"
    Options = CompactOptions
    config_fields = ("decoding", "confidence")

    def needs(self, config: Mapping[str, Any], options: CompactOptions) -> Needs:
        size = int(config["preprocessing"]["size"])
        frames = FrameNeeds(size=(size, size), colour="grey", most_fps=MOST_FPS)
        return Needs(
            frames if options.sight else None,
            SoundNeeds(RATE) if options.sound else None,
        )

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.compact.network import Compact

        return build(Compact, self.name, arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        import jax
        import jax.numpy as jnp

        from rac_jax.models.compact.bands import SUB_FRAMES
        from rac_jax.ops.mel import BANDS

        # Variables do not depend on the size of a picture, nor on the number of steps.
        posteriors = (1, 1, GRID_BINS, 2 * len(STRIDES))
        shapes = (
            (1, WINDOW_FRAMES, 16, 16),
            (1, WINDOW_FRAMES, SUB_FRAMES, BANDS),
            posteriors,
            posteriors,
        )
        return tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)

    def estimator(
        self,
        network: "nn.Module",
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ) -> "CompactEstimator":
        from rac_jax.models.compact.estimator import CompactEstimator

        return CompactEstimator(network, variables, config, batch_sizes)

    def recipe(self) -> "Recipe":
        from rac_jax.models.compact.recipe import RECIPE

        return RECIPE


FAMILY = CompactFamily()
