"""What has been said of a stream: a running count that is never taken back beyond a delay.

Readings revise themselves: a set begins earlier than it seemed, a movement stops in the middle of
what looked like another cycle. `Said` follows them and keeps its word: an increment may be taken
back for `delay_s` after it was said, and never later. With 0 a count is final at once.

A cycle of a set that goes on is said when it is over; when a set is over, its count is rounded, as
that of a whole file is. Sets stand for themselves: what was said of one that is over is not made
up for in the next.
"""

import dataclasses
import math

import numpy as np

from rac_jax.counting.reading import Reading

# A cycle is said this much before its reading is complete, in cycles: where a set begins is found
# a little late more often than early (benchmarks/live_delay.py).
SLACK = 0.2
# Nothing repeats for so long: the set is resting; its count is rounded.
QUIET_S = 0.4
# It has rested for so long, or a period if that is longer: the set is over.
REST_S = 1.5
SHOWN_CYCLES = 8  # whose durations are given


@dataclasses.dataclass(frozen=True)
class SaidSet:
    """A set that is over, or the one that goes on.

    Attributes:
      start_s: when it begins, in seconds of the source.
      end_s: when its last repetition ends, or ended so far.
      count: repetitions that were said of it.
    """

    start_s: float
    end_s: float
    count: int


@dataclasses.dataclass(frozen=True)
class Said:
    """What has been said so far; a value, `hear` gives the next one.

    Attributes:
      delay_s: for how long an increment may be taken back after it was said, in seconds.
      count: repetitions.
      settled: of these, how many are final.
      until_s: up to when was counted, in seconds of the source.
      sets: that are over, with what was said of each.
      durations_s: of the last cycles of the set that goes on, or of the last one, in order.
      resting: whether nothing repeats at the moment.
    """

    delay_s: float
    count: int = 0
    settled: int = 0
    until_s: float = 0.0
    sets: tuple[SaidSet, ...] = ()
    durations_s: tuple[float, ...] = ()
    resting: bool = True
    # Of the set that goes on: what was said before it, from when on it is counted, what of it no
    # reading reaches back to any more, when each increment that is not settled was said.
    _before: int = 0
    _from_s: float = -math.inf
    _carried: float = 0.0
    _said_s: tuple[float, ...] = ()
    _begun_s: float | None = None
    _quiet_since_s: float | None = None
    _last: Reading | None = None

    def __post_init__(self):
        if not (math.isfinite(self.delay_s) and self.delay_s >= 0):
            raise ValueError(f"delay_s: must be at least 0, not {self.delay_s}")

    @property
    def open_set(self) -> SaidSet | None:
        """The set that goes on, None before its first repetition was said."""
        number = self.count - self._before
        if not number:
            return None
        begun = self.until_s if self._begun_s is None else self._begun_s
        end_s = self._last and self._last.active_until_s
        return SaidSet(begun, max(begun, end_s or begun), number)

    def hear(self, reading: Reading) -> "Said":
        """What is said after another reading, which is not older than the last one."""
        now, rate = reading.until_s, reading.rate
        one = self._carry(reading)
        open_count = one._carried + reading.between(one._from_s, now)
        end_s = reading.active_until_s
        if end_s is not None and end_s <= one._from_s:
            end_s = None  # of a set before

        # A set that rests is rounded; one that goes on has the cycles that are over.
        quiet = end_s is None or now - end_s > QUIET_S
        begun_s = one._begun_s
        if end_s is not None:
            first_s = next(t for t in rate.edges_s[1:] if t > one._from_s)
            index = rate.edges_s.index(first_s) - 1
            found_s = max(rate.edges_s[index], one._from_s)
            begun_s = found_s if begun_s is None else min(begun_s, found_s)
        number = math.floor(open_count + (0.5 if quiet else SLACK))
        count = max(self.settled, one._before + number)

        # When each increment that may still be taken back was said.
        said_s = one._said_s[: max(0, count - self.settled)]
        said_s += (now,) * (count - self.settled - len(said_s))
        final = sum(said <= now - self.delay_s for said in said_s)
        said_s, settled = said_s[final:], self.settled + final

        quiet_since_s = None
        if quiet:
            quiet_since_s = now if one._quiet_since_s is None else one._quiet_since_s
        one = dataclasses.replace(
            one,
            count=count,
            settled=settled,
            until_s=now,
            durations_s=_durations(reading, one._from_s) or one.durations_s,
            resting=quiet,
            _said_s=said_s,
            _begun_s=begun_s,
            _quiet_since_s=quiet_since_s,
            _last=reading,
        )
        period_s = 1 / rate.per_s[-1] if end_s is not None else 0.0
        rested = quiet and now - quiet_since_s >= max(REST_S, period_s, self.delay_s)
        return one._close(end_s, period_s) if rested else one

    def conclude(self, whole: int) -> "Said":
        """What is said where the source ends.

        Args:
          whole: what a whole file with its frames is counted, rounded. That is said, unless more
            was and is final.
        """
        count = max(self.settled, whole)
        return dataclasses.replace(self, count=count, settled=count, _said_s=())

    def _carry(self, reading: Reading) -> "Said":
        """Itself, with what the reading does not reach back to taken from the one before."""
        if reading.since_s <= self._from_s or self._last is None:
            return self
        gone = self._last.between(self._from_s, reading.since_s)
        return dataclasses.replace(
            self, _from_s=reading.since_s, _carried=self._carried + gone
        )

    def _close(self, end_s: float | None, period_s: float) -> "Said":
        """Itself with its set over, so that the next one begins at nothing."""
        done = self.open_set
        # Where a set ends wavers a little; the next one is looked for after that.
        from_s = self._quiet_since_s if end_s is None else end_s + period_s / 4
        if done is None and end_s is None and self._carried == 0:
            return self
        return dataclasses.replace(
            self,
            sets=self.sets if done is None else (*self.sets, done),
            settled=self.count,
            _before=self.count,
            _from_s=max(self._from_s, from_s),
            _carried=0.0,
            _said_s=(),
            _begun_s=None,
        )


def _durations(reading: Reading, from_s: float) -> tuple[float, ...]:
    """Seconds of the last whole cycles that a reading knows after `from_s`."""
    edges = np.asarray(reading.rate.edges_s)
    edges = edges[edges >= from_s] if len(edges) else edges
    if len(edges) < 2:
        return ()
    done = reading.rate.done(edges)
    done, whole = done - done[0], math.floor(done[-1] - done[0] + 1e-6)
    if whole < 1:
        return ()
    ends = np.interp(np.arange(whole + 1), done, edges)
    return tuple(float(one) for one in np.diff(ends)[-SHOWN_CYCLES:])
