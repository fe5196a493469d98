"""How often a count with such a score is right: the confidence of a model."""

import numpy as np

from rac_jax.counting import scores

MOST_POINTS = 12  # of a table

# Says nothing: before a model is calibrated.
NEUTRAL = {
    "positive_score": [0.0, 1.0],
    "positive": [0.0, 1.0],
    "negative_score": [0.0, 1.0],
    "negative": [0.0, 1.0],
}


def calibrate(score: np.ndarray, right: np.ndarray) -> tuple[list[float], list[float]]:
    """Scores, and the share of videos with such a score that are counted right.

    Isotonic regression: the higher the score the more are right.

    Args:
      score: [M] of counts.
      right: bool [M], whether each is off by one at most.

    Returns:
      (rising scores, shares), at most 12 points; a half everywhere for fewer than two videos.
    """
    import scipy.optimize

    if len(score) < 2:
        return [0.0, 1.0], [0.5, 0.5]
    order = np.argsort(score)
    # A video of each kind more than there are: no share is quite 0 or 1.
    fitted = scipy.optimize.isotonic_regression(right[order].astype(float)).x
    fitted = (fitted * len(order) + 1) / (len(order) + 2)
    points = min(MOST_POINTS, len(order))
    places = np.linspace(0, len(order) - 1, points).round().astype(int)
    return (
        [round(float(x), 4) for x in score[order][places]],
        [round(float(x), 4) for x in fitted[places]],
    )


def confidence_table(
    counts: np.ndarray, score: np.ndarray, found: np.ndarray, labels: np.ndarray
) -> dict[str, list[float]]:
    """The table that `decision.confidence` reads, from videos that nothing was trained on.

    Args:
      counts: [N] predicted.
      score: [N] of each.
      found: bool [N], whether there is a set.
      labels: [N] true counts.

    Returns:
      {"positive_score", "positive"} of the videos with a set, {"negative_score", "negative"} of
      the others.
    """
    right = scores.off_by_one(counts, np.round(labels))
    table = {}
    for name, chosen in (("positive", found), ("negative", ~found)):
        table[f"{name}_score"], table[name] = calibrate(score[chosen], right[chosen])
    return table
