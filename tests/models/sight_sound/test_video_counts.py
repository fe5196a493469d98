"""Whole videos are cut, added up and judged as they should be."""

import types

import numpy as np
import pytest

from rac_jax.models.sight_sound import evaluation, video_counts
from rac_jax.models.sight_sound.evaluation import VideoFacts
from rac_jax.models.sight_sound.video_counts import Row


def test_every_stride_covers_the_video():
    rows = video_counts.clip_rows([320, 100], [(1, 2, 5), (2,)])
    assert [row.group for row in rows] == [1] * 5 + [2] * 3 + [5] + [2]
    assert [row.weight for row in rows] == [64] * 5 + [64, 64, 32] + [64] + [50]
    assert [row.video for row in rows] == [0] * 9 + [1]


def test_sums_and_means_go_by_video_and_group():
    nothing = np.zeros(0)
    rows = [
        Row(0, 1, nothing, 64),
        Row(0, 1, nothing, 32),
        Row(0, 2, nothing, 48),
        Row(1, 1, nothing, 64),
    ]
    values = np.array([1.0, 4.0, 5.0, 7.0])
    sums = video_counts.sums(rows, values, 2)
    np.testing.assert_allclose(sums[1], [5.0, 7.0])
    np.testing.assert_allclose(sums[2], [5.0, np.nan])
    means = video_counts.means(rows, values, 2)
    np.testing.assert_allclose(means[1], [(64 * 1 + 32 * 4) / 96, 7.0])


def test_sound_is_squeezed_until_segments_hold_two_repetitions():
    columns = [1760, 1760, 1760, 0]
    rows = video_counts.segment_rows(columns)
    assert [row.group for row in rows[:7]] == [1, 1, 1, 1, 2, 2, 4]
    counts = np.array(
        [*[3.0, 3, 3, 2, 9, 9, 9], *[1, 1, 0, 1, 4, 4, 9], *[0, 0, 0, 0, 1, 1, 5]]
    )
    found = video_counts.sound_counts(rows, counts, columns)
    np.testing.assert_allclose(found, [11.0, 8.0, 5.0, 0.0])


def facts(count, columns=500, challenges=()):
    return VideoFacts("v", 128, columns, count, 128 / count, "hop", challenges)


class FakeCounts:
    """Strides 1 and 2 of two videos, as rows of `clip_rows` [128, 128] come: 2 + 1 clips."""

    def clips(self, variables, source, rows, everything):
        assert [row.group for row in rows] == [1, 1, 2, 1, 1, 2] and everything
        return {
            "count": np.array([3.0, 3.0, 4.0, 1.0, 2.0, 9.0]),
            "ranker": np.array([0.0, 0.0, 1.0, 0.0, 0.0, 1.0]),
            "solo_ranker": np.array([2.0, 2.0, 1.0, 2.0, 2.0, 1.0]),
            "gamma": np.array([0.0, 0.0, 0.25, 0.9, 0.9, 0.9]),
        }

    def segments(self, variables, source, rows):
        return {"count": np.array([8.0] * len(rows))}


def ways(**changes):
    judged = [facts(4.0), facts(3.0, columns=0)]
    return evaluation.count_ways(FakeCounts(), {}, None, judged, (1, 2), True)


def test_every_way_of_counting():
    found = ways()
    np.testing.assert_allclose(found["stride_1"], [6.0, 3.0])
    np.testing.assert_allclose(found["stride_2"], [4.0, 9.0])
    np.testing.assert_allclose(found["sight"], [6.0, 3.0])
    # Without sound the sight-only ranker decides, and sight counts alone.
    np.testing.assert_allclose(found["sight_ranker"], [4.0, 3.0])
    np.testing.assert_allclose(found["stride"], [2, 1])
    np.testing.assert_allclose(found["sound"], [8.0, 0.0])
    np.testing.assert_allclose(found["average"], [6.0, 3.0])
    np.testing.assert_allclose(found["fused"], [4 * 0.75 + 8 * 0.25, 3.0])  # Eq. 10
    np.testing.assert_allclose(found["gamma"], [0.25, 0.0])


def test_scores_over_all_and_by_challenge():
    judged = [facts(4.0, challenges=("dark picture",)), facts(2.0)]
    counts = {"sight": np.array([3.0, 4.0]), "stride": np.array([1, 1])}
    found = evaluation.report(counts, judged)
    assert found["ways"] == {"sight": {"n": 2, "mae": 0.625, "obo": 0.5}}
    hard = {"sight": {"n": 1, "mae": 0.25, "obo": 1.0}}
    assert found["challenges"] == {
        "no challenge": {"sight": {"n": 1, "mae": 1.0, "obo": 0.0}},
        "any challenge": hard,
        "dark picture": hard,
    }
    assert found["videos"][1] == {
        "video_id": "v",
        "count": 2.0,
        "sight": 4,
        "stride": 1,
    }


def test_a_part_without_repetitions_has_no_score():
    still = VideoFacts("v", 128, 0, 0.0, float("inf"), "", ("still",))
    found = evaluation.report({"sight": np.array([1.0])}, [still])
    assert found["challenges"]["still"]["sight"] == {"n": 0, "mae": None, "obo": None}


def test_facts_come_from_an_index_or_from_reading():
    entry = {
        "video_id": "a",
        "frames": 7,
        "columns": 0,
        "count": 0.0,
        "period": None,
        "label": "",
        "challenges": ["low light"],
        "fps": 25.0,
    }
    (known,) = evaluation.describe(types.SimpleNamespace(index=[entry]))
    assert known.period == float("inf") and known.challenges == ("low light",)
    video = types.SimpleNamespace(
        video_id="b",
        frames=np.zeros((5, 2, 2, 3)),
        columns=np.zeros((257, 30)),
        count=2.0,
        period=2.5,
        label="hop",
        challenges=(),
    )
    (read,) = evaluation.describe([video])
    assert read == VideoFacts("b", 5, 30, 2.0, 2.5, "hop", ())


def test_errors_are_mae_and_obo():
    judged = [facts(4.0), facts(10.0)]
    found = evaluation.error_of(np.array([5.0, 7.0]), judged)
    assert found["mae"] == pytest.approx((0.25 + 0.3) / 2) == found["error"]
    assert found["obo"] == 0.5
