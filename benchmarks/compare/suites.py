"""The suites of `rac bench` and what they run on unless told otherwise; imports nothing heavy."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Suite:
    """One suite.

    Attributes:
      what: its networks, in a few words.
      frames: of a clip, or of a window.
      size: of a clip's square frames, in pixels.
      narrow: whether its width can be chosen; the others have their published one.
      outputs: what is compared of a network that counts by itself, by the names of our fields.
      multiple: what a number of frames must be a multiple of.
    """

    what: str
    frames: int = 64
    size: int = 112
    narrow: bool = False
    outputs: tuple[str, ...] = ()
    multiple: int = 1


SUITES = {
    "sight": Suite("a clip encoder"),
    "sound": Suite("ResNet-18 over spectrograms"),
    "swin": Suite("Video Swin-T", frames=8, narrow=True),
    "stride": Suite("both encoders and the choice of a stride"),
    "full": Suite("the whole system of sight and sound"),
    "tsm": Suite("self-similarity in lag coordinates"),
    "repnet": Suite("RepNet of 2024", 16, 64, True, ("periods", "periodicity")),
    "transrac": Suite("TransRAC as released", 16, 64, True, ("density",), 4),
    "lmrl": Suite("LMRL", 16, 64, True, ("density", "foreground_logits")),
}
NARROW = tuple(name for name, suite in SUITES.items() if suite.narrow)
