"""Scores against values worked out by hand."""

import numpy as np
import pytest

from rac_jax.counting import scores as evaluation


def test_mae_and_obo_by_hand():
    predicted, labels = [4.4, 10.0, 2.6], [4, 8, 1]
    scores = evaluation.summarise(predicted, labels)
    assert scores["n"] == 3
    assert scores["mae"] == pytest.approx((0.1 + 0.25 + 1.6) / 3)
    # Of 4, 10 and 3 repetitions.
    assert scores["mae_rounded"] == pytest.approx((0 + 0.25 + 2) / 3)
    low, high = scores["mae_rounded_interval"]
    assert low <= scores["mae_rounded"] <= high
    assert scores["obo"] == pytest.approx(1 / 3)  # 4 hits; 10 and 3 are two off
    assert scores["mae_interval"][0] <= scores["mae"] <= scores["mae_interval"][1]
    assert 0 <= scores["obo_interval"][0] <= scores["obo_interval"][1] <= 1


def test_intervals_are_reproducible_and_narrow_with_more_videos():
    rng = np.random.default_rng(0)
    few, many = rng.random(10), rng.random(1000)
    assert evaluation.bootstrap_interval(few) == evaluation.bootstrap_interval(few)
    width = [np.ptp(evaluation.bootstrap_interval(values)) for values in (few, many)]
    assert width[1] < width[0] / 4


def test_nothing_to_score():
    nothing = evaluation.summarise([], [])
    assert nothing.pop("n") == 0
    assert len(nothing) == 2 * len(evaluation.METRICS)
    assert set(nothing.values()) == {None}
    assert evaluation.summarise_negatives([]) == {"n": 0, "mean_count": None}
    assert evaluation.summarise_negatives([1.0, 2.0]) == {"n": 2, "mean_count": 1.5}


def test_labels_of_parts_of_repetitions_are_rounded_like_counts():
    np.testing.assert_array_equal(
        evaluation.off_by_one([4.4, 4.4, 2.5], [5.4, 5.5, 4.4]), [True, False, True]
    )


def test_a_label_of_zero_has_no_relative_error():
    with pytest.raises(ValueError, match="must be above 0, not 0"):
        evaluation.absolute_errors([1.0], [0])


@pytest.mark.parametrize("predicted,label", [(5.0, 4), (7.0, 8), (6.0, 4)])
def test_nearer(predicted, label):
    assert evaluation.nearer(predicted, 4, 8) == label
    assert evaluation.nearer(predicted, 4, None) == 4
