"""Scores of counts against labels, with intervals: MAE and OBO as paper 1's Eq. 12 and 13."""

from typing import Any

import numpy as np

RESAMPLES = 2000
INTERVAL = (2.5, 97.5)  # percent


def absolute_errors(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """|ĉ - l| / l of each video (Eq. 12 before the mean).

    Args:
      predicted: [N] unrounded counts.
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
    """Whether the rounded count is at most one off (Eq. 13 before the mean), [N] bool."""
    rounded = np.floor(np.asarray(predicted, np.float64) + 0.5)
    return np.abs(rounded - np.asarray(labels)) <= 1


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
      {"n", "mae", "obo", "mae_interval", "obo_interval"}; all but n are None when N is 0.
    """
    if not len(labels):
        return {
            "n": 0,
            "mae": None,
            "obo": None,
            "mae_interval": None,
            "obo_interval": None,
        }
    errors, hits = absolute_errors(predicted, labels), off_by_one(predicted, labels)
    return {
        "n": len(errors),
        "mae": float(errors.mean()),
        "obo": float(hits.mean()),
        "mae_interval": bootstrap_interval(errors),
        "obo_interval": bootstrap_interval(hits),
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
