"""Counts where a policy says, and says what was never looked at."""

import contextvars
import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rac_jax.counting.ahead import call_ahead
from rac_jax.counting.counter import Counter
from rac_jax.counting.rate import Rate
from rac_jax.counting.result import CountResult, RepetitionSet, Stream
from rac_jax.counting.skim import hearing, policy
from rac_jax.counting.skim.preview import Preview, preview
from rac_jax.media import collect_faults, pass_on_fault

# A set that goes on has another cycle in so many times the mean of its cycles: where it ends nearer
# to the end of what was looked at, the last one may have been cut.
LONGEST_CYCLE = 1.3
# Cycles in a span alone, without which nothing is believed to repeat there, and those without
# which nothing is counted there in the end: twice is no repetition yet.
LEAST_COUNT = 1.5
LEAST_KEPT = 2.5
# How probable the model thinks a set, below which it is not believed in. Of a model that does not
# say so of sets, its confidence in the look.
LEAST_PROBABILITY = 0.85
LEAST_CONFIDENCE = 0.93
LEAST_SEEN = 0.5  # of a set's repetitions, counted by sight alone


@dataclasses.dataclass(frozen=True)
class Skimmed:
    """How a video was skimmed, as `details["skim"]` holds it.

    Attributes:
      budget: share of the video that might be looked at.
      looked_share: share that was; the preview (all sound, keyframes) not counted.
      spans: (start_s, end_s) of what was looked at, in order.
      heard: repetitions of the count that were heard only, in sets of which a part was seen.
      missed_probability: that a set, or a part of one, that can be heard lies where nobody looked.
        How many make no sound cannot be known from a preview.
      everything: why all of it was looked at, or "" where it was not.
      keyframes: decoded for the preview.
      preview_seconds: wall-clock time of the preview.
    """

    budget: float
    looked_share: float
    spans: tuple[tuple[float, float], ...]
    heard: float
    missed_probability: float
    everything: str
    keyframes: int
    preview_seconds: float

    @property
    def sentence(self) -> str:
        """`looked at 9 % of it, never at 91 %; a set that is heard was missed with probability 0.1`."""
        if self.everything:
            return f"looked at all of it: {self.everything}"
        share = 100 * self.looked_share
        told = f"looked at {share:.0f} % of it, never at {100 - share:.0f} %; "
        if self.heard >= 0.5:
            told += f"{self.heard:.0f} repetitions only heard; "
        return (
            f"{told}a set that is heard was missed with probability "
            f"{self.missed_probability:.2f}"
        )


def skim(
    counter: Counter,
    path: str | os.PathLike,
    budget: float,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    known: Preview | None = None,
    **options: Any,
) -> CountResult:
    """Counts a video by looking at a part of it.

    Everything is looked at where the preview gives no reason to look here rather than there, and
    where the budget would be less than two probes.

    Args:
      counter: of any family.
      path: a media file.
      budget: share of the video to look at at most, in (0, 1].
      start_s, end_s: the part to count, as in `Counter.count`.
      known: the file's preview, if there is one; else it is made.
      **options: of the counter's family.

    Returns:
      The result; `details["skim"]` is a `Skimmed` as a dictionary. Its sets are those that were
      found, its confidence that of the least sure part times the probability that nothing was
      missed. Events, density and foreground are None, since they are not known everywhere.

    Raises:
      MediaError, ValueError: as `Counter.count`; ValueError for a budget out of range.
    """
    if not 0 < budget <= 1:
        raise ValueError(f"budget: must be a share above 0 and at most 1, not {budget}")
    began = time.perf_counter()

    def count(first_s: float, last_s: float | None, **more: bool) -> CountResult:
        return counter.count(path, start_s=first_s, end_s=last_s, **options | more)

    with collect_faults() as faults:
        seen = known or preview(path, start_s=start_s, end_s=end_s)
        for fault in seen.faults:
            pass_on_fault(fault)
        previewed = time.perf_counter() - began
        beliefs = policy.believe(seen)
        budget_s = int(budget * (seen.end_s - seen.start_s))
        reason = ""
        if policy.says_nothing(seen, beliefs):
            reason = "its sound and keyframes say nothing"
        elif budget_s < 2 * policy.PROBE_S:
            reason = f"{100 * budget:.0f} % of it would be {budget_s} s"
        elif budget == 1:
            reason = "the budget is all of it"
        if reason:
            parts = [count(start_s, end_s)]
            how = Skimmed(
                budget,
                1.0,
                ((start_s, seen.end_s),),
                0.0,
                0.0,
                reason,
                seen.keyframes,
                previewed,
            )
        else:
            chosen = policy.Policy(beliefs, budget_s)
            hear = None
            if seen.heard and can_hear(counter, options):
                hear = functools.partial(count, sight=False)
            parts, heard = look(chosen, seen, count, hear)
            spans = tuple(
                seconds_of(seen, one) for one in policy.spans_of(chosen.looked)
            )
            how = Skimmed(
                budget,
                sum(b - a for a, b in spans) / (seen.end_s - seen.start_s),
                spans,
                heard,
                chosen.missed(),
                "",
                seen.keyframes,
                previewed,
            )
    return joined(counter, path, seen, parts, how, began, faults)


