"""Scores of counts against labels, with intervals: MAE and OBO as paper 1's Eq. 12 and 13.

The paper does not say whether counts are rounded before the MAE is taken, and its authors' code
rounds them, so there are both: "mae" is of counts as they are, "mae_rounded" of whole ones.
"""

from typing import Any

import numpy as np

MAES = ("mae", "mae_rounded")
METRICS = (*MAES, "obo")
RESAMPLES = 2000
INTERVAL = (2.5, 97.5)  # percent


def rounded(counts: np.ndarray) -> np.ndarray:
    """Whole counts [N], float64; halves go up."""
    return np.floor(np.asarray(counts, np.float64) + 0.5)


def absolute_errors(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """|ĉ - l| / l of each video (Eq. 12 before the mean).

    Args:
      predicted: [N] counts, rounded or not.
      labels: [N] counts above 0.

    Returns:
      [N] float64.

    Raises:
      ValueError: if a label is not above 0, where the error has no meaning.
    """
    predicted, labels = (
        np.asarray(predicted, np.float64),
        np.asarray(labels, np.float64),
    )
    if not (labels > 0).all():
        raise ValueError(f"labels: must be above 0, not {labels.min():g}")
    return np.abs(predicted - labels) / labels


def off_by_one(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the rounded count is at most one off (Eq. 13 before the mean), [N] bool.

    A label with a part of a repetition, as clips of scenes have, is rounded like the count.
    """
    return np.abs(rounded(predicted) - rounded(labels)) <= 1


def bootstrap_interval(values: np.ndarray, seed: int = 0) -> list[float]:
    """95 % percentile interval of the mean over videos, [low, high]."""
    rng = np.random.default_rng(seed)
    values = np.asarray(values, np.float64)
    means = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    return [float(v) for v in np.percentile(means, INTERVAL)]


def summarise(predicted: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Scores of videos with repetitions.

    Args:
      predicted: [N] unrounded counts.
      labels: [N] counts above 0.

    Returns:
      {"n"} and for each of `METRICS` its value and "<name>_interval"; all but n are None when N
      is 0. All are over the same videos.
    """
    found: dict[str, Any] = {"n": len(labels)}
    values = per_video(predicted, labels) if len(labels) else {}
    for name in METRICS:
        each = values.get(name)
        found[name] = None if each is None else float(each.mean())
        found[f"{name}_interval"] = None if each is None else bootstrap_interval(each)
    return found


def per_video(predicted: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """What the metrics are the means of: each of `METRICS` to values [N].

    Args:
      predicted: [N] unrounded counts.
      labels: [N] counts above 0.

    Raises:
      ValueError: if a label is not above 0.
    """
    return {
        "mae": absolute_errors(predicted, labels),
        "mae_rounded": absolute_errors(rounded(predicted), labels),
        "obo": off_by_one(predicted, labels),
    }


def summarise_negatives(predicted: np.ndarray) -> dict[str, Any]:
    """Scores of videos without repetition: {"n", "mean_count"}."""
    return {
        "n": len(predicted),
        "mean_count": float(np.mean(predicted)) if len(predicted) else None,
    }


def nearer(predicted: float, count: float, alternative: float | None) -> float:
    """The label nearer to the prediction, for videos where two answers are right."""
    if alternative is None:
        return count
    return min((count, alternative), key=lambda label: abs(predicted - label))
