"""What can be said of a stream while it runs: a reading of everything that was fed so far.

A family that counts live gives its readings in one of two ways. Its estimator's `feed` returns a
`Partial` with the count so far, as of one that waits for events; or the estimator also has `read`,
which decides anew on what was fed, as one does that weighs periods against each other. Everything
else can be read by its `finish`, at a cost that grows with the stream.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from rac_jax.counting.estimator import Estimator, Partial, ReadAgain
from rac_jax.counting.rate import Rate

State = TypeVar("State")


@dataclasses.dataclass(frozen=True)
class Reading:
    """Repetitions of a stream as far as it was fed.

    A later reading may say otherwise of the same seconds; `said.Said` decides what of that is
    told to anybody.

    Attributes:
      rate: repetitions per second, from `since_s` on.
      since_s: before which this reading says nothing, in seconds of the source.
      until_s: when the last frame ends.
    """

    rate: Rate
    since_s: float
    until_s: float

    def between(self, first_s: float, last_s: float) -> float:
        """Repetitions from one time to another."""
        before, after = self.rate.done([first_s, last_s])
        return float(after - before)

    @property
    def active_until_s(self) -> float | None:
        """When the last repetition ends that it knows of, None without one."""
        return self.rate.edges_s[-1] if self.rate.per_s else None


@runtime_checkable
class CausalEstimator(Protocol[State]):
    """An estimator that can be read at any time, at a cost that does not grow.

    Attributes:
      programs: what its states refer to and do not contain, such as compiled networks, by name;
        see `state_files`.
    """

    programs: Mapping[str, Callable]

    def prepare(self) -> None:
        """Compiles what a reading needs, so that the first ones are not late."""
        ...

    def read(self, state: State) -> tuple[State, Reading]:
        """A reading of everything that was fed.

        It depends on what was fed alone, not on when it was read before; the state that comes
        back remembers what a next reading can use again.
        """
        ...


MOST_KNOTS = (
    4096  # of a running count that are held, over a quarter of an hour of readings
)


class StreamReader:
    """Reads an estimator that is fed, in whichever way it can be read.

    Args:
      estimator: of a family.
      name: of the model, for messages.
    """

    def __init__(self, estimator: Estimator, name: str):
        self._estimator, self._name = estimator, name
        self._times_s: list[float] = []
        self._done: list[float] = []

    def note(self, partial: Partial, until_s: float) -> None:
        """Takes what a chunk's feeding gave: the count so far, if it is known."""
        if partial.count is None:
            return
        if not self._times_s:
            self._times_s, self._done = [until_s], [0.0]
        # A running count does not fall.
        self._times_s.append(until_s)
        self._done.append(max(self._done[-1], float(partial.count)))
        del self._times_s[:-MOST_KNOTS], self._done[:-MOST_KNOTS]

    def read(self, state: Any, start_s: float, until_s: float) -> tuple[Any, Reading]:
        """A reading of everything that was fed since `start_s`.

        Raises:
          ValueError: of a family that reads a video twice.
        """
        if self._done:
            rate = Rate.from_knots(self._times_s, np.array(self._done) - self._done[0])
            # Seconds in which nothing was added are no part of a set.
            return state, Reading(_trimmed(rate), self._times_s[0], until_s)
        if isinstance(self._estimator, CausalEstimator):
            return self._estimator.read(state)
        found = self._estimator.finish(state)
        if isinstance(found, ReadAgain):
            raise ValueError(  # noqa: TRY004, it is no argument's type
                f"{self._name}: reads a video twice, which a stream does not allow"
            )
        return state, Reading(found.rate, start_s, until_s)


def _trimmed(rate: Rate) -> Rate:
    """A rate without the seconds of no repetition at its ends."""
    found = np.flatnonzero(rate.per_s)
    if not len(found):
        return Rate()
    first, last = int(found[0]), int(found[-1]) + 1
    return Rate(rate.edges_s[first : last + 1], rate.per_s[first:last])
