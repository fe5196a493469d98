"""Which temporal strides fit a video, paper 1, section 3.3; numpy only."""

from collections.abc import Sequence

import numpy as np

from rac_jax.models.sight_sound.clips import CLIP_FRAMES

POSITIVES = ("two_repetitions", "released")
# How clips at two strides are paired, see `stride_roles` and `samplers.StrideSampler`.
PAIRS = ("paper", "released")
# In the authors' scripts a stride further than this from S* is negative where none else is.
FAR = 2
# That a clip or a segment of sound is to hold.
LEAST_REPETITIONS = 2.0
# Counts at the positive stride under this are taken for it when others are compared with them.
COUNT_FLOOR = 1.0


def positive_stride(
    period: float, largest: int, positive: str = "two_repetitions"
) -> int:
    """The temporal stride S* of a video, paper 1, section 3.3.

    Args:
      period: frames per repetition, may be infinite.
      largest: S_K.
      positive: "two_repetitions": the smallest whose clip covers two; "released": the authors'
        floor((period + 2) / 32) + 1.

    Returns:
      The stride, `largest` where none is large enough.

    Raises:
      ValueError: for another `positive`.
    """
    if positive not in POSITIVES:
        raise ValueError(f"positive: {positive!r} is not one of {', '.join(POSITIVES)}")
    if not np.isfinite(period):
        return largest
    if positive == "released":
        return int(min((period + 2) // (CLIP_FRAMES / 2) + 1, largest))
    return int(np.clip(np.ceil(LEAST_REPETITIONS * period / CLIP_FRAMES), 1, largest))


def stride_deviation(count: np.ndarray, positive_count: np.ndarray) -> np.ndarray:
    """Eq. 9: δ = (C* − C) / C*, how much of the count a stride loses.

    Args:
      count: predicted counts at some strides.
      positive_count: predicted counts at the positive stride, same shape, above 0.

    Returns:
      Same shape; positive where repetitions are left out.

    Raises:
      ValueError: if the shapes differ.
    """
    if np.shape(count) != np.shape(positive_count):
        raise ValueError(
            f"stride_deviation: shapes differ: {np.shape(count)}, "
            f"{np.shape(positive_count)}"
        )
    return (positive_count - count) / positive_count


def stride_roles(
    counts: np.ndarray,
    periods: np.ndarray,
    strides: Sequence[int],
    threshold: float,
    positive: str = "two_repetitions",
    pairs: str = "paper",
) -> tuple[np.ndarray, np.ndarray]:
    """Which strides train the ranker as positive and as negative, section 3.3.

    Positive is S*, see `positive_stride`; negative are the strides below it, and those that
    lose more than `threshold` of the count (Eq. 9). In the authors' scripts a deviation counts
    whichever way it goes, and where no stride is negative those far from S* are.

    Args:
      counts: [N, S] counts of the whole video as the trained sight stream predicts them.
      periods: [N] frames per repetition.
      strides: S of them, rising.
      threshold: θs, 0.29 in the paper.
      positive: as in `positive_stride`.
      pairs: of `PAIRS`.

    Returns:
      positive int64 [N], the index of the positive stride, and negatives bool [N, S].

    Raises:
      ValueError: for another `positive` or `pairs`, or counts that are not [N, S].
    """
    if pairs not in PAIRS:
        raise ValueError(f"pairs: {pairs!r} is not one of {', '.join(PAIRS)}")
    counts, row = np.asarray(counts, np.float64), np.asarray(strides)
    if counts.shape != (len(periods), len(row)):
        raise ValueError(
            f"stride_roles: counts {counts.shape} are not of {len(periods)} videos at "
            f"{len(row)} strides"
        )
    own = [positive_stride(period, int(row[-1]), positive) for period in periods]
    enough = row[None] >= np.asarray(own)[:, None]  # [N, S]
    chosen = enough.argmax(axis=1)  # [N]
    best = np.take_along_axis(counts, chosen[:, None], axis=1)  # [N, 1]
    best = np.broadcast_to(np.maximum(best, COUNT_FLOOR), counts.shape)
    deviation = stride_deviation(counts, best)
    if pairs == "released":
        deviation = np.abs(deviation)
    others = np.arange(len(row))[None] != chosen[:, None]
    negatives = (~enough | (deviation > threshold)) & others
    if pairs == "released":
        far = np.abs(row[None] - row[chosen][:, None]) > FAR
        negatives = np.where(negatives.any(axis=1, keepdims=True), negatives, far)
    return chosen, negatives
