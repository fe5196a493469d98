"""From distributions over periods to sets of repetitions and their cycles.

The most probable path through the periods, or through no repetition, is found by dynamic
programming (Viterbi), so that a moment's doubt neither ends a set nor doubles its tempo.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from rac_jax.models.compact.grid import GRID_BINS, STEP_FRAMES, absolute_log_periods

NEIGHBOURS = 2  # bins on each side of a state that are taken for one period
NO_REPETITION = GRID_BINS  # the state of no repetition
FLOOR = 1e-4  # probability under which no state falls
_LOG_PERIODS = absolute_log_periods().astype(np.float64)


@dataclasses.dataclass(frozen=True)
class DecodingConfig:
    """What the decoding of a model hangs on; chosen on procedural scenes.

    Attributes:
      nothing: factor on the probability of no repetition.
      drift: cost, in nats, of a change of period by one bin from step to step.
      jump: cost, in nats, of any other change of period, and of an end or a beginning.
      score: least mean probability of a set's periods, in [0, 1].
      least_count: least repetitions of a set.
      gap: longest break within a set, in periods.

    Raises:
      ValueError: for a value that is negative or not finite.
    """

    nothing: float = 1.0
    drift: float = 0.3
    jump: float = 2.0
    score: float = 0.3
    least_count: float = 1.6
    gap: float = 1.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"decoding.{name}: must be at least 0, not {value}")

    @classmethod
    def from_fields(cls, fields: Mapping[str, float]) -> "DecodingConfig":
        """Reads the section "decoding" of a config.

        Raises:
          ValueError: for a field that there is not, or a wrong value.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(fields) - known:
            raise ValueError(
                f"decoding.{min(unknown)}: no such field, known: "
                f"{', '.join(sorted(known))}"
            )
        return cls(**fields)


@dataclasses.dataclass(frozen=True, eq=False)
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


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """What is decoded of one distribution.

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


def _masses(distribution: np.ndarray, config: DecodingConfig) -> np.ndarray:
    """Probability of each state, a period's with its neighbours. [G, 55]"""
    periods = np.pad(
        distribution[:, :NO_REPETITION], ((0, 0), (NEIGHBOURS, NEIGHBOURS))
    )
    total = np.cumsum(np.pad(periods, ((0, 0), (1, 0))), axis=1)
    near = total[:, 2 * NEIGHBOURS + 1 :] - total[:, : -2 * NEIGHBOURS - 1]  # [G, 54]
    nothing = config.nothing * distribution[:, NO_REPETITION:]
    return np.concatenate([near, nothing], axis=1)


def best_path(masses: np.ndarray, drift: float, jump: float) -> np.ndarray:
    """The most probable path.

    Args:
      masses: [G, 55] probability of each state at each step, the last one no repetition.
      drift: cost of a step to the neighbouring period, up to `NEIGHBOURS` of them.
      jump: cost of any other change.

    Returns:
      int [G] states.
    """
    gains = np.log(np.maximum(masses, FLOOR))
    number, states = gains.shape
    order, steps = np.arange(states), np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    costs = drift * np.abs(steps)[:, None]

    # Ways to every state: a jump from the best one, or a step from a neighbouring period. No
    # repetition is nobody's neighbour, but may stay.
    ways = np.full((1 + len(steps), states), -np.inf)
    room = np.full(NO_REPETITION + 2 * NEIGHBOURS, -np.inf)
    periods = room[NEIGHBOURS : NEIGHBOURS + NO_REPETITION]
    # Row by row, the states one step before.
    near = np.lib.stride_tricks.sliding_window_view(room, NO_REPETITION)[::-1]

    # Forwards: the best way to every state at every step, and from where a jump came.
    value = gains[0]
    chosen, starts = np.zeros(gains.shape, np.int64), np.zeros(number, np.int64)
    for t in range(1, number):
        starts[t] = np.argmax(value)
        ways[0] = value[starts[t]] - jump
        periods[:] = value[:NO_REPETITION]
        np.subtract(near, costs, out=ways[1:, :NO_REPETITION])
        ways[1 + NEIGHBOURS, NO_REPETITION] = value[NO_REPETITION]
        chosen[t] = ways.argmax(axis=0)
        value = ways[chosen[t], order] + gains[t]

    # Backwards, from the best state at the end.
    path = np.zeros(number, np.int64)
    path[-1] = np.argmax(value)
    for t in range(number - 1, 0, -1):
        way = chosen[t, path[t]]
        path[t - 1] = path[t] - steps[way - 1] if way else starts[t]
    return path


