"""Where in a long video it is worth looking, and what may have been missed; numpy only.

Nothing is learnt while it runs. Each second has a belief that something repeats
in it, at first from the preview alone: a logistic function of what the learnt `listener` says of
the sound and of how much the keyframes differ, fitted by `benchmarks/skim.py --fit` on spliced
scenes of other seeds than those it is measured on. Then, while the budget lasts:

1. the span of `PROBE_S` is looked at whose seconds not yet looked at are believed in most; a span
   is cut where the belief ends, so that what a set's sound tells of its ends is used;
2. where a set is found that goes on at an end of what was looked at, and it is heard how far, all of
   it waits to be looked at until no other place is believed in by more than `Rules.worth`, and is
   then looked at if the budget is enough for it;
3. where that is not heard, it grows at once, as far as the preview tells of it as of the set, but at
   most threefold: a long set takes few looks;
4. where the model hears nothing, there is no look, it costs nothing, and the odds fall;
5. in the end such places are looked at all the same that were believed in by much.
"""

import dataclasses

import numpy as np

from rac_jax.counting.skim.preview import Preview

# Seconds that are looked at at once: three of the slowest cycles, and a bit.
PROBE_S = 6
SHORTEST_S = 4  # of a look, in less nothing can be told
BIT_S, MOST_GROWN_S = 3, 30  # by which a set is looked beyond, at each end
APART_S = 30  # so far from a look that is not answered yet nothing else is chosen
FADING_S = 5  # over which beliefs are averaged to tell how far a set goes on

TENTH = 0.1  # of a video; whoever lets more of it be looked at is not in a hurry

SET_S = 12  # seconds that one set takes, for the probability that one was missed

# The policy says something if it believes so many times as much in some look as in the median
# second: in scenes 500 and more where sets are heard, 2 without sound, 3 and 26 under music.
TELLING = 100.0
SUREST = 5.0  # log odds of the sound beyond which it is no surer
SEEN = 0.5  # share of seconds with keyframes near, for a picture without sound


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a policy makes of its beliefs.

    Attributes:
      worth: what is believed in by so much is listened to, before the rest of sets that are heard
        is looked at; by less at budgets of more than `TENTH`, in proportion.
      second: after all else, what is still believed in by so much is looked at though nothing was
        heard there.
      heard: how probable what is heard must be before anything is looked at.
      unheard_odds: by this the odds are multiplied where nothing is heard.
      beside_odds: beside a set that goes on.
      missed: the share of the seconds that are believed to be of sets, where nobody looked in the
        end, that are.
      faded: the ends of a span below so much of its highest belief are not looked at.
    """

    worth: float
    second: float
    heard: float
    unheard_odds: float
    beside_odds: float
    faded: float
    missed: float


# What loses least in `benchmarks/skim_policy.py`, see docs/skim.md.
TRAINED = Rules(
    worth=0.04,
    second=0.01,
    heard=0.5,
    unheard_odds=0.1,
    beside_odds=20.0,
    faded=0.5,
    missed=0.40,
)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The logistic function of what a preview says: log odds by evidence that is there."""

    base: float
    sound: float  # per unit of the sound's log odds over their median
    motion: float  # per square of log(1 + motion) from the usual, over its mean
    usual_motion: float  # of sets
    motion_middle: float  # the mean of the square


FITTED = Evidence(
    base=-7.04,
    sound=0.84,
    motion=-2.70,
    usual_motion=1.93,
    motion_middle=0.319,
)


def evidence_of(preview: Preview, usual_motion: float) -> tuple[np.ndarray, np.ndarray]:
    """What is believed in by: of the sound, and of the picture.

    Sound that goes on throughout a file, such as music with a beat, says nothing of a second in
    it, however rhythmic it is: what counts is by how much it is more so than the file's median.
    What barely moves repeats as little as what changes altogether.

    Returns:
      (float64 [N] log odds of the sound over their median; [N] squares of how far log(1 + motion)
      is from the usual); NaN where there is none.
    """
    heard = np.clip(preview.heard_odds.astype(np.float64), -SUREST, SUREST)
    if preview.heard:
        heard -= np.nanmedian(heard)
    away = np.log1p(preview.motion.astype(np.float64)) - usual_motion
    return heard, np.square(away)


def believe(preview: Preview, evidence: Evidence = FITTED) -> np.ndarray:
    """The belief that something repeats in each second, before anything is looked at.

    Returns:
      float64 [N] in (0, 1). Evidence that is missing counts as of no effect.
    """
    heard, away = evidence_of(preview, evidence.usual_motion)
    odds = evidence.base + evidence.sound * np.nan_to_num(heard)
    odds += evidence.motion * np.nan_to_num(away - evidence.motion_middle)
    return 1 / (1 + np.exp(-odds))


