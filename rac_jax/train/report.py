"""Scores of several estimators of the same videos, side by side: the rows of a paper's table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rac_jax.counting import scores
from rac_jax.data.labelled import VideoSummary

NO_CHALLENGE = "no challenge"
ANY_CHALLENGE = "any challenge"


def validation_scores(
    counts: np.ndarray, videos: Sequence[VideoSummary]
) -> dict[str, float]:
    """Scores of counts [N], all of them over the videos with repetitions.

    Returns:
      {"error"} and `scores.METRICS`; "error" is the MAE of unrounded counts, which chooses
      checkpoints. They are nan where no video has a repetition.
    """
    positive = np.array([video.count > 0 for video in videos], bool)
    labels = np.array([video.count for video in videos], np.float64)[positive]
    predicted = np.asarray(counts, np.float64)[positive]
    if not len(labels):
        return dict.fromkeys(("error", *scores.METRICS), float("nan"))
    each = scores.per_video(predicted, labels)
    found = {name: float(values.mean()) for name, values in each.items()}
    return {"error": found["mae"]} | found


def report(
    estimators: Mapping[str, np.ndarray],
    videos: Sequence[VideoSummary],
    extra: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """The scores of every estimator, over all videos and by challenge.

    Args:
      estimators: name to counts [N].
      videos: the same N videos.
      extra: what else is known of each of them [N], by name.

    Returns:
      {"estimators": {name: {"n", "mae", "mae_rounded", "obo"}}, "challenges": {challenge: the
      same}, "videos": [{"video_id", "count", ...}]}, ready for JSON: what is not finite is None.
      n is the number of videos with repetitions, over which all scores are. Where there are
      challenges, `NO_CHALLENGE` and `ANY_CHALLENGE` are among their names.

    Raises:
      ValueError: if an estimator has not one count for each video.
    """
    for name, counts in estimators.items():
        if len(counts) != len(videos):
            raise ValueError(
                f"{name}: has {len(counts)} counts for {len(videos)} videos"
            )
    names = sorted({name for video in videos for name in video.challenges})

    # Scores of the videos that a mask chooses.
    def scored(mask: np.ndarray) -> dict[str, dict[str, Any]]:
        part = [video for video, here in zip(videos, mask, strict=True) if here]
        return {
            name: _score(np.asarray(counts)[mask], part)
            for name, counts in estimators.items()
        }

    # By challenge; a video may have several, or none.
    everything = np.ones(len(videos), bool)
    hard = np.array([len(video.challenges) > 0 for video in videos])
    challenges = {}
    if hard.any():
        challenges = {NO_CHALLENGE: scored(~hard), ANY_CHALLENGE: scored(hard)} | {
            name: scored(np.array([name in video.challenges for video in videos]))
            for name in names
        }

    # And each video by itself.
    values = dict(estimators) | dict(extra or {})
    rows = [
        {"video_id": video.video_id, "count": video.count}
        | {name: _four_places(known[i]) for name, known in values.items()}
        for i, video in enumerate(videos)
    ]
    return {"estimators": scored(everything), "challenges": challenges, "videos": rows}


def report_beside_constant(
    counts: np.ndarray, videos: Sequence[VideoSummary]
) -> dict[str, Any]:
    """The report of counts by sight, beside what the median of the labels gets.

    Args:
      counts: [N].
      videos: the same N videos.

    Returns:
      As `report`, with "still_counts": {"sight": mean count of videos without a repetition, None
      where there is none}.
    """
    positive = sorted(video.count for video in videos if video.count > 0)
    middle = positive[len(positive) // 2] if positive else 0.0
    constant = np.full(len(videos), middle)
    found = report({"sight": counts, "always the median": constant}, videos)
    still = [c for c, video in zip(counts, videos, strict=True) if video.count == 0]
    mean = float(np.mean(still)) if still else None
    return found | {"still_counts": {"sight": mean}}


def _score(counts: np.ndarray, videos: Sequence[VideoSummary]) -> dict[str, Any]:
    """{"n"} and `scores.METRICS`; None where there is no score."""
    found = validation_scores(counts, videos)
    number = sum(video.count > 0 for video in videos)
    return {"n": number} | {name: _four_places(found[name]) for name in scores.METRICS}


def _four_places(value: float) -> float | None:
    """A number for JSON, None for what is none."""
    return round(float(value), 4) if np.isfinite(value) else None
