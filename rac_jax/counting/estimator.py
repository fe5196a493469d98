"""The contract between `Counter`, which reads, and a family's estimator, which counts.

Streams and whole files are one thing: `start` gives a state, `feed` takes the next chunk and
gives the state after it, `finish` gives the measurement. The state is a value: feeding does not
change the one that was given, so that a caller may go back to it. However the input is cut into
chunks, and however far the sound runs ahead of the picture or behind it, the measurement is the
same.
"""

import dataclasses
from typing import Any, Protocol, TypeVar

import numpy as np

from rac_jax.counting.result import Measurement

State = TypeVar("State")


@dataclasses.dataclass(frozen=True)
class SourceInfo:
    """What is known of a source before it is read.

    Attributes:
      name: for messages.
      start_s: where the part to count starts, in seconds of the file. Times of frames are
        those of the file; the first sample is heard at `start_s`.
      fps: average frames per second that will be fed, 0.0 without a picture.
      has_picture: whether frames will come; a family that looks at none is told False.
      has_sound: whether samples may come, likewise.
    """

    name: str
    start_s: float
    fps: float
    has_picture: bool
    has_sound: bool


@dataclasses.dataclass(frozen=True)
class Chunk:
    """The next frames and samples, either of which may be none.

    Attributes:
      frames: uint8 [n, H, W, C] as the family needs them.
      times_s: float64 [n] rising, in seconds of the file.
      samples: float32 [m], which follow those of the chunk before.
    """

    frames: np.ndarray
    times_s: np.ndarray
    samples: np.ndarray


@dataclasses.dataclass(frozen=True)
class Partial:
    """What can be said before the end: repetitions so far, or None where nothing can."""

    count: float | None = None


@dataclasses.dataclass(frozen=True)
class ReadAgain:
    """What `finish` returns to be fed everything once more, from the start, beginning with `state`.

    For published procedures that read a video twice; a source that cannot be read again, such as
    a camera, cannot be counted by them.
    """

    state: Any


class Estimator(Protocol[State]):
    """Counts what it is fed; it holds the network, never anything of one video."""

    def start(self, info: SourceInfo, options: Any) -> State:
        """The state before the first chunk; `options` are the family's own dataclass."""
        ...

    def feed(self, state: State, chunk: Chunk) -> tuple[State, Partial]:
        """The state after a chunk, and what can be said so far."""
        ...

    def finish(self, state: State) -> Measurement | ReadAgain:
        """The measurement of everything that was fed."""
        ...
