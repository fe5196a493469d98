"""How far a set that was seen goes on, by ear: its sound costs next to nothing.

A look tells that something repeats, and how fast. What the model hears around it, without a
picture, is the same set where it repeats as fast: then its sound tells where the set begins and
ends, and counts what the budget does not reach.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from rac_jax.counting.result import CountResult, RepetitionSet, rate_of_sets

# On each side of a look so much is listened to: and the more where a set is heard that far.
AROUND_S = (15.0, 40.0)
# By how many times the rates may differ of what is heard and seen of one set.
AGREES = 1.15
PAUSE_S = 3.0  # of what is heard, that does not end a set which goes on as fast


@dataclasses.dataclass(frozen=True)
class Seen:
    """A set that was seen in a look.

    Attributes:
      one: the set.
      open_start, open_end: whether it may go on beyond the look's start or end.
    """

    one: RepetitionSet
    open_start: bool
    open_end: bool

    def goes_on_in(self, ear: RepetitionSet) -> bool:
        """Whether what is heard reaches beyond it where it may go on."""
        before = not self.open_start or ear.start_s < self.one.start_s
        return before and (not self.open_end or ear.end_s > self.one.end_s)


def heard_set(heard: CountResult, one: RepetitionSet) -> RepetitionSet | None:
    """The set that is heard where one was seen; None if none is, or at another rate."""
    for ear in _without_pauses(heard.sets or ()):
        if is_of(one, ear):
            overlap = max(one.start_s, ear.start_s), min(one.end_s, ear.end_s)
            if _alike(_per_s(one, *overlap), _per_s(ear, *overlap)):
                return ear
    return None


def is_of(one: RepetitionSet, ear: RepetitionSet) -> bool:
    """Whether at least half of a set lies within what is heard of one."""
    both = min(one.end_s, ear.end_s) - max(one.start_s, ear.start_s)
    return both >= (one.end_s - one.start_s) / 2


def filled(seen: Sequence[Seen], ear: RepetitionSet) -> RepetitionSet:
    """One set: what was seen of it and, where nobody looked, what was heard.

    Args:
      seen: parts of it, in order.
      ear: all of it, by sound. What it says before or after what was seen counts only where that
        may go on.

    Returns:
      The set. It is as probable as the least probable part.
    """
    first, last = seen[0], seen[-1]
    bounds = (
        min(ear.start_s, first.one.start_s) if first.open_start else first.one.start_s,
        max(ear.end_s, last.one.end_s) if last.open_end else last.one.end_s,
    )
    known = [part.one for part in seen]
    inner = [edge for one in known for edge in (one.start_s, one.end_s)]
    gaps = np.clip(np.reshape([bounds[0], *inner, bounds[1]], (-1, 2)), *bounds)
    done = rate_of_sets((ear,)).done(gaps)
    count = sum(one.count for one in known) + float((done[:, 1] - done[:, 0]).sum())

    cycles = [cycle for one in known for cycle in one.cycles]
    for start_s, end_s in ear.cycles:
        middle = (start_s + end_s) / 2
        if any(a < middle < b for a, b in gaps):
            cycles.append((start_s, end_s))
    cycles = tuple(_one_after_the_other(sorted(cycles)))
    least = _least_probability([*known, ear])
    return RepetitionSet(cycles[0][0], cycles[-1][1], count, cycles, least)


def with_sets(result: CountResult, sets: Sequence[RepetitionSet]) -> CountResult:
    """The result with these sets alone, and what follows from them."""
    sets = tuple(sorted(sets, key=lambda one: one.start_s))
    count = sum((one.count for one in sets), 0.0)
    return dataclasses.replace(result, sets=sets, count=count, rate=rate_of_sets(sets))


def _without_pauses(sets: Sequence[RepetitionSet]) -> list[RepetitionSet]:
    """Sets of which those are one that go on as fast after a short pause."""
    found: list[RepetitionSet] = []
    for one in sets:
        last = found[-1] if found else None
        if (
            last is not None
            and one.start_s - last.end_s <= PAUSE_S
            and _alike(
                _per_s(last, last.start_s, last.end_s),
                _per_s(one, one.start_s, one.end_s),
            )
        ):
            found[-1] = RepetitionSet(
                last.start_s,
                one.end_s,
                last.count + one.count,
                last.cycles + one.cycles,
                _least_probability([last, one]),
            )
        else:
            found.append(one)
    return found


def _least_probability(sets: Sequence[RepetitionSet]) -> float | None:
    """That of the least probable set that has one; None where none has."""
    told = [one.probability for one in sets if one.probability is not None]
    return min(told, default=None)


def _per_s(one: RepetitionSet, start_s: float, end_s: float) -> float:
    """Repetitions per second of a set between two times within it, on average."""
    first, last = rate_of_sets((one,)).done((start_s, end_s))
    return float((last - first) / max(end_s - start_s, 1e-6))


def _alike(a: float, b: float) -> bool:
    return min(a, b) > 0 and abs(math.log(a / b)) <= math.log(AGREES)


def _one_after_the_other(
    cycles: Sequence[tuple[float, float]],
) -> Iterator[tuple[float, float]]:
    """Cycles in order, each from where the one before has ended."""
    until_s = -math.inf
    for start_s, end_s in cycles:
        begin_s = max(start_s, until_s)
        if end_s > begin_s:
            yield begin_s, end_s
            until_s = end_s
