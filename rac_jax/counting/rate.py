"""The rate of repetition along time: a curve whose integral is the count."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

SHORTEST_S = 1e-3  # of a span: a jump of the running count takes that long


@dataclasses.dataclass(frozen=True)
class Rate:
    """Repetitions per second, constant between edges and 0 outside of them.

    Attributes:
      edges_s: [n + 1] rising times, in seconds of the file.
      per_s: [n] repetitions per second, at least 0, between one edge and the next.

    Raises:
      ValueError: if the lengths do not fit, an edge does not rise, or a rate is negative or not
        finite.
    """

    edges_s: tuple[float, ...] = ()
    per_s: tuple[float, ...] = ()

    def __post_init__(self):
        if len(self.edges_s) != (len(self.per_s) + 1 if self.per_s else 0):
            raise ValueError(
                f"rate: {len(self.edges_s)} edges for {len(self.per_s)} spans"
            )
        edges = np.asarray(self.edges_s, np.float64)
        if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
            raise ValueError("rate: its edges do not rise")
        for per_s in self.per_s:
            if not 0 <= per_s < math.inf:
                raise ValueError(f"rate: {per_s} repetitions per second")

    @classmethod
    def constant(cls, start_s: float, end_s: float, count: float) -> "Rate":
        """The rate of a count spread evenly over a span; none for a count of 0."""
        return cls.from_knots([start_s, end_s], [0.0, count])

    @classmethod
    def from_knots(cls, times_s: Sequence[float], done: Sequence[float]) -> "Rate":
        """The rate whose running count goes straight from knot to knot.

        Args:
          times_s: [n + 1] in seconds of the file, not falling; spans without length are given
            a millisecond.
          done: [n + 1] repetitions done by then, from 0 on, not falling.

        Returns:
          The rate; without edges if nothing is counted.
        """
        if len(done) < 2 or not done[-1] > 0:
            return cls()
        edges = [float(times_s[0])]
        for time_s in times_s[1:]:
            edges.append(max(float(time_s), edges[-1] + SHORTEST_S))
        rates = np.diff(np.asarray(done, np.float64)) / np.diff(edges)
        return cls(tuple(edges), tuple(float(rate) for rate in rates))

    @property
    def integral(self) -> float:
        """Repetitions in all."""
        return float(np.sum(np.diff(self.edges_s) * self.per_s)) if self.per_s else 0.0

    def done(self, times_s: Sequence[float]) -> np.ndarray:
        """The running count: repetitions done by given times.

        Args:
          times_s: [n] in seconds of the file.

        Returns:
          float64 [n], from 0 to `integral`, not falling with time.
        """
        times_s = np.asarray(times_s, np.float64)
        if not self.per_s:
            return np.zeros(times_s.shape)
        gains = np.diff(self.edges_s) * self.per_s
        return np.interp(times_s, self.edges_s, np.concatenate([[0.0], gains.cumsum()]))