def skimmed(result: CountResult) -> Skimmed | None:
    """How a result's video was skimmed; None of one that was counted whole by `Counter.count`."""
    found = result.details.get("skim")
    return None if found is None else Skimmed(**found)


def can_hear(counter: Counter, options: Mapping[str, Any]) -> bool:
    """Whether a model with these options counts by sound alone, too."""
    try:
        chosen = counter.options(**options | {"sight": False})
    except ValueError:
        return False
    needs = counter.family.needs(counter.config, chosen)
    return needs.frames is None and needs.sound is not None


def look(
    chosen: policy.Policy,
    seen: Preview,
    count: Callable[[float, float | None], CountResult],
    hear: hearing.Hear | None = None,
) -> tuple[list[CountResult], float]:
    """Looks where a policy says, until it is over.

    Args:
      chosen: the policy; it is told what is found.
      seen: the video's preview.
      count: counts from one time to another; may be called from two threads at once.
      hear: the same by sound alone, for sets that go on beyond a look; None where it cannot be.

    Returns:
      (counts of spans that do not touch, in order: of all in which something was found; how many
      of these repetitions were heard only).
    """
    looks = Looks(seen, hear)

    def run(look: tuple[tuple[int, int], contextvars.Context]) -> CountResult:
        span, context = look
        return context.run(count, *seconds_of(seen, span))

    going = True
    while going:
        going = False
        # In contexts of their own, which collect faults where this one does.
        spans = ((span, contextvars.copy_context()) for span in iter(chosen.next, None))
        # In the order in which they were chosen, so that nothing depends on time.
        for (span, _), wait in call_ahead(run, spans):
            going = True
            chosen.found(span, *looks.take(span, wait()))
    return looks.counts(sorted(chosen.sets))


class Looks:
    """What was found in looks, and what is heard of sets that go on beyond them.

    Args:
      seen: the video's preview.
      hear: see `look`.
    """

    def __init__(self, seen: Preview, hear: hearing.Hear | None):
        self._seen, self._hear = seen, hear
        self._parts: dict[tuple[int, int], tuple[CountResult, list[hearing.Seen]]] = {}
        self._ears: list[RepetitionSet] = []

    def take(
        self, span: tuple[int, int], result: CountResult
    ) -> tuple[bool, bool, bool, tuple[int, int] | None]:
        """Takes in a look.

        Returns:
          What `policy.Policy.found` is told of it: whether there is a set, whether one goes on
          before and after, and the seconds in which that is heard.
        """
        first_s, end_s = seconds_of(self._seen, span)
        found = [
            hearing.Seen(
                one,
                one.start_s - first_s < _cycle_s(one),
                end_s - one.end_s < _cycle_s(one),
            )
            for one in believed(result)
        ]
        if result.sets is not None:
            # Another set in it that is not believed in is not counted.
            result = hearing.with_sets(result, [part.one for part in found])
        self._parts[span] = result, found
        going_on = [part for part in found if part.open_start or part.open_end]
        ears = [self._ear(part) for part in going_on]
        heard = None
        if ears and None not in ears:
            # With as much around it as shows that it ends there.
            begin_s = min(ear.start_s - _cycle_s(ear) for ear in ears)
            until_s = max(ear.end_s + _cycle_s(ear) for ear in ears)
            heard = (
                math.floor(begin_s - self._seen.start_s),
                math.ceil(until_s - self._seen.start_s),
            )
        return (
            bool(found),
            any(part.open_start for part in found),
            any(part.open_end for part in found),
            heard,
        )

    def _ear(self, part: hearing.Seen) -> RepetitionSet | None:
        """What is heard of a set that was seen and goes on."""
        if self._hear is None:
            return None
        one = part.one
        known = next((ear for ear in self._ears if hearing.is_of(one, ear)), None)
        if known is not None and part.goes_on_in(known):
            return known
        begin_s = max(self._seen.start_s, one.start_s - hearing.AROUND_S)
        until_s = min(self._seen.end_s, one.end_s + hearing.AROUND_S)
        ear = hearing.heard_set(self._hear(begin_s, until_s), one)
        if ear is None:
            return known
        if known is not None:
            self._ears.remove(known)
        self._ears.append(ear)
        return ear

    def counts(
        self, spans: Sequence[tuple[int, int]]
    ) -> tuple[list[CountResult], float]:
        """Counts of spans in order, with what was heard of their sets where nobody looked.

        Returns:
          (counts of those in which there is enough, how many repetitions were heard only).
        """
        parts = [self._parts[span] for span in spans]
        results = [result for result, _ in parts]
        total = sum(result.count for result in results)
        for ear in self._ears:
            mine = [
                (place, part)
                for place, (_, found) in enumerate(parts)
                for part in found
                if hearing.is_of(part.one, ear)
            ]
            if not mine:
                continue
            whole = hearing.filled([part for _, part in mine], ear)
            # In the place of the first of its parts.
            for place, part in mine:
                left = [one for one in results[place].sets if one is not part.one]
                results[place] = hearing.with_sets(results[place], left)
            first = results[mine[0][0]]
            results[mine[0][0]] = hearing.with_sets(first, [*first.sets, whole])
        heard = sum(result.count for result in results) - total
        return [one for one in results if one.count >= LEAST_KEPT], heard


