"""From the periods that each temporal stride sees to sets of repetitions.

At every instant the stride is trusted whose score, periodicity times the share of the period's
peak, is highest over some seconds, where strides that see the same period speak for each other.
Frames that it holds periodic make sets; a set that is too short or too unsure is left out.
"""

import dataclasses

import numpy as np

from rac_jax.counting.periods import Periods

SAME_PERIOD = 0.1  # standard deviation of the logarithm within which strides agree
PERIODIC = 0.5  # least periodicity of a frame inside a set


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the decision hangs on; chosen on procedural scenes.

    Attributes:
      smoothing_s: length over which scores are averaged, in seconds.
      agreement: weight of the other strides that see the same period.
      score: least mean score of a set.
      least: least repetitions of a set.
      gap: longest break within a set, in periods.
    """

    smoothing_s: float = 8.0
    agreement: float = 0.2
    score: float = 0.5
    least: float = 1.5
    gap: float = 1.0


@dataclasses.dataclass(frozen=True)
class RepetitionSet:
    """Repetitions without a long break."""

    first: int  # frame
    end: int  # frame after the last one
    count: float
    score: float  # mean over its periodic frames, in [0, 1]


@dataclasses.dataclass(frozen=True)
class Reading:
    """What one stream counts.

    Attributes:
      count: repetitions, the sum over the sets.
      stride: the stride that was trusted most, weighted by score.
      stride_scores: mean score of each stride over the frames of the sets, or over all frames
        when there is no set.
      sets: the sets, in order.
      confidence: mean score over the frames of the sets, in [0, 1]; 0 without one.
    """

    count: float
    stride: int
    stride_scores: dict[int, float]
    sets: tuple[RepetitionSet, ...]
    confidence: float


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Means over `width` neighbours along the last axis, fewer at the ends."""
    frames = values.shape[-1]
    total = np.zeros((*values.shape[:-1], frames + 1))
    np.cumsum(values, axis=-1, out=total[..., 1:])
    place = np.arange(frames)
    low = np.maximum(place - width // 2, 0)
    high = np.minimum(place + width // 2 + 1, frames)
    return (total[..., high] - total[..., low]) / (high - low)


def _runs(active: np.ndarray) -> np.ndarray:
    """First frames and ends of runs of True, int [N, 2]."""
    edges = np.flatnonzero(np.diff(np.pad(active.astype(np.int8), 1)))
    return edges.reshape(-1, 2)


def read(lines: list[Periods], frames: int, fps: float, rule: Rule) -> Reading:
    """Counts one stream.

    Args:
      lines: one per stride.
      frames: T, frames of the video.
      fps: frames per second.
      rule: the decision's constants.

    Returns:
      The reading.
    """
    strides = np.array([line.stride for line in lines])

    def spread(name):
        """Values of every stride at every frame. [K, T]"""
        return np.stack(
            [
                np.repeat(getattr(line, name), line.stride)[:frames].astype(np.float64)
                for line in lines
            ]
        )

    log_period, periodicity = spread("log_period"), spread("periodicity")
    score = periodicity * spread("mass")  # [K, T]
    backed = score.copy()
    for k in range(len(lines)):
        same = np.exp(-0.5 * np.square((log_period - log_period[k]) / SAME_PERIOD))
        others = np.sum(same * score, axis=0) - score[k]
        backed[k] += rule.agreement * others * score[k]
    width = max(1, round(rule.smoothing_s * fps))
    trusted = np.argmax(_running_mean(backed, width), axis=0)  # [T]
    pick = (trusted, np.arange(frames))
    score_here, log_here = score[pick], log_period[pick]
    periodic = periodicity[pick] > PERIODIC
    rate = np.where(periodic, np.exp(-log_here), 0.0)
    sets = _sets(periodic, rate, score_here, rule)
    inside = np.zeros(frames, bool)
    for found in sets:
        inside[found.first : found.end] = True
    inside &= periodic
    looked_at = inside if inside.any() else np.ones(frames, bool)
    scores = score[:, looked_at].mean(axis=1)
    weight = np.bincount(
        trusted[looked_at], score_here[looked_at] + 1e-9, minlength=len(lines)
    )
    return Reading(
        count=sum(found.count for found in sets),
        stride=int(strides[np.argmax(weight)]),
        stride_scores={int(s): float(v) for s, v in zip(strides, scores, strict=True)},
        sets=tuple(sets),
        confidence=float(score_here[inside].mean()) if inside.any() else 0.0,
    )


def _sets(
    periodic: np.ndarray, rate: np.ndarray, score: np.ndarray, rule: Rule
) -> list[RepetitionSet]:
    """Joins periodic runs over short breaks, and drops what is too short or too unsure."""
    joined: list[list[int]] = []
    for first, end in _runs(periodic):
        if joined:
            break_ = first - joined[-1][1]
            period = 1 / min(rate[first], rate[joined[-1][1] - 1])
            if break_ <= rule.gap * period:
                joined[-1][1] = end
                continue
        joined.append([first, end])
    sets = []
    for first, end in joined:
        here = slice(first, end)
        count = float(rate[here].sum())
        certain = float(score[here][periodic[here]].mean())
        if count >= rule.least and certain >= rule.score:
            sets.append(RepetitionSet(int(first), int(end), count, certain))
    return sets
