"""Counts where a policy says, and says what was never looked at."""

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from rac_jax.counting.counter import Counter
from rac_jax.counting.rate import Rate
from rac_jax.counting.result import CountResult, Stream
from rac_jax.counting.skim import policy
from rac_jax.counting.skim.looks import look, seconds_of
from rac_jax.counting.skim.preview import Preview, preview
from rac_jax.counting.skim.senses import counting_parts, senses
from rac_jax.media import collect_faults, pass_on_fault


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

    with collect_faults() as faults:
        seen = known or preview(path, start_s=start_s, end_s=end_s)
        count = counting_parts(counter, path, seen, **options)
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
            parts, heard = look(chosen, seen, *senses(counter, seen, count, options))
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