def says_nothing(preview: Preview, beliefs: np.ndarray) -> bool:
    """Whether a preview gives no reason to look at one place rather than another."""
    blind = not preview.heard and preview.seen < SEEN
    length = min(PROBE_S, len(beliefs))
    most = float(_sums(beliefs, length).max()) / length
    return blind or most < TELLING * float(np.median(beliefs))


class Policy:
    """Chooses spans one after the other.

    Args:
      beliefs: [N] of `believe`.
      budget_s: seconds that may be looked at, at least 1.
      rules: what it makes of beliefs.

    Attributes:
      rules: the same.
      beliefs: [N] as they are by now.
      looked: [N] bool, which seconds were chosen so far.
      heard: [N] bool, which are of sets that were found: how far they go on was heard.
      unheard: [N] bool, in which nothing was heard and nobody looked.
      sets: the spans in which a set was found, as they were last looked at; none touch.
    """

    def __init__(self, beliefs: np.ndarray, budget_s: int, rules: Rules = TRAINED):
        self.rules = rules
        self.beliefs = np.array(beliefs, np.float64)
        self.looked = np.zeros(len(beliefs), bool)
        self.heard = np.zeros(len(beliefs), bool)
        self.unheard = np.zeros(len(beliefs), bool)
        self.sets: list[tuple[int, int]] = []
        kernel = np.ones(FADING_S) / FADING_S
        self._previewed = np.convolve(self.beliefs, kernel, mode="same")
        self._left = budget_s
        self._worth = rules.worth * min(1.0, TENTH * len(beliefs) / budget_s)
        self._growing: tuple[int, int] | None = None
        self._waiting: list[tuple[int, int]] = []
        self._open: list[tuple[int, int]] = []

    def next(self) -> tuple[int, int] | None:
        """The span of seconds [first, end) to look at; None where it is over.

        Several may be asked for before `found` answers the first: they lie `APART_S` apart, and
        None means that there is no other until an answer comes.

        It is one or more of `sets` with what lies beyond, or a span of which no second was looked
        at: of `PROBE_S`, or down to `SHORTEST_S` where it lies between two that were, at an end,
        where the belief fades, and where the budget ends. The budget pays for seconds that were not
        looked at before.
        """
        span = self._growing or self._choose()
        self._growing = None
        if span is not None:
            new = ~self.looked[slice(*span)]
            self._left -= int(new.sum())
            self.looked[slice(*span)] = True
            self._open.append(span)
        return span

    def _choose(self) -> tuple[int, int] | None:
        """A place where nobody looked, or a set that is heard to go on."""
        probe, belief = self._probe(~(self.looked | self.heard | self.unheard))
        if probe is not None and belief >= self._worth:
            return probe
        for whole in self._waiting:
            if np.count_nonzero(~self.looked[slice(*whole)]) <= self._left:
                self._waiting.remove(whole)
                return whole
        probe, belief = self._probe(self.unheard & ~(self.looked | self.heard))
        return probe if belief >= self.rules.second else None

    def _probe(self, new: np.ndarray) -> tuple[tuple[int, int] | None, float]:
        """(The span that is believed in most of new seconds, by how much); changes `new`."""
        for first, end in self._open:
            new[max(0, first - APART_S) : end + APART_S] = False
        for first, end in spans_of(new):
            if end - first < SHORTEST_S:
                new[first:end] = False
        length = min(PROBE_S, len(new), self._left)
        if length < SHORTEST_S or not new.any():
            return None, 0.0
        gains = _sums(np.where(new, self.beliefs, 0.0), length)  # [N - length + 1]
        costs = _sums(new.astype(np.float64), length)
        # A span that overlaps another gives less for less; of equal ones the longer.
        worth = costs >= SHORTEST_S
        rates = np.where(worth, gains / np.maximum(costs, 1), 0.0)
        best = int(np.argmax(rates + 1e-6 * costs))
        first, end = (best + edge for edge in _longest(new[best : best + length]))
        if end - first < SHORTEST_S:
            # The rest of it lies beyond the window.
            while end - first < SHORTEST_S and new[end : end + 1].any():
                end += 1
            first = min(first, end - SHORTEST_S)
        return self._cut(first, end), float(rates[best])

    def _cut(self, first: int, end: int) -> tuple[int, int]:
        """A span without ends in which the belief has faded."""
        before = first > 0 and self.looked[first - 1]
        after = end < len(self.looked) and self.looked[end]
        least = self.rules.faded * self.beliefs[first:end].max()
        # What touches something that was looked at goes on from there.
        while not after and end - first > SHORTEST_S and self.beliefs[end - 1] < least:
            end -= 1
        while not before and end - first > SHORTEST_S and self.beliefs[first] < least:
            first += 1
        return first, end

    def is_unknown(self, span: tuple[int, int]) -> bool:
        """Whether nothing was found yet in a span of `next`, and nobody listened there."""
        first, end = span
        known = any(a < end and b > first for a, b in self.sets)
        return not (known or self.unheard[first:end].any())

    def left_out(self, span: tuple[int, int]) -> None:
        """Takes back a look at an unknown span of `next`: nothing is heard there.

        It costs nothing of the budget.
        """
        first, end = span
        self._open.remove(span)
        self._left += end - first
        self.looked[first:end] = False
        self.unheard[first:end] = True
        self._change_odds(first, end, self.rules.unheard_odds)

    def found(
        self,
        span: tuple[int, int],
        repeats: bool,
        open_start: bool,
        open_end: bool,
        heard: tuple[int, int] | None = None,
    ) -> None:
        """Takes in what was seen in a span.

        Args:
          span: of `next`.
          repeats: whether a set was found.
          open_start, open_end: whether one goes on beyond the span's start or end.
          heard: the seconds [first, end) that show all that is heard of it; None where that is not
            known.
        """
        first, end = span
        self._open.remove(span)
        if not repeats:
            return
        self.sets = [(a, b) for a, b in self.sets if b <= first or a >= end]
        self.sets.append(span)
        before, after = 0, 0
        if heard is not None:
            if open_start:
                before = max(0, first - max(0, heard[0]))
            if open_end:
                after = max(0, min(len(self.looked), heard[1]) - end)
            # Unless it is heard to end where it is seen to go on.
            if bool(before) == open_start and bool(after) == open_end:
                self._wait(first - before, end + after)
                return
        if open_start and not before:
            before = self._beyond(span, -1)
        if open_end and not after:
            after = self._beyond(span, 1)
        self._change_odds(first - before, first, self.rules.beside_odds)
        self._change_odds(end, end + after, self.rules.beside_odds)
        after = min(after, self._left)
        before = min(before, self._left - after)
        whole = self._with_neighbours(first - before, end + after)
        self._growing = None if whole == span else whole

    def _wait(self, first: int, end: int) -> None:
        """Lets a set that is heard wait to be looked at as a whole, if it is not yet."""
        self.heard[first:end] = True
        if self.looked[first:end].all():
            return
        for whole in [one for one in self._waiting if one[0] < end and one[1] > first]:
            self._waiting.remove(whole)
            first, end = min(first, whole[0]), max(end, whole[1])
        self._waiting.append((first, end))

    def _beyond(self, span: tuple[int, int], step: int) -> int:
        """How many seconds beyond an end of a set are to be looked at."""
        first, end = span
        if step < 0 and first == 0:
            return 0
        beyond = slice(first - 1, None, -1) if step < 0 else slice(end, None)
        most = min(2 * (end - first), MOST_GROWN_S)
        like = (
            self._previewed[beyond]
            >= self.rules.faded * self._previewed[first:end].mean()
        )
        # As far as the preview tells of it as of the set, and a bit beyond.
        grown = int(np.cumprod(like[:most]).sum())
        if grown < most:
            grown += BIT_S
        return int(np.cumprod(~self.looked[beyond][:grown]).sum())

    def _with_neighbours(self, first: int, end: int) -> tuple[int, int]:
        """A span with the sets that it touches."""
        near = [(a, b) for a, b in self.sets if a <= end and b >= first]
        return min([first, *(a for a, _ in near)]), max([end, *(b for _, b in near)])

    def _change_odds(self, first: int, end: int, factor: float) -> None:
        part = slice(max(0, first), max(0, end))
        odds = self.beliefs[part] / (1 - self.beliefs[part]) * factor
        self.beliefs[part] = odds / (1 + odds)

    def missed(self) -> float:
        """The probability that a set that is heard, or a part of one, lies where nobody looked.

        The beliefs there add up to the seconds of sets that are expected, of which `Rules.missed`
        are, and sets of `SET_S` that come independently are none with the probability
        exp(-their expected number).
        """
        believed_s = float(self.beliefs[~(self.looked | self.heard)].sum())
        return 1 - float(np.exp(-self.rules.missed * believed_s / SET_S))


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
