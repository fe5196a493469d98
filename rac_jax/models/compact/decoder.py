"""From distributions over periods to sets of repetitions and their cycles.

The most probable path through the periods, or through no repetition, is found by dynamic
programming (Viterbi), so that a moment's doubt neither ends a set nor doubles its tempo.
"""

import dataclasses

import numpy as np

from rac_jax.models.compact.network import GRID_BINS, STEP_FRAMES, absolute_log_periods

NEIGHBOURS = 2  # bins on each side of a state that are read as one period
NOTHING = GRID_BINS  # the state of no repetition
FLOOR = 1e-4
_LOG_PERIODS = absolute_log_periods().astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the decision hangs on; chosen on procedural scenes.

    Attributes:
      nothing: factor on the probability of no repetition.
      drift: cost of a change by one bin between instants.
      jump: cost of a change of period, and of an end or a beginning.
      score: least mean probability of a set.
      least: least repetitions of a set.
      gap: longest break within a set, in periods.
    """

    nothing: float = 1.0
    drift: float = 0.3
    jump: float = 2.0
    score: float = 0.3
    least: float = 1.6
    gap: float = 1.0


@dataclasses.dataclass(frozen=True)
class PeriodSet:
    """Repetitions without a long break, in frames of the video.

    Attributes:
      first: first frame.
      end: frame after the last one.
      count: repetitions in it.
      score: mean probability of its periods, in [0, 1].
      edges: float [N + 1] frames between which the cycles lie, N the rounded count.
    """

    first: int
    end: int
    count: float
    score: float
    edges: np.ndarray


@dataclasses.dataclass(frozen=True)
class Tally:
    """What one distribution counts.

    Attributes:
      count: repetitions, the sum over the sets.
      sets: in order.
      rate: [T] repetitions per frame; 0 outside of the sets.
      score: mean probability of the sets' periods, or of no repetition if there is no set.
    """

    count: float
    sets: tuple[PeriodSet, ...]
    rate: np.ndarray
    score: float


def _masses(distribution: np.ndarray, rule: Rule) -> np.ndarray:
    """Probability of each state, a period's with its neighbours. [G, 55]"""
    periods = np.pad(distribution[:, :NOTHING], ((0, 0), (NEIGHBOURS, NEIGHBOURS)))
    total = np.cumsum(np.pad(periods, ((0, 0), (1, 0))), axis=1)
    near = total[:, 2 * NEIGHBOURS + 1 :] - total[:, : -2 * NEIGHBOURS - 1]  # [G, 54]
    nothing = rule.nothing * distribution[:, NOTHING:]
    return np.concatenate([near, nothing], axis=1)


def best_path(masses: np.ndarray, drift: float, jump: float) -> np.ndarray:
    """The most probable path.

    Args:
      masses: [G, 55] probability of each state at each instant, the last one no repetition.
      drift: cost of a step to the neighbouring period, up to `NEIGHBOURS` of them.
      jump: cost of any other change.

    Returns:
      int [G] states.
    """
    gains = np.log(np.maximum(masses, FLOOR))
    states = gains.shape[1]
    value, back = gains[0], np.zeros(gains.shape, np.int64)
    order = np.arange(states)
    for t in range(1, len(gains)):
        start = int(np.argmax(value))
        best = np.full(states, value[start] - jump)
        origin = np.full(states, start)
        for step in range(-NEIGHBOURS, NEIGHBOURS + 1):
            # Moves among periods; no repetition is nobody's neighbour.
            low, high = max(0, step), min(NOTHING, NOTHING + step)
            moved = value[low - step : high - step] - drift * abs(step)
            better = moved > best[low:high]
            best[low:high] = np.where(better, moved, best[low:high])
            origin[low:high] = np.where(
                better, order[low - step : high - step], origin[low:high]
            )
        if value[NOTHING] > best[NOTHING]:
            best[NOTHING], origin[NOTHING] = value[NOTHING], NOTHING
        back[t] = origin
        value = best + gains[t]
    path = np.zeros(len(gains), np.int64)
    path[-1] = np.argmax(value)
    for t in range(len(gains) - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path


def tally(distribution: np.ndarray, frames: int, rule: Rule) -> Tally:
    """Counts.

    Args:
      distribution: [G, 55] over absolute periods, the last entry for no repetition.
      frames: T, frames of the video, at most G * 4.
      rule: the decision's constants.

    Returns:
      The count, with where and when.
    """
    distribution = distribution.astype(np.float64)
    masses = _masses(distribution, rule)
    path = best_path(masses, rule.drift, rule.jump)
    periodic = path != NOTHING
    state = np.where(periodic, path, 0)
    near = state[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    inside = (near >= 0) & (near < GRID_BINS)
    near = np.clip(near, 0, GRID_BINS - 1)
    weights = np.take_along_axis(distribution, near, axis=1) * inside + 1e-12
    log_period = np.sum(weights * _LOG_PERIODS[near], axis=1) / weights.sum(axis=1)
    certain = np.where(
        periodic, np.take_along_axis(masses, state[:, None], 1)[:, 0], 0.0
    )

    def spread(values):
        """Values of instants at every frame. [T]"""
        return np.repeat(values, STEP_FRAMES)[:frames]

    rate = spread(np.where(periodic, np.exp(-log_period), 0.0))
    sets = _sets(spread(periodic), rate, spread(certain), rule)
    counted = np.zeros(frames, bool)
    for found in sets:
        counted[found.first : found.end] = True
    rate = rate * counted
    lengths = [found.count for found in sets]
    score = (
        np.average([found.score for found in sets], weights=lengths)
        if sets
        else distribution[:, NOTHING].mean()
    )
    return Tally(float(sum(lengths)), tuple(sets), rate, float(min(score, 1.0)))


def _sets(
    periodic: np.ndarray, rate: np.ndarray, certain: np.ndarray, rule: Rule
) -> list[PeriodSet]:
    """Joins periodic runs over short breaks, and drops what is too short or too unsure."""
    changes = np.flatnonzero(np.diff(np.pad(periodic.astype(np.int8), 1)))
    joined: list[list[int]] = []
    for first, end in changes.reshape(-1, 2):
        if joined:
            period = 1 / min(rate[first], rate[joined[-1][1] - 1])
            if first - joined[-1][1] <= rule.gap * period:
                joined[-1][1] = end
                continue
        joined.append([first, end])
    sets = []
    for first, end in joined:
        here = slice(first, end)
        count = float(rate[here].sum())
        score = float(certain[here][periodic[here]].mean())
        if count >= rule.least and score >= rule.score:
            edges = _edges(rate[here], count) + first
            sets.append(PeriodSet(int(first), int(end), count, score, edges))
    return sets


def _edges(rate: np.ndarray, count: float) -> np.ndarray:
    """Where a set's cycles begin and end, in frames from its start: equal shares of it."""
    done = np.concatenate([[0.0], np.cumsum(rate)])
    number = max(1, int(count + 0.5))
    shares = np.linspace(0, done[-1], number + 1)
    return np.interp(shares, done + 1e-9 * np.arange(len(done)), np.arange(len(done)))
