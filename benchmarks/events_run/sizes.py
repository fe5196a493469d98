"""The networks that both sides run."""

import dataclasses

WEIGHTS = {"ta2net": "ta2net.npz", "flow": "flow.npz"}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of a TA2Net and of the GMFlow in it; as published where nothing is said.

    Attributes:
      frames: of a window.
      size: of a picture's side, in pixels.
      width: times TA2Net's published channels.
      flow_width: times GMFlow's.
      flow_blocks: of GMFlow's transformer.
    """

    frames: int = 64
    size: int = 112
    width: float = 1.0
    flow_width: float = 1.0
    flow_blocks: int = 6
