"""Counting to the letter of RepNet's released notebook.

Windows of 64 frames at each stride, one after the other, the last one filled up with the video's
last frame; the stride whose frames have the highest mean score is taken for the whole video.
"""

import dataclasses

import numpy as np
import scipy.ndimage

LEAST_PERIOD = 3  # frames of a window; shorter ones are none
THRESHOLD = 0.5  # score from which a frame belongs to a repetition
MEDIAN_FRAMES = 5
LEAST_SCORE = 0.2  # mean over the video under which nothing is counted


@dataclasses.dataclass(frozen=True, eq=False)
class ReleasedCount:
    """What the procedure finds.

    Attributes:
      stride: that was chosen.
      scores: mean score by stride.
      rate: [T] repetitions per frame.
      score: [T] of the chosen stride.
    """

    stride: int
    scores: dict[int, float]
    rate: np.ndarray
    score: np.ndarray


def frame_scores(
    periods: np.ndarray, periodicity: np.ndarray, first_period: int
) -> tuple[np.ndarray, np.ndarray]:
    """How sure the network is of each frame, and which period it says.

    Args:
      periods: [n, P] logits.
      periodicity: [n] logits.
      first_period: what the first class stands for.

    Returns:
      (scores [n] in [0, 1], periods [n] in frames of the window).
    """
    chosen = np.argmax(periods, axis=-1) + first_period
    peak = np.exp(periods - periods.max(-1, keepdims=True))
    sure = np.max(peak / peak.sum(-1, keepdims=True), axis=-1)
    sure = np.where(chosen < LEAST_PERIOD, 0.0, sure)
    inside = 1 / (1 + np.exp(-periodicity))
    return np.sqrt(inside * sure), chosen


def _median(values: np.ndarray) -> np.ndarray:
    """The median of the frames around each, with zeros beyond the ends."""
    return scipy.ndimage.median_filter(values, MEDIAN_FRAMES, mode="constant")


def count(
    logits: dict[int, tuple[np.ndarray, np.ndarray]],
    frames: int,
    first_period: int,
    *,
    constant_speed: bool = False,
    fully_periodic: bool = False,
) -> ReleasedCount:
    """Counts a video.

    Args:
      logits: stride to (periods [n, P], periodicity [n]) of all frames of its windows.
      frames: T.
      first_period: what the first class stands for.
      constant_speed: whether all periods have the class that is likeliest over the frames.
      fully_periodic: whether every frame belongs to a repetition.

    Returns:
      The count, as a rate per frame.
    """
    found = {
        stride: frame_scores(*rows, first_period) for stride, rows in logits.items()
    }
    scores = {stride: float(np.mean(score)) for stride, (score, _) in found.items()}
    stride = max(scores, key=scores.__getitem__)

    def shown(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, stride, axis=0)[:frames]

    score, period = (shown(values) for values in found[stride])
    inside = score > THRESHOLD
    inside = _median(inside.astype(np.float64)) > 0
    if fully_periodic:
        inside = np.ones_like(inside)
    if constant_speed and inside.any():
        likeliest = shown(logits[stride][0])[inside].mean(0)
        period = np.full_like(period, np.argmax(likeliest) + first_period)
    rate = np.where(period < LEAST_PERIOD, 0.0, 1 / (stride * np.maximum(period, 1)))
    rate = _median(inside * rate)
    if scores[stride] < LEAST_SCORE:
        rate = np.zeros_like(rate)
    return ReleasedCount(stride, scores, rate, score)
