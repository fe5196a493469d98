"""What counting a video gives back: one frozen record, the same for files, streams and arrays."""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rac_jax.counting.rate import Rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCHEMA = 2  # of `CountResult.to_dict`
TOLERANCE = 1e-3  # repetitions by which the rate's integral may miss the count
SURE, LIKELY = 0.8, 0.5  # confidences from which a count is called so

Panel = Callable[["Axes", "CountResult"], None]


@dataclasses.dataclass(frozen=True)
class WindowCount:
    """The count of one window of one stream.

    Attributes:
      start_s: where the window starts, in seconds of the file.
      end_s: where it ends, in seconds; padding beyond the end of the media is not part of it.
      count: repetitions predicted in it, a float.
    """

    start_s: float
    end_s: float
    count: float


@dataclasses.dataclass(frozen=True)
class Stream:
    """What one stream (sight, sound, skeletons ...) says by itself.

    Attributes:
      name: "sight", "sound" or another of the family's.
      count: repetitions by this stream alone, a float.
      weight: its share in the decision, in [0, 1], or None where the family has no such number.
      windows: its counts along time, in order.
    """

    name: str
    count: float
    weight: float | None = None
    windows: tuple[WindowCount, ...] = ()


@dataclasses.dataclass(frozen=True)
class RepetitionSet:
    """Repetitions without a long break between them.

    Attributes:
      start_s: where the first one begins, in seconds of the file.
      end_s: where the last one ends.
      count: how many, a float.
      cycles: (start_s, end_s) of each repetition, in order; at least one.
      probability: how probable the model thinks its cycles are, in [0, 1]; None where it does
        not say.

    Raises:
      ValueError: if it has no cycles.
    """

    start_s: float
    end_s: float
    count: float
    cycles: tuple[tuple[float, float], ...]
    probability: float | None = None

    def __post_init__(self):
        if not self.cycles:
            raise ValueError(f"set at {self.start_s} s: has no cycles")


@dataclasses.dataclass(frozen=True)
class Curve:
    """A value along time, such as a density map or a foreground probability.

    Attributes:
      times_s: [n] rising times, in seconds of the file.
      values: [n] the value at each of them.
    """

    times_s: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self):
        if len(self.times_s) != len(self.values):
            raise ValueError(
                f"curve: {len(self.times_s)} times, {len(self.values)} values"
            )


def _plain(value: Any) -> Any:
    """A value as JSON has it: lists for tuples, dictionaries for records and mappings."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _span(seconds: float) -> str:
    """A length of time in words: "0.04 s", "5.9 s", "25 min 8 s", "1 h 5 min"."""
    if seconds < 120:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def rate_of_sets(sets: tuple[RepetitionSet, ...]) -> Rate:
    """The rate that rises the running count by an equal share of its set in every cycle."""
    times, done = [], []
    for one in sets:
        edges = [one.start_s, *(end for _, end in one.cycles)]
        begun = done[-1] if done else 0.0
        times += edges
        done += [begun + one.count * k / len(one.cycles) for k in range(len(edges))]
    return Rate.from_knots(times, done)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What a family's estimator finds; fields as in `CountResult`.

    Attributes:
      end_s: where the picture ends, in seconds of the file; 0 without one.
      panel: draws the family's own details under the plot; None for no such panel.
    """

    count: float
    rate: Rate
    streams: tuple[Stream, ...] = ()
    sets: tuple[RepetitionSet, ...] | None = None
    confidence: float | None = None
    events: tuple[float, ...] | None = None
    density: Curve | None = None
    foreground: Curve | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    end_s: float = 0.0
    panel: Panel | None = None