def decode(distribution: np.ndarray, frames: int, config: DecodingConfig) -> Decoded:
    """Finds the sets of repetitions in a distribution, and counts them.

    Args:
      distribution: [G, 55] over absolute periods, the last entry for no repetition.
      frames: T, frames of the video, at most G * 4.
      config: the decoding's constants.

    Returns:
      The count, with where and when.
    """
    distribution = distribution.astype(np.float64)
    masses = _masses(distribution, config)
    path = best_path(masses, config.drift, config.jump)
    periodic = path != NO_REPETITION

    # The period of a step is the mean over its state and the neighbours.
    state = np.where(periodic, path, 0)
    near = state[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    inside = (near >= 0) & (near < GRID_BINS)
    near = np.clip(near, 0, GRID_BINS - 1)
    weights = np.take_along_axis(distribution, near, axis=1) * inside + 1e-12
    log_period = np.sum(weights * _LOG_PERIODS[near], axis=1) / weights.sum(axis=1)
    certain = np.where(
        periodic, np.take_along_axis(masses, state[:, None], 1)[:, 0], 0.0
    )

    def at_frames(values):
        """Values of steps at every frame. [T]"""
        return np.repeat(values, STEP_FRAMES)[:frames]

    # Sets, and the rate within them.
    rate = at_frames(np.where(periodic, np.exp(-log_period), 0.0))
    sets = _find_sets(at_frames(periodic), rate, at_frames(certain), config)
    counted = np.zeros(frames, bool)
    for found in sets:
        counted[found.first : found.end] = True
    rate = rate * counted
    lengths = [found.count for found in sets]
    score = (
        np.average([found.score for found in sets], weights=lengths)
        if sets
        else distribution[:, NO_REPETITION].mean()
    )
    return Decoded(float(sum(lengths)), tuple(sets), rate, float(min(score, 1.0)))


def _find_sets(
    periodic: np.ndarray, rate: np.ndarray, certain: np.ndarray, config: DecodingConfig
) -> list[PeriodSet]:
    """Joins periodic runs over short breaks, and drops what is too short or too unsure."""
    changes = np.flatnonzero(np.diff(np.pad(periodic.astype(np.int8), 1)))
    joined: list[list[int]] = []
    for first, end in changes.reshape(-1, 2):
        if joined:
            period = 1 / min(rate[first], rate[joined[-1][1] - 1])
            if first - joined[-1][1] <= config.gap * period:
                joined[-1][1] = end
                continue
        joined.append([first, end])
    sets = []
    for first, end in joined:
        here = slice(first, end)
        count = float(rate[here].sum())
        score = float(certain[here][periodic[here]].mean())
        if count >= config.least_count and score >= config.score:
            edges = _edges(rate[here], count) + first
            sets.append(PeriodSet(int(first), int(end), count, score, edges))
    return sets


def _edges(rate: np.ndarray, count: float) -> np.ndarray:
    """Where a set's cycles begin and end, in frames from its start: equal shares of it."""
    done = np.concatenate([[0.0], np.cumsum(rate)])
    number = max(1, int(count + 0.5))
    shares = np.linspace(0, done[-1], number + 1)
    return np.interp(shares, done + 1e-9 * np.arange(len(done)), np.arange(len(done)))
