"""From what the two streams say to one count, and where in time it lies.

A count is a number per window, so the time of a single repetition is not known; inside a window
the rate is constant. With r_s(t) the rate of stream s at time t (the counts of its windows over
their lengths, scaled so that it adds up to the stream's count) and γ the reliability of the
sound, the rate is paper 1's Eq. 10 over time,

    r(t) = (1 - γ) r_sight(t) + γ r_sound(t),    scaled so that its integral is the fused count.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rac_jax.counting.rate import Rate
from rac_jax.counting.result import Measurement, Stream, WindowCount
from rac_jax.models.sight_sound.network import fuse
from rac_jax.models.sight_sound.panel import draw

ClassNames = Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True)
class StreamCount:
    """What one stream says.

    Attributes:
      count: repetitions, a float.
      windows: its counts along time. They add up to the count, but for the released protocol,
        which averages the last windows.
      classes: [P] the distribution over repetition classes, see `mean_classes`; empty where no
        window was looked at.
    """

    count: float
    windows: tuple[WindowCount, ...]
    classes: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Decision:
    """What a procedure finds in one video.

    Attributes:
      sight: None without a picture.
      sound: None without sound.
      reliability: γ of Eq. 10, the weight of the sound in [0, 1]; None unless it fuses.
      joined: of the head that fuses by itself, in place of Eq. 10; None without one.
      end_s: where the picture ends, in seconds of the file; 0 without one.
      heard_s: seconds of sound.
      class_names: stream to the names of its repetition classes, of those that have any.
      details: the family's own, but for the classes.
    """

    sight: StreamCount | None
    sound: StreamCount | None
    reliability: float | None
    joined: StreamCount | None
    end_s: float
    heard_s: float
    class_names: ClassNames
    details: Mapping[str, Any]

    def measurement(self, start_s: float) -> Measurement:
        """The measurement of a video whose counted part starts at `start_s`."""
        sight, sound, gamma = self.sight, self.sound, self.reliability
        if self.joined is not None:
            weights, total = (None, None), self.joined.count
            shares = [(self.joined, 1.0)]
        elif sight is not None and sound is not None:
            weights = (1 - gamma, gamma)
            total = float(fuse(sight.count, sound.count, gamma))
            shares = [(sight, 1 - gamma), (sound, gamma)]
        else:
            weights = (1.0, 1.0)
            shares = [(one, 1.0) for one in (sight, sound) if one is not None]
            total = sum(one.count for one, _ in shares)
        streams = tuple(
            Stream(name, one.count, weight, one.windows)
            for name, one, weight in zip(
                ("sight", "sound"), (sight, sound), weights, strict=True
            )
            if one is not None
        )
        total = max(0.0, total)
        end_s = max(self.end_s, start_s + self.heard_s)
        return Measurement(
            count=total,
            rate=rate_of(shares, start_s, end_s, total),
            streams=streams,
            details=dict(self.details) | {"classes": self._classes()},
            end_s=self.end_s,
            panel=draw if self.details["stride_scores"] else None,
        )

    def _classes(self) -> dict[str, dict[str, float]]:
        """Stream to its distribution, by the classes' names, or their numbers from 0 on."""
        found = {}
        for stream, one in (("sight", self.sight), ("sound", self.sound)):
            if one is not None and one.classes:
                numbers = [str(number) for number in range(len(one.classes))]
                names = self.class_names.get(stream, numbers)
                found[stream] = dict(zip(names, one.classes, strict=True))
        return found


def mean_classes(
    windows: Sequence[WindowCount], classes: np.ndarray
) -> tuple[float, ...]:
    """The distribution over repetition classes of a whole stream (paper 1, Eq. 2, appendix I).

    Args:
      windows: of the stream, N.
      classes: [N, P] softmax over the classes in each of them.

    Returns:
      [P] their mean, weighted by the windows' lengths in time; it sums to 1.
    """
    lengths = np.array([window.end_s - window.start_s for window in windows])
    # Files without rising times have windows of no length, which are alike.
    weights = lengths if lengths.sum() > 0 else None
    return tuple(np.average(classes, axis=0, weights=weights).astype(float).tolist())


def rate_of(
    shares: Sequence[tuple[StreamCount, float]],
    start_s: float,
    end_s: float,
    count: float,
) -> Rate:
    """The rate of a count, see the module's equation.

    Args:
      shares: the streams that it comes from and their weights, of a sum of 1.
      start_s: where the counted part starts, in seconds of the file.
      end_s: where it ends.
      count: repetitions, at least 0.

    Returns:
      The rate; constant where no window tells more.
    """
    edges = [np.array([start_s, end_s])]
    for stream, _ in shares:
        edges.append(np.array([[w.start_s, w.end_s] for w in stream.windows]).ravel())
    knots = np.unique(np.clip(np.concatenate(edges), start_s, end_s))  # [n]
    total = sum(weight * _running(stream, knots) for stream, weight in shares)
    if not shares or not total[-1] > 0:
        return Rate.constant(start_s, end_s, count)
    return Rate.from_knots(knots, count * total / total[-1])


def _running(stream: StreamCount, knots: np.ndarray) -> np.ndarray:
    """One stream's count up to each knot; it ends at the stream's count. [n]"""
    gains = np.zeros_like(knots)  # of the interval before each knot
    for window in stream.windows:
        first, last = np.searchsorted(knots, (window.start_s, window.end_s))
        last = min(last, len(knots) - 1)
        if window.count > 0 and last > first:
            widths = np.diff(knots[first : last + 1])
            gains[first + 1 : last + 1] += window.count * widths / widths.sum()
    total = gains.sum()
    # Windows of the released protocol overlap, so their sum is not the stream's count.
    return np.cumsum(gains) * (max(0.0, stream.count) / total if total > 0 else 0.0)
