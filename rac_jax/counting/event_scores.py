"""How well marked instants are found: recall, precision, F1, and errors of number and position.

Paper 4 (TA2Net, Appendix B) defines the five measures and leaves open how predictions are matched
with labels; its authors' code lets one prediction match many labels, so that marking every seventh
frame of a video without looking scores an F1 of .43 there. So there are three rules by name:

* `one-to-one`, the headline: frames that follow one another are one event; each event matches one
  label at most, as many as possible are matched, and of those the nearest.
* `paper`: frames as they are, a label is found where a prediction is within two frames of it, and
  NME is the difference of the numbers of frames (Eq. 15).
* `released`: as the authors' code scores: within three frames, NME is the number of labels that
  were missed, and a video in which none is found has 0 everywhere, also as its errors.

Each is to be read beside the blind grid: every n-th frame from the n/2-th on, of the best n.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.optimize

from rac_jax.counting import scores

# Frames that differ by no more than this follow one another.
NEXT = 1 + 1e-3
# Tolerances hold for times that went through seconds and back.
SLACK = 1e-6
# The grid's n: up to a second and more at common rates.
LONGEST_STEP = 64
METRICS = ("recall", "precision", "f1", "nme", "pme")


@dataclasses.dataclass(frozen=True, eq=False)
class MarkedVideo:
    """One video with labels; places in frames, of any order.

    Attributes:
      predicted: [n] places of predicted events.
      labels: [k] places of labelled events, at least one.
      frames: length of the video.
      fps: frames per second.
    """

    predicted: np.ndarray
    labels: np.ndarray
    frames: int
    fps: float


@dataclasses.dataclass(frozen=True)
class Found:
    """The five measures of one video, and its numbers of events.

    Attributes:
      recall, precision, f1: in [0, 1].
      nme: error of the number.
      pme: mean distance of matched events, in frames; None where nothing is matched.
      offsets: of matched events, predicted minus labelled, in frames.
      predicted, labelled: how many events there are.
    """

    recall: float
    precision: float
    f1: float
    nme: float
    pme: float | None
    offsets: tuple[float, ...]
    predicted: int
    labelled: int


Rule = Callable[[np.ndarray, np.ndarray, float], Found]


def merged(places: np.ndarray) -> np.ndarray:
    """Places [n] in frames with those that follow one another as one, at their middle: [m]."""
    places = np.unique(np.asarray(places, np.float64))
    if not len(places):
        return places
    runs = np.split(places, np.flatnonzero(np.diff(places) > NEXT) + 1)
    return np.asarray([(run[0] + run[-1]) / 2 for run in runs])


def matched(
    predicted: np.ndarray, labels: np.ndarray, tolerance: float
) -> list[tuple[int, int]]:
    """Pairs of events that lie near, each event in one pair at most.

    Args:
      predicted: [n] rising places.
      labels: [k] rising places.
      tolerance: largest distance of a pair, in the same unit.

    Returns:
      (index of predicted, index of label), as many as there can be and, of those, with the least
      sum of distances; in rising order.
    """
    tolerance += SLACK
    everything = np.sort(np.concatenate([predicted, labels]))
    if not len(predicted) or not len(labels):
        return []
    # Places further apart than the tolerance are matched on their own.
    cuts = everything[1:][np.diff(everything) > tolerance]
    bounds = [-np.inf, *cuts.tolist(), np.inf]
    pairs = []
    ours = np.searchsorted(predicted, bounds)
    theirs = np.searchsorted(labels, bounds)
    for place in range(len(bounds) - 1):
        first, last = ours[place : place + 2]
        begin, end = theirs[place : place + 2]
        if first == last or begin == end:
            continue
        far = np.abs(predicted[first:last, None] - labels[None, begin:end])
        near = far <= tolerance
        # A pair is worth more than all distances together.
        worth = (1 + min(far.shape)) * (tolerance + 1)
        rows, columns = scipy.optimize.linear_sum_assignment(
            np.where(near, far - worth, 0.0)
        )
        pairs += [
            (int(first + row), int(begin + column))
            for row, column in zip(rows, columns, strict=True)
            if near[row, column]
        ]
    return sorted(pairs)


def one_to_one(
    predicted: np.ndarray, labels: np.ndarray, tolerance: float = 2.0
) -> Found:
    """The headline: events of merged frames, each matched once at most."""
    ours, theirs = merged(predicted), merged(labels)
    pairs = matched(ours, theirs, tolerance)
    offsets = [float(ours[i] - theirs[j]) for i, j in pairs]
    recall = len(pairs) / len(theirs)
    precision = len(pairs) / len(ours) if len(ours) else 0.0
    return Found(
        recall,
        precision,
        _harmonic(recall, precision),
        float(abs(len(ours) - len(theirs))),
        float(np.mean(np.abs(offsets))) if offsets else None,
        tuple(offsets),
        len(ours),
        len(theirs),
    )


def paper(predicted: np.ndarray, labels: np.ndarray, tolerance: float = 2.0) -> Found:
    """The paper's measures, matched as its authors' code does: frames, and the nearest of each."""
    found = _nearest(predicted, labels, tolerance)
    difference = abs(found.predicted - found.labelled)
    return dataclasses.replace(found, nme=float(difference))


def released(
    predicted: np.ndarray, labels: np.ndarray, tolerance: float = 3.0
) -> Found:
    """The authors' code: a video in which nothing is found has no errors either."""
    found = _nearest(predicted, labels, tolerance)
    if not found.offsets:
        return dataclasses.replace(found, nme=0.0, pme=0.0)
    return found