@dataclasses.dataclass(frozen=True)
class CountResult:
    """How many repetitions a video holds, when, and what each stream said.

    Attributes:
      file: the file's path as it was given, or "<array>".
      start_s: where the counted part starts in the file, in seconds.
      duration_s: length of the part that was counted, in seconds.
      count: repetitions, a float of at least 0; round it for people.
      rate: repetitions per second along time; its integral is the count.
      streams: what each stream says by itself; empty from a family that has no streams.
      model: name of the model.
      family: name of its family.
      seconds: wall-clock time of the count, in seconds.
      sets: the sets of repetitions, whose counts add up to the count; None from a model that
        does not tell them apart.
      confidence: estimated probability that the rounded count is off by one at most, in [0, 1],
        or None from a model that does not say.
      events: times of audible or otherwise marked instants, in seconds of the file, or None.
      density: repetitions per frame or bin along time, whose sum is the count, or None.
      foreground: probability along time that something repeats, in [0, 1], or None.
      details: the family's own, plain values; `docs/architecture.md` says what each family has.
      faults: what was wrong with a file that could be read in part, "<path>: <reason>" each;
        the count is that of what could be read.
      panel: draws `details` into the plot; not part of the record.

    Raises:
      ValueError: if the count is negative or not finite, or not the rate's integral.
    """

    file: str
    start_s: float
    duration_s: float
    count: float
    rate: Rate
    streams: tuple[Stream, ...]
    model: str
    family: str
    seconds: float
    sets: tuple[RepetitionSet, ...] | None = None
    confidence: float | None = None
    events: tuple[float, ...] | None = None
    density: Curve | None = None
    foreground: Curve | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    faults: tuple[str, ...] = ()
    panel: Panel | None = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self):
        if not (math.isfinite(self.count) and self.count >= 0):
            raise ValueError(f"{self.file}: the count is {self.count}, not a number")
        missed = abs(self.rate.integral - self.count)
        if missed > TOLERANCE * max(1.0, self.count):
            raise ValueError(
                f"{self.file}: the rate adds up to {self.rate.integral}, "
                f"not to the count {self.count}"
            )

    @property
    def rounded(self) -> int:
        """The count as a whole number, halves up."""
        return math.floor(self.count + 0.5)

    @property
    def certainty(self) -> str:
        """The confidence in a word: "sure", "likely" or "unsure"; "" from a silent model."""
        if self.confidence is None:
            return ""
        if self.confidence >= SURE:
            return "sure"
        return "likely" if self.confidence >= LIKELY else "unsure"

    @property
    def active_s(self) -> float:
        """Seconds in which something repeats: of the sets, or of where the rate is above 0."""
        if self.sets:
            return sum(one.end_s - one.start_s for one in self.sets)
        spans = zip(self.rate.edges_s, self.rate.edges_s[1:], self.rate.per_s)
        return sum(b - a for a, b, per_s in spans if per_s > 0)

    @property
    def period_s(self) -> float | None:
        """Mean seconds per repetition: of the cycles, or by the rate; None without a repetition."""
        if not self.rounded:
            return None
        cycles = sum(len(one.cycles) for one in self.sets or ())
        return self.active_s / (cycles or self.count)

    def stream(self, name: str) -> Stream | None:
        """The stream of that name, None if there is none."""
        return next((one for one in self.streams if one.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values, ready for JSON; `docs/architecture.md` has its shape."""
        record = {"schema": SCHEMA}
        for field in dataclasses.fields(self):
            if field.name != "panel":
                record[field.name] = _plain(getattr(self, field.name))
        return record

    def to_json(self) -> str:
        """The result as one JSON object."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @property
    def sentence(self) -> str:
        """The result in words, without its file: `7 repetitions in 5.9 s, one each 0.84 s (sure)`."""
        number = self.rounded
        doubt = f" ({self.certainty})" if self.certainty else ""
        if not number:
            return f"no repetition found in {_span(self.duration_s)}{doubt}"
        noun = "repetition" if number == 1 else "repetitions"
        text = f"{number} {noun} in {_span(self.active_s)}"
        if number > 1:
            digits = 2 if self.period_s < 10 else 1
            text += f", one each {self.period_s:.{digits}f} s"
        if self.sets and len(self.sets) > 1:
            text += f", in {len(self.sets)} sets"
        return text + doubt

    def __str__(self) -> str:
        """One line for people: the file and the sentence."""
        return f"{self.file}: {self.sentence}"

    def explain(self) -> str:
        """What else there is to say, a line each: sets, streams, confidence, faults, the model."""
        lines = []
        for one in self.sets or ():
            span = f"{one.start_s:.1f} to {one.end_s:.1f} s"
            lines.append(f"  set: {one.count:.1f} from {span}")
        for one in self.streams:
            weight = "" if one.weight is None else f", weight {one.weight:.2f}"
            lines.append(f"  {one.name} alone: {one.count:.1f}{weight}")
        if self.confidence is not None:
            share = 100 * self.confidence
            lines.append(f"  {share:.0f} % sure to be within one repetition")
        lines += [f"  read in part: {fault}" for fault in self.faults]
        by = f"  counted {self.count:.2f} with {self.model} in {self.seconds:.2f} s"
        return "\n".join([*lines, by])

    # What shows a result stands above this room; it is looked up when it is asked for, so that
    # counting itself needs no matplotlib.

    def plot(self, path: str | os.PathLike | None = None) -> "Figure":
        """Draws the result; see `rac_jax.view.plot.plot_result`.

        Args:
          path: where to write a PNG or SVG; nothing is written when it is None.

        Returns:
          The matplotlib figure.
        """
        from rac_jax import view

        return view.plot_result(self, path)

    def annotate(self, path: str | os.PathLike, *, progress: bool = False) -> None:
        """Writes the video with the running count; see `rac_jax.view.annotate`."""
        from rac_jax import view

        view.annotate_video(self, path, progress=progress)

    def _repr_html_(self) -> str:
        from rac_jax import view

        return view.result_html(self)
