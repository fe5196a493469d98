"""Scores of naming classes: the share of right answers, first or among five, and mean AP.

In a step they are (sum, weight) pairs of what `among_best` says; of a whole split they are
computed once from every video's scores.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

METRICS = ("top1", "top5", "map")
FEW = 5


def among_best(scores: jax.Array, labels: jax.Array, number: int) -> jax.Array:
    """Whether the right class is among the best ones.

    Args:
      scores: [B, P], higher is likelier; of equal ones the class of the lower number is first.
      labels: [B] int, numbers of the right classes.
      number: how many count as the best.

    Returns:
      [B] bool.
    """
    own = jnp.take_along_axis(scores, labels[:, None], axis=1)  # [B, 1]
    lower = jnp.arange(scores.shape[1])[None] < labels[:, None]
    before = (scores > own) | ((scores == own) & lower)
    return jnp.sum(before, axis=1) < number


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the steps of precision over recall: Σ (R_k - R_{k-1}) P_k.

    Args:
      scores: [N], higher is likelier; equal ones are one threshold.
      positive: [N] bool.

    Returns:
      0 to 1; not a number without a positive.
    """
    total = int(np.sum(positive))
    if not total:
        return float("nan")
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ranked, right = np.asarray(scores)[order], np.asarray(positive, bool)[order]
    # The last place of every group of equal scores.
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found = np.cumsum(right)[last]
    precision = found / (last + 1)
    recall = found / total
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def class_scores(scores: np.ndarray, labels: Sequence[int]) -> dict[str, Any]:
    """The scores of a split.

    Args:
      scores: [N, P] of every video, N at least 1.
      labels: N numbers of the right classes.

    Returns:
      {"n", "top1", "top5", "map"}: shares from 0 to 1, and the mean average precision over the
      classes that a video has.
    """
    scores, right = np.asarray(scores, np.float64), np.asarray(labels, np.int64)
    own = np.take_along_axis(scores, right[:, None], 1)
    lower = np.arange(scores.shape[1])[None] < right[:, None]
    rank = np.sum((scores > own) | ((scores == own) & lower), axis=1)
    each = [
        average_precision(scores[:, index], right == index)
        for index in np.unique(right)
    ]
    return {
        "n": len(right),
        "top1": float(np.mean(rank < 1)),
        "top5": float(np.mean(rank < FEW)),
        "map": float(np.mean(each)),
    }
