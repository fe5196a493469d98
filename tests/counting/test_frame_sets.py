"""Sets and cycles from repetitions per frame."""

import numpy as np
import pytest

from rac_jax.counting.frame_sets import sets_of_frames

TIMES = np.arange(100) / 25


def rate_of(*spans):
    """Repetitions per frame: (first, end, period) each."""
    rate = np.zeros(100)
    for first, end, period in spans:
        rate[first:end] = 1 / period
    return rate


def test_a_set_has_its_cycles_where_the_rate_adds_up_to_one():
    (found,) = sets_of_frames(rate_of((10, 50, 8)), TIMES, 4.0)
    assert found.count == pytest.approx(5.0)
    assert (found.start_s, found.end_s) == pytest.approx((0.4, 2.0))
    want = [(0.4 + 0.32 * k, 0.72 + 0.32 * k) for k in range(5)]
    np.testing.assert_allclose(found.cycles, want)


def test_cycles_follow_a_tempo_that_changes():
    (found,) = sets_of_frames(rate_of((0, 20, 10), (20, 60, 20)), TIMES, 4.0)
    np.testing.assert_allclose(np.diff(found.cycles).ravel(), [0.4, 0.4, 0.8, 0.8])


def test_short_breaks_are_bridged_and_few_repetitions_are_none():
    rate = rate_of((0, 30, 10), (35, 65, 10), (80, 90, 10))
    apart = sets_of_frames(rate, TIMES, 4.0)
    assert [one.count for one in apart] == pytest.approx([3, 3, 1])
    joined = sets_of_frames(rate, TIMES, 4.0, least_count=1.6, gap_periods=1.0)
    assert [one.count for one in joined] == pytest.approx([6])
    assert (joined[0].start_s, joined[0].end_s) == pytest.approx((0.0, 2.6))
    assert len(joined[0].cycles) == 6


def test_to_the_end_and_of_nothing():
    (found,) = sets_of_frames(rate_of((90, 100, 5)), TIMES, 4.0)
    assert found.end_s == pytest.approx(4.0)
    assert sets_of_frames(np.zeros(100), TIMES, 4.0) == ()
    assert sets_of_frames(np.zeros(0), np.zeros(0), 0.0) == ()
    # Less than half a repetition is one cycle.
    (part,) = sets_of_frames(rate_of((0, 4, 10)), TIMES, 4.0)
    assert part.count == pytest.approx(0.4) and len(part.cycles) == 1
