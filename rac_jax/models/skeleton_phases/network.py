"""A network of skeletons with a head for phases: paper 3, sections 3.1.2 and 3.6."""

import flax.linen as nn
import flax.struct
import jax

from rac_jax.encoders.layers import head
from rac_jax.encoders.ms_g3d import MSG3D
from rac_jax.encoders.st_gcn import STGCN

ENCODERS = ("st_gcn", "ms_g3d")


@flax.struct.dataclass
class PhasesOutput:
    """What the network says of every fourth frame, of the frames on both sides of it.

    Attributes:
      features: [B, ceil(T / 4), C] of the encoder, float32.
      phases: [B, ceil(T / 4), P] logits.
    """

    features: jax.Array
    phases: jax.Array


class PhasesOfSkeletons(nn.Module):
    """The network; of one person.

    Args:
      encoder: of `ENCODERS`.
      layout: of the skeletons, of `rac_jax.ops.skeletons.LAYOUTS`.
      width: multiplier of channels; 1 is the published networks'.
      scales, window_scales: of MS-G3D, see there.
      phases: P, classes of phases.
      dtype: compute type of the encoder.
    """

    encoder: str = "st_gcn"
    layout: str = "blazepose-33"
    width: float = 1.0
    scales: int = 8
    window_scales: int = 8
    phases: int = 3
    dtype: str = "float32"

    @nn.compact
    def __call__(self, poses: jax.Array, *, train: bool = False) -> PhasesOutput:
        """Looks at the poses of clips [B, 1, T, V, 3], see `rac_jax.ops.skeletons`.

        Raises:
          ValueError: for another encoder or layout, or poses of another shape.
        """
        shared = {"layout": self.layout, "width": self.width, "dtype": self.dtype}
        if self.encoder == "st_gcn":
            encoder = STGCN(name="encoder", **shared)
        elif self.encoder == "ms_g3d":
            encoder = MSG3D(
                scales=self.scales,
                window_scales=self.window_scales,
                name="encoder",
                **shared,
            )
        else:
            known = ", ".join(ENCODERS)
            raise ValueError(f"encoder: {self.encoder!r} is not one of {known}")
        features = encoder(poses, train=train).frames
        return PhasesOutput(features, head(self.phases, "phase_head")(features))
