"""Scores of estimators, side by side, over all videos and by challenge."""

import json

import numpy as np
import pytest

from rac_jax.data.labelled import VideoSummary
from rac_jax.train.report import report, validation_scores

TRUE = (4.0, 10.0, 0.0, 5.0)
PREDICTED = np.array([5.5, 9.0, 0.5, 6.49])
CHALLENGES = (("dark",), (), ("dark", "still"), ())


def video(index, count, challenges=()):
    return VideoSummary(
        video_id=f"v{index}",
        frames=16,
        fps=25.0,
        samples=0,
        audio_rate=0,
        count=count,
        period=16 / count if count else float("inf"),
        label="",
        challenges=challenges,
        groups={},
    )


VIDEOS = [
    video(index, count, challenges)
    for index, (count, challenges) in enumerate(zip(TRUE, CHALLENGES, strict=True))
]


def test_mae_is_relative_unrounded_and_over_positives():
    found = validation_scores(PREDICTED, VIDEOS)
    assert found["mae"] == pytest.approx((1.5 / 4 + 1 / 10 + 1.49 / 5) / 3)
    assert found["error"] == found["mae"]


def test_mae_of_rounded_counts():
    # 6, 9 and 6 against 4, 10 and 5.
    found = validation_scores(PREDICTED, VIDEOS)
    assert found["mae_rounded"] == pytest.approx((2 / 4 + 1 / 10 + 1 / 5) / 3)


def test_all_scores_are_over_the_same_videos():
    """What is counted where nothing repeats changes no score."""
    wrong = PREDICTED + np.array([0, 0, 7.0, 0])
    assert validation_scores(wrong, VIDEOS) == validation_scores(PREDICTED, VIDEOS)


def test_obo_is_of_the_rounded_count():
    # 5.5 rounds to 6 (off by two), 9 and 6.49 are off by one.
    assert validation_scores(PREDICTED, VIDEOS)["obo"] == pytest.approx(2 / 3)


def test_labels_of_parts_of_repetitions_are_rounded_for_obo():
    assert validation_scores(np.array([4.4]), [video(0, 5.4)])["obo"] == 1.0


def test_nothing_repeated_gives_no_number():
    found = validation_scores(np.array([0.5]), [video(0, 0.0)])
    assert list(found) == ["error", "mae", "mae_rounded", "obo"]
    assert np.isnan(list(found.values())).all()


def test_a_report_has_estimators_challenges_and_videos():
    strides = np.array([1, 2, 3, 4])
    found = report(
        {"sight": PREDICTED, "true": np.array(TRUE)}, VIDEOS, {"stride": strides}
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["estimators"]["sight"] == {
        "n": 3,
        "mae": 0.2577,
        "mae_rounded": 0.2667,
        "obo": 0.6667,
    }
    true = {"n": 3, "mae": 0.0, "mae_rounded": 0.0, "obo": 1.0}
    assert found["estimators"]["true"] == true
    parts = {name: part["sight"] for name, part in found["challenges"].items()}
    assert parts == {
        "no challenge": {"n": 2, "mae": 0.199, "mae_rounded": 0.15, "obo": 1.0},
        "any challenge": {"n": 1, "mae": 0.375, "mae_rounded": 0.5, "obo": 0.0},
        "dark": {"n": 1, "mae": 0.375, "mae_rounded": 0.5, "obo": 0.0},
        "still": {"n": 0, "mae": None, "mae_rounded": None, "obo": None},
    }
    row = {"video_id": "v0", "count": 4.0, "sight": 5.5, "true": 4.0, "stride": 1.0}
    assert found["videos"][0] == row and len(found["videos"]) == 4


def test_without_challenges_there_are_no_parts():
    assert report({"sight": np.array([1.0])}, [video(0, 1.0)])["challenges"] == {}


def test_what_is_not_finite_is_none():
    found = report({"sound": np.array([np.nan])}, [video(0, 1.0)])
    assert found["estimators"]["sound"]["mae"] is None
    assert found["videos"][0]["sound"] is None


def test_every_video_has_a_count():
    with pytest.raises(ValueError, match="sight: has 2 counts for 1 videos"):
        report({"sight": np.array([1.0, 2.0])}, [video(0, 1.0)])


def test_a_part_without_videos_has_no_scores():
    """All videos are hard: there is none without a challenge."""
    found = report({"sight": np.array([4.0])}, [video(0, 4.0, ("dark",))])
    assert found["challenges"]["no challenge"]["sight"]["n"] == 0
    assert found["challenges"]["any challenge"]["sight"]["n"] == 1
