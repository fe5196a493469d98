"""Looking where a policy says, and believing what is seen there."""

import contextvars
import math
from collections.abc import Sequence

import numpy as np

from rac_jax.counting.ahead import call_ahead
from rac_jax.counting.result import CountResult, RepetitionSet
from rac_jax.counting.skim import hearing, policy
from rac_jax.counting.skim.preview import Preview
from rac_jax.counting.skim.senses import Count

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


def look(
    chosen: policy.Policy,
    seen: Preview,
    see: Count,
    hear: Count | None = None,
) -> tuple[list[CountResult], float]:
    """Looks where a policy says, until it is over.

    Args:
      chosen: the policy; it is told what is found.
      seen: the video's preview.
      see: counts from one time to another; may be called from two threads at once.
      hear: the same by sound alone, before a first look, and for sets that go on beyond a look;
        None where it cannot be.

    Returns:
      (counts of spans that do not touch, in order: of all in which something was found; how many
      of these repetitions were heard only).
    """
    looks = Looks(seen, hear)

    def run(
        look: tuple[tuple[int, int], bool, contextvars.Context],
    ) -> CountResult | None:
        span, asks, context = look
        part_s = seconds_of(seen, span)
        if asks and not is_heard(context.run(hear, *part_s), chosen.rules.heard):
            return None
        return context.run(see, *part_s)

    going = True
    while going:
        going = False
        # In contexts of their own, which collect faults where this one does.
        spans = (
            (
                span,
                hear is not None and chosen.is_unknown(span),
                contextvars.copy_context(),
            )
            for span in iter(chosen.next, None)
        )
        # In the order in which they were chosen, so that nothing depends on time.
        for (span, *_), wait in call_ahead(run, spans):
            going = True
            result = wait()
            if result is None:
                chosen.left_out(span)
            else:
                chosen.found(span, *looks.take(span, result))
    return looks.counts(sorted(chosen.sets))


class Looks:
    """What was found in looks, and what is heard of sets that go on beyond them.

    Args:
      seen: the video's preview.
      hear: see `look`.
    """

    def __init__(self, seen: Preview, hear: Count | None):
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
            # With as much around it as shows that it ends there, if it is seen two cycles longer.
            begin_s = min(ear.start_s - 3 * _cycle_s(ear) for ear in ears)
            until_s = max(ear.end_s + 3 * _cycle_s(ear) for ear in ears)
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
        ear = self._listen_around(one)
        if ear is None:
            return known
        if known is not None:
            self._ears.remove(known)
        self._ears.append(ear)
        return ear

    def _listen_around(self, one: RepetitionSet) -> RepetitionSet | None:
        """What is heard of a set, further away where it goes on that far."""
        ends = self._seen.start_s, self._seen.end_s
        near, far = hearing.AROUND_S
        before, after = near, near
        while True:
            begin_s = max(ends[0], one.start_s - before)
            until_s = min(ends[1], one.end_s + after)
            ear = hearing.heard_set(self._hear(begin_s, until_s), one)
            if ear is None:
                return None
            wider = before, after
            if begin_s > ends[0] and ear.start_s - begin_s < _cycle_s(ear):
                before = far
            if until_s < ends[1] and until_s - ear.end_s < _cycle_s(ear):
                after = far
            if wider == (before, after):
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


def is_heard(result: CountResult, least: float) -> bool:
    """Whether a count by sound alone holds a set that is at least so probable."""
    return any(
        one.probability is None or one.probability >= least for one in sets_of(result)
    )


def seen_share(result: CountResult, one: RepetitionSet) -> float:
    """How many of a set's repetitions are counted by sight alone, over all.

    1 without sight, and of a look by sight alone.

    What is only heard is somebody else's, or music: the sound said where to look.
    """
    sight = result.stream("sight")
    if sight is None or len(result.streams) == 1:
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