def _cycle_s(one: RepetitionSet) -> float:
    """Seconds within which a set that goes on has another cycle."""
    return LONGEST_CYCLE * (one.end_s - one.start_s) / one.count


def believed(result: CountResult) -> list[RepetitionSet]:
    """The sets of a look that the model is sure of, and sees."""
    unsure = result.confidence is not None and result.confidence < LEAST_CONFIDENCE
    found = []
    for one in sets_of(result):
        if one.probability is not None:
            unsure = one.probability < LEAST_PROBABILITY
        if not unsure and seen_share(result, one) >= LEAST_SEEN:
            found.append(one)
    return found


def seen_share(result: CountResult, one: RepetitionSet) -> float:
    """How many of a set's repetitions are counted by sight alone, over all; 1 without sight.

    What is only heard is somebody else's, or music: the sound said where to look.
    """
    sight = result.stream("sight")
    if sight is None:
        return 1.0
    if not sight.windows:
        return sight.count / result.count
    seen = 0.0
    for window in sight.windows:
        both = min(window.end_s, one.end_s) - max(window.start_s, one.start_s)
        if both > 0:
            seen += window.count * both / (window.end_s - window.start_s)
    return seen / one.count


def seconds_of(seen: Preview, span: tuple[int, int]) -> tuple[float, float]:
    """A span of the preview's seconds as times of the file."""
    first, end = span
    return seen.start_s + first, min(seen.start_s + end, seen.end_s)


def sets_of(result: CountResult) -> list[RepetitionSet]:
    """The sets of a count that are more than a chance; runs of its rate where it tells none."""
    sets = result.sets
    if sets is None:
        rate = result.rate
        moving = np.array([per_s > 0 for per_s in rate.per_s], bool)
        found = []
        for first, end in policy.spans_of(moving):
            span = (rate.edges_s[first], rate.edges_s[end])
            count = float(np.diff(rate.done(span))[0])
            found.append(RepetitionSet(*span, count, (span,)))
        sets = tuple(found)
    return [one for one in sets if one.count >= LEAST_COUNT]


def joined(
    counter: Counter,
    path: str | os.PathLike,
    seen: Preview,
    parts: Sequence[CountResult],
    how: Skimmed,
    began: float,
    faults: Sequence[str],
) -> CountResult:
    """One result of the counts of spans that do not touch."""
    every = dict.fromkeys(
        [*faults, *(fault for part in parts for fault in part.faults)]
    )
    for fault in every:
        pass_on_fault(fault)
    sure = [part.confidence for part in parts if part.confidence is not None]
    confidence = None
    if how.everything:
        confidence = sure[0] if sure else None
    elif sure or not parts:
        confidence = min(sure, default=1.0) * (1 - how.missed_probability)
    rate = _joined_rate([part.rate for part in parts])
    known_sets = all(part.sets is not None for part in parts)
    names = dict.fromkeys(one.name for part in parts for one in part.streams)
    return CountResult(
        file=os.fspath(path),
        start_s=seen.start_s,
        duration_s=seen.end_s - seen.start_s,
        count=sum((part.count for part in parts), 0.0),
        rate=rate,
        streams=tuple(_joined_stream(name, parts) for name in names),
        model=counter.config["name"],
        family=counter.family.name,
        seconds=time.perf_counter() - began,
        sets=tuple(one for part in parts for one in part.sets) if known_sets else None,
        confidence=confidence,
        details={"skim": dataclasses.asdict(how)},
        faults=tuple(every),
    )


def _joined_stream(name: str, parts: Sequence[CountResult]) -> Stream:
    """What a stream says of all parts together; its weight differs from part to part."""
    found = [one for part in parts for one in part.streams if one.name == name]
    windows = tuple(window for one in found for window in one.windows)
    return Stream(name, sum(one.count for one in found), None, windows)


def _joined_rate(rates: Sequence[Rate]) -> Rate:
    """Rates one after the other, 0 between them."""
    edges: list[float] = []
    done: list[float] = []
    for rate in rates:
        if not rate.per_s:
            continue
        base = done[-1] if done else 0.0
        edges += rate.edges_s
        done += (base + rate.done(np.asarray(rate.edges_s))).tolist()
    return Rate.from_knots(edges, done)
