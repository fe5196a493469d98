"""What counting a video gives back: one frozen record, the same for files, streams and arrays."""

import dataclasses
import json
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class WindowCount:
    """The count of one window of one stream.

    Attributes:
      start_s: where the window starts, in seconds of the file.
      end_s: where it ends, in seconds; padding beyond the end of the media is not part of it.
      count: repetitions predicted in it, a float; windows of a stream add up to its count
        under the paper's protocol (the released protocol averages the last windows).
    """

    start_s: float
    end_s: float
    count: float


@dataclasses.dataclass(frozen=True)
class SightCount:
    """The sight stream's share: its count at the chosen temporal stride (in frames).

    `stride_scores` maps each stride that was tried to the ranker's score; it is empty when
    the stride was given.
    """

    count: float
    stride: int
    stride_scores: dict[int, float]
    windows: tuple[WindowCount, ...]


@dataclasses.dataclass(frozen=True)
class SoundCount:
    """The sound stream's share."""

    count: float
    windows: tuple[WindowCount, ...]


@dataclasses.dataclass(frozen=True)
class RepetitionSet:
    """Repetitions without a long break between them.

    Attributes:
      start_s: where the first one begins, in seconds of the file.
      end_s: where the last one ends.
      count: how many, a float.
      cycles: (start_s, end_s) of each repetition, in order.
    """

    start_s: float
    end_s: float
    count: float
    cycles: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a family's networks and procedure find in a source; fields as `CountResult`."""

    count: float
    sight: SightCount | None
    sound: SoundCount | None
    reliability: float | None
    end_s: float  # of the picture, in seconds of the file
    encoders: dict[str, dict[str, int]]
    sets: tuple[RepetitionSet, ...] | None = None
    confidence: float | None = None


@dataclasses.dataclass(frozen=True)
class CountResult:
    """How many repetitions a video holds, and what each stream said.

    Attributes:
      file: the file's path as it was given, or "<array>".
      duration_s: length of the part that was counted, in seconds.
      count: the fused count, a float (paper 1, Eq. 10); round it for people.
      sight: the sight stream's count, or None without a picture.
      sound: the sound stream's count, or None without sound.
      reliability: weight of the sound in [0, 1] (paper 1, γ of Eq. 10), or None unless both
        streams were counted.
      model: name of the model.
      protocol: "paper" (appendix A) or "released" (what the authors' code does).
      seconds: wall-clock time of the count, in seconds.
      start_s: where the counted part starts in the file, in seconds.
      encoders: what it cost: per stream the distinct clips that were encoded, the encoder calls
        and the batch sizes compiled for.
      faults: what was wrong with a file that could be read in part, "<path>: <reason>" each;
        the count is that of what could be read.
      sets: the sets of repetitions, whose counts add up to the count; None from a model that
        does not tell them apart.
      confidence: estimated probability that the rounded count is off by one at most, in [0, 1],
        or None from a model that does not say.
    """

    file: str
    duration_s: float
    count: float
    sight: SightCount | None
    sound: SoundCount | None
    reliability: float | None
    model: str
    protocol: str
    seconds: float
    start_s: float = 0.0
    encoders: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    faults: tuple[str, ...] = ()
    sets: tuple[RepetitionSet, ...] | None = None
    confidence: float | None = None

    def __post_init__(self):
        if not math.isfinite(self.count):
            raise ValueError(f"{self.file}: the count is {self.count}, not a number")

    @property
    def rounded(self) -> int:
        """The count as a whole number, halves up."""
        return max(0, math.floor(self.count + 0.5))

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values, ready for JSON."""
        return {
            "file": self.file,
            "start_s": self.start_s,
            "duration_s": self.duration_s,
            "count": self.count,
            "sight": self.sight
            and {
                "count": self.sight.count,
                "stride": self.sight.stride,
                "stride_scores": {
                    str(s): v for s, v in self.sight.stride_scores.items()
                },
                "windows": [dataclasses.asdict(w) for w in self.sight.windows],
            },
            "sound": self.sound
            and {
                "count": self.sound.count,
                "windows": [dataclasses.asdict(w) for w in self.sound.windows],
            },
            "reliability": None
            if self.reliability is None
            else {"sound": self.reliability},
            "model": self.model,
            "protocol": self.protocol,
            "seconds": self.seconds,
            "encoders": self.encoders,
            "faults": list(self.faults),
            "sets": None
            if self.sets is None
            else [dataclasses.asdict(one) for one in self.sets],
            "confidence": self.confidence,
        }

    def to_json(self) -> str:
        """The result as one JSON object."""
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        parts = []
        if self.sight is not None:
            parts.append(f"sight {self.sight.count:.1f} at stride {self.sight.stride}")
        if self.sound is not None:
            parts.append(f"sound {self.sound.count:.1f}")
        if self.reliability is not None:
            parts.append(f"reliability of sound {self.reliability:.2f}")
        if self.confidence is not None:
            parts.append(f"confidence {self.confidence:.2f}")
        text = f"{self.file}: {self.rounded} repetitions ({', '.join(parts)})"
        if self.sets and len(self.sets) > 1:
            sets = (
                f"{one.count:.1f} at {one.start_s:.1f}-{one.end_s:.1f} s"
                for one in self.sets
            )
            text += f" in {len(self.sets)} sets: {', '.join(sets)}"
        return text

    def plot(self, path=None):
        """Draws the result; see `rac_jax.view.plot.plot_result`.

        Args:
          path: where to write a PNG or SVG; nothing is written when it is None.

        Returns:
          The matplotlib figure.
        """
        from rac_jax.view.plot import plot_result

        return plot_result(self, path)