def _nearest(predicted: np.ndarray, labels: np.ndarray, tolerance: float) -> Found:
    """Every label's nearest prediction, which may be another's, too; NME is what was missed."""
    ours, theirs = np.unique(predicted), np.unique(labels)
    tolerance += SLACK
    far = ours[:, None] - theirs[None]  # [n, k]
    near = np.abs(far) <= tolerance
    hit = near.any(0) if len(ours) else np.zeros(len(theirs), bool)
    false = len(ours) - int(near.any(1).sum())
    right = int(hit.sum())
    offsets = (
        [float(far[np.argmin(np.abs(far[:, j])), j]) for j in np.flatnonzero(hit)]
        if right
        else []
    )
    recall = right / len(theirs)
    precision = right / (right + false) if right else 0.0
    return Found(
        recall,
        precision,
        _harmonic(recall, precision),
        float(len(theirs) - right),
        float(np.mean(np.abs(offsets))) if offsets else None,
        tuple(offsets),
        len(ours),
        len(theirs),
    )


def _harmonic(recall: float, precision: float) -> float:
    both = recall + precision
    return 2 * recall * precision / both if both else 0.0


# By name: the rule, and its own tolerance in frames.
RULES: dict[str, tuple[Rule, float]] = {
    "one-to-one": (one_to_one, 2.0),
    "paper": (paper, 2.0),
    "released": (released, 3.0),
}


def summarise(
    videos: Sequence[MarkedVideo], rule: str, tolerance_s: float | None = None
) -> dict[str, Any]:
    """Scores of videos by a rule, each measure the mean over videos.

    Args:
      videos: at least one, each with a label or more.
      rule: of `RULES`.
      tolerance_s: largest distance in seconds; None for the rule's own, in frames.

    Returns:
      "n"; "recall", "precision", "f1" and "f1_interval" (95 %, over videos), "nme", "pme" (over
      the videos where something is matched, None without any); "bias_s" and "spread_s", mean and
      standard deviation of predicted minus labelled times in seconds, over all matched events;
      "mae" and "obo" of the numbers of events.

    Raises:
      ValueError: for a video without a label.
    """
    found = [_of_video(video, rule, tolerance_s) for video in videos]
    offsets = [
        offset / video.fps
        for video, one in zip(videos, found, strict=True)
        for offset in one.offsets
    ]
    f1 = np.asarray([one.f1 for one in found])
    errors = [one.pme for one in found if one.pme is not None]
    counted = scores.per_video(
        np.asarray([one.predicted for one in found]),
        np.asarray([one.labelled for one in found]),
    )
    return {
        "n": len(found),
        "recall": float(np.mean([one.recall for one in found])),
        "precision": float(np.mean([one.precision for one in found])),
        "f1": float(f1.mean()),
        "f1_interval": scores.bootstrap_interval(f1),
        "nme": float(np.mean([one.nme for one in found])),
        "pme": float(np.mean(errors)) if errors else None,
        "bias_s": float(np.mean(offsets)) if offsets else None,
        "spread_s": float(np.std(offsets)) if offsets else None,
        "mae": float(counted["mae"].mean()),
        "obo": float(counted["obo"].mean()),
    }


def _of_video(video: MarkedVideo, rule: str, tolerance_s: float | None) -> Found:
    if not len(video.labels):
        raise ValueError("events: a video without a labelled one has no recall")
    score, tolerance = RULES[rule]
    if tolerance_s is not None:
        tolerance = tolerance_s * video.fps
    return score(
        np.asarray(video.predicted, np.float64),
        np.asarray(video.labels, np.float64),
        tolerance,
    )


def blind_grid(
    videos: Sequence[MarkedVideo], rule: str, tolerance_s: float | None = None
) -> dict[str, Any]:
    """What marking every n-th frame scores, without looking.

    Args:
      videos, rule, tolerance_s: as in `summarise`.

    Returns:
      As `summarise`, and "step": the n of the highest F1 of 1 to `LONGEST_STEP`, the smallest of
      equals.
    """

    def grid(step: int) -> list[MarkedVideo]:
        return [
            dataclasses.replace(one, predicted=np.arange(step // 2, one.frames, step))
            for one in videos
        ]

    def mean_f1(step: int) -> float:
        found = [_of_video(video, rule, tolerance_s).f1 for video in grid(step)]
        return float(np.mean(found))

    best = max(range(1, LONGEST_STEP + 1), key=mean_f1)
    return summarise(grid(best), rule, tolerance_s) | {"step": best}
