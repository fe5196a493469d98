"""SI-EN, the strided inflated EfficientNet of paper 3, with heads for activities and phases.

And SI-BlazePose, which differs in the encoder alone.
"""

from typing import Any

import flax.linen as nn
import flax.struct
import jax

from rac_jax.encoders import strided_blazepose
from rac_jax.encoders.inverted_residuals import HEAD, make_blocks
from rac_jax.encoders.layers import head
from rac_jax.encoders.strided_blazepose import StridedBlazePose
from rac_jax.encoders.strided_inflated import StreamState, StridedInflated

LEAST_SIDE = 32  # see `SIEN.least_side`


@flax.struct.dataclass
class SIENOutput:
    """What the network says of every fourth frame; a head that there is none of says nothing.

    Attributes:
      features: [B, m, C] of the encoder, float32.
      activities: [B, m, A] logits.
      phases: [B, m, P] logits.
    """

    features: jax.Array
    activities: jax.Array | None
    phases: jax.Array | None


class SIEN(nn.Module):
    """The network.

    Args:
      kind, width, depth, head, padding, stem_looks_back, norm: of `StridedInflated`;
        "efficientnet", 1.4 and 1.8 are SI-EN, "mobilenet", 1 and 1 the lighter one. "blazepose"
        is `StridedBlazePose`, of which there is a width alone, 1 for MediaPipe's.
      activities: A, activity classes; 0 for no such head. 40 in the paper.
      phases: P, classes of phases; 0 for no such head, and then it cannot count.
      dtype: compute type of the encoder.
    """

    kind: str = "efficientnet"
    width: float = 1.4
    depth: float = 1.8
    head: int = HEAD
    padding: str = "symmetric"
    stem_looks_back: bool = False
    norm: bool = False
    activities: int = 0
    phases: int = 3
    dtype: str = "float32"

    @property
    def entries(self) -> int:
        """How many entries the encoder has; the last is `entry<entries - 1>`."""
        if self.kind == strided_blazepose.KIND:
            return strided_blazepose.ENTRIES
        blocks = make_blocks(self.kind, self.width, self.depth, temporal=True)
        return len(blocks) + 2

    @property
    def least_side(self) -> int:
        """Pixels of a side of the smallest sensible frames."""
        blazepose = self.kind == strided_blazepose.KIND
        return strided_blazepose.CELL if blazepose else LEAST_SIDE

    def make_encoder(self, **place: Any) -> StridedInflated | StridedBlazePose:
        """The encoder; `place` has a parent or a name."""
        if self.kind == strided_blazepose.KIND:
            return StridedBlazePose(self.width, self.dtype, **place)
        return StridedInflated(
            self.kind,
            self.width,
            self.depth,
            self.head,
            self.padding,
            self.stem_looks_back,
            self.norm,
            self.dtype,
            **place,
        )

    def setup(self):
        self.encoder = self.make_encoder()
        self.activity_head = head(self.activities) if self.activities else None
        self.phase_head = head(self.phases) if self.phases else None

    def start(self, batch: int, height: int, width: int) -> StreamState:
        """The state before the first frame; see `StridedInflated.start`."""
        # One that stands by itself: only its shapes are asked for.
        return self.make_encoder(parent=None).start(batch, height, width)

    def __call__(self, clips: jax.Array, *, train: bool = False) -> SIENOutput:
        """Looks at whole clips [B, T, H, W, 3] floats: T // 4 outputs."""
        return self.heads(self.encoder(clips, train=train))

    def step(
        self, state: StreamState, frames: jax.Array
    ) -> tuple[StreamState, SIENOutput]:
        """Looks at the next frames of a stream; see `StridedInflated.step`."""
        state, features = self.encoder.step(state, frames)
        return state, self.heads(features)

    def heads(self, features: jax.Array) -> SIENOutput:
        """What the heads say of features [B, m, C]."""
        return SIENOutput(
            features,
            None if self.activity_head is None else self.activity_head(features),
            None if self.phase_head is None else self.phase_head(features),
        )
