"""Where in a long video it is worth looking, and what may have been missed; numpy only.

A fixed policy, nothing is learnt while it runs. Each second has a belief that something repeats
in it, at first from the preview alone: a logistic function of how rhythmic the sound is and of
how much the keyframes differ, fitted by `benchmarks/skim.py --fit` on spliced scenes of other
seeds than those it is measured on. Then, while the budget lasts:

1. the span of `PROBE_S` is looked at whose seconds not yet looked at are believed in most;
2. where a set is found that reaches an end of what was looked at, its neighbours are believed in;
3. where nothing is found, the odds of the seconds around fall: a decoy goes on as it began.
"""

import dataclasses

import numpy as np

from rac_jax.counting.skim.preview import Preview

PROBE_S = (
    6  # seconds that are looked at at once: three of the slowest cycles, and a bit
)
ADJACENT = 0.95  # belief in what lies beside a set that goes on
DECOY_S = 12  # around a span without a set, the odds of what was not looked at
DECOY_ODDS = 0.4  # are multiplied by this
WORTH = 0.01  # nothing is looked at that is believed in less

# Seconds that one set takes, for the probability that one was missed: as many seconds that were
# never looked at are one chance, not as many.
SET_S = 12

# The policy says something if its beliefs differ by this much.
SPREAD = 0.02
SEEN = 0.5  # share of seconds with keyframes near, for a picture without sound


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The logistic function of what a preview says: log odds by evidence that is there."""

    base: float
    rhythm: float  # per unit of rhythm, about its middle
    motion: float  # per unit of log(1 + motion), about its middle
    rhythm_middle: float
    motion_middle: float


FITTED = Evidence(
    base=-3.13,
    rhythm=1.86,
    motion=0.04,
    rhythm_middle=0.43,
    motion_middle=2.27,
)


def believe(preview: Preview, evidence: Evidence = FITTED) -> np.ndarray:
    """The belief that something repeats in each second, before anything is looked at.

    Returns:
      float64 [N] in (0, 1). Evidence that is missing counts as of no effect.
    """
    heard = np.nan_to_num(preview.rhythm - evidence.rhythm_middle)
    seen = np.nan_to_num(np.log1p(preview.motion) - evidence.motion_middle)
    odds = evidence.base + evidence.rhythm * heard + evidence.motion * seen
    return 1 / (1 + np.exp(-odds))


def says_nothing(preview: Preview, beliefs: np.ndarray) -> bool:
    """Whether a preview gives no reason to look at one place rather than another."""
    blind = not preview.heard and preview.seen < SEEN
    return blind or float(np.ptp(beliefs)) < SPREAD


class Policy:
    """Chooses spans one after the other.

    Args:
      beliefs: [N] of `believe`.
      budget_s: seconds that may be looked at, at least 1.

    Attributes:
      beliefs: [N] as they are by now.
      looked: [N] bool, which seconds were chosen so far.
    """

    def __init__(self, beliefs: np.ndarray, budget_s: int):
        self.beliefs = np.array(beliefs, np.float64)
        self.looked = np.zeros(len(beliefs), bool)
        self._left = budget_s

    def next(self) -> tuple[int, int] | None:
        """The span of seconds [first, end) to look at; None where it is over.

        It holds no second that was looked at; it is shorter than `PROBE_S` between two that were,
        at an end, and where the budget ends.
        """
        seconds = len(self.beliefs)
        length = min(PROBE_S, seconds, self._left)
        if length < 1:
            return None
        new = ~self.looked
        gains = _sums(np.where(new, self.beliefs, 0.0), length)  # [N - length + 1]
        costs = _sums(new.astype(np.float64), length)
        # A span that overlaps another gives less for less; of equal ones the longer.
        rates = np.where(costs > 0, gains / np.maximum(costs, 1), 0.0)
        best = int(np.argmax(rates + 1e-6 * costs))
        if rates[best] < WORTH:
            return None
        first, end = _longest(new[best : best + length])
        first, end = best + first, best + end
        self.looked[first:end] = True
        self._left -= end - first
        return first, end

    def found(
        self, span: tuple[int, int], repeats: bool, open_start: bool, open_end: bool
    ) -> None:
        """Takes in what was seen in a span.

        Args:
          span: of `next`.
          repeats: whether a set was found.
          open_start, open_end: whether one reaches the span's start or end.
        """
        first, end = span
        if repeats:
            if open_start:
                self._believe_in(first - PROBE_S, first)
            if open_end:
                self._believe_in(end, end + PROBE_S)
            return
        near = slice(max(0, first - DECOY_S), end + DECOY_S)
        odds = self.beliefs[near] / (1 - self.beliefs[near]) * DECOY_ODDS
        # Not those beside a set.
        lowered = np.where(self.beliefs[near] < ADJACENT, odds / (1 + odds), ADJACENT)
        self.beliefs[near] = lowered

    def _believe_in(self, first: int, end: int) -> None:
        part = slice(max(0, first), max(0, end))
        self.beliefs[part] = np.where(self.looked[part], self.beliefs[part], ADJACENT)

    def missed(self) -> float:
        """The probability that a set, or a part of one, lies where nobody looked."""
        none = 1.0
        for first, end in spans_of(~self.looked):
            for block in range(first, end, SET_S):
                none *= 1 - float(self.beliefs[block : min(end, block + SET_S)].max())
        return 1 - none


def spans_of(chosen: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True of bool [N] as [first, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _sums(values: np.ndarray, length: int) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(values)])
    return total[length:] - total[:-length]


def _longest(chosen: np.ndarray) -> tuple[int, int]:
    """The longest run of True; there is one."""
    return max(spans_of(chosen), key=lambda span: span[1] - span[0])
