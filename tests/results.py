"""Results of no model, for tests of what is done with a result."""

import dataclasses
import itertools

import numpy as np

from rac_jax.counting.rate import Rate
from rac_jax.counting.result import CountResult, RepetitionSet, rate_of_sets


def evenly(count: float, duration_s: float = 10.0, **changes) -> CountResult:
    """A count that is spread evenly over the time, from a family that knows no sets."""
    start_s = changes.get("start_s", 0.0)
    result = CountResult(
        file="<array>",
        start_s=start_s,
        duration_s=duration_s,
        count=count,
        rate=Rate.constant(start_s, start_s + duration_s, count),
        streams=(),
        model="toy",
        family="toy",
        seconds=0.5,
    )
    return dataclasses.replace(result, **changes)


def repetition_set(
    start_s: float, cycles: int, period_s: float, count: float | None = None
) -> RepetitionSet:
    """A set of cycles of one length; it counts as many unless told otherwise."""
    edges = (start_s + period_s * np.arange(cycles + 1)).tolist()
    pairs = tuple(itertools.pairwise(edges))
    return RepetitionSet(edges[0], edges[-1], float(count or cycles), pairs)


def with_sets(*sets: RepetitionSet, **changes) -> CountResult:
    """A result of sets, over ten seconds unless told otherwise."""
    count = sum(one.count for one in sets)
    return evenly(count, **({"rate": rate_of_sets(sets), "sets": sets} | changes))
