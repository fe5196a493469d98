"""One exercise that was taught by a few clips (`rac teach`), counted by its phases.

Paper 3's way to count (section 3.6: the halves of a repetition, told four times a second by the
past alone), over features that nobody has to train: how the picture flows, coarsely. Only the
head is learned, in a minute on a CPU.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rac_jax.counting.family import Model, Pupil
from rac_jax.counting.needs import FrameNeeds, Needs
from rac_jax.models.sien import PhaseFamily, SIENOptions

if TYPE_CHECKING:
    import flax.linen as nn
    import jax


class PhaseFlowFamily(PhaseFamily):
    """A head of phases over the coarse flow of grey frames."""

    name = "phase_flow"

    def needs(self, config: Mapping[str, Any], options: SIENOptions) -> Needs:
        fields = config["preprocessing"]
        size, most_fps = int(fields["size"]), 2 * float(fields["fps"])
        frames = FrameNeeds((size, size), colour=fields["colour"], most_fps=most_fps)
        return Needs(frames, None)

    def network(self, **arguments: Any) -> "nn.Module":
        from rac_jax.encoders.initialise import build
        from rac_jax.models.phase_flow.network import PhaseFlow

        return build(PhaseFlow, self.name, arguments)

    def example_inputs(
        self, network: "nn.Module"
    ) -> tuple["jax.ShapeDtypeStruct", ...]:
        import jax
        import jax.numpy as jnp

        from rac_jax.models.phase_flow.network import EVERY, SIDES

        side = max(SIDES)
        return (jax.ShapeDtypeStruct((1, EVERY, side, side, 1), jnp.float32),)

    def pupil(self, model: Model | None) -> Pupil | None:
        from rac_jax.models.phase_flow.pupil import make_pupil

        return make_pupil() if model is None else None


FAMILY = PhaseFlowFamily()
