"""Joining overlapping windows, against plain sums."""

import numpy as np
import pytest

from rac_jax.counting import window_runs
from tests.counting.test_frame_windows import window_starts


@pytest.mark.parametrize("frames", [5, 64, 70, 104, 301])
def test_what_is_joined_is_the_weighted_mean_of_the_windows(frames):
    rng = np.random.default_rng(frames)
    sums = np.zeros((frames, 4))
    averager = window_runs.WindowAverager(64, 3)
    for start in window_starts(frames):
        rows = rng.uniform(size=(64, 3))
        valid = min(64, frames - start)
        averager.add(start, valid, rows)
        weights = window_runs.window_weights(64)[:valid, None]
        values = np.concatenate([rows, np.ones((64, 1))], axis=1)
        sums[start : start + valid] += weights * values[:valid]
    np.testing.assert_allclose(averager.finish(), sums[:, :3] / sums[:, 3:], atol=1e-3)


def test_an_averager_that_was_copied_goes_on_by_itself():
    """Both the copy and the original give what one does that never was copied."""
    rng = np.random.default_rng(0)
    windows = rng.uniform(size=(3, 64, 2))

    def joined(order, copied_after=None):
        averager = window_runs.WindowAverager(64, 2)
        for place, window in enumerate(order):
            if place == copied_after:
                averager, other = averager.copy(), averager
                other.add(40 * place, 64, windows[1 - window])
            averager.add(40 * place, 64, windows[window])
        return averager.finish()

    np.testing.assert_array_equal(joined([0, 1], 1), joined([0, 1]))


@pytest.mark.parametrize("number", [1, 3, 50, 200])
def test_the_end_of_what_is_joined_is_told_apart_and_changes_nothing(number):
    rng = np.random.default_rng(1)
    run = window_runs.WindowRun("x", lambda windows: windows, (1, 2), 8, 3, (1,))
    windows = {stride: rng.uniform(size=(12, 8, 3)) for stride in (1, 2)}
    for place in range(10):
        for stride in (1, 2):
            run.add((stride, 5 * place, 8), windows[stride][place])
    later = [
        ((stride, 5 * place, 8), windows[stride][place])
        for place in (10, 11)
        for stride in (1, 2)
    ]
    found = run.joined(later, {1: number, 2: 7})
    again = run.joined(later, {1: number, 2: 7})
    for place, rows in later:
        run.add(place, rows)
    whole = run.finish()
    for stride, wanted in ((1, number), (2, 7)):
        assert found[stride][0] == again[stride][0] == len(whole[stride]) == 63
        last = whole[stride][max(0, 63 - wanted) :]
        np.testing.assert_array_equal(found[stride][1], last)
        np.testing.assert_array_equal(again[stride][1], last)


@pytest.mark.parametrize("lengths", [[1] * 100, [5, 1, 1, 9, 2], [0, 3, 0]])
def test_parts_of_an_array_stay_few(lengths):
    parts, whole = (), np.arange(sum(lengths))
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        before = parts
        copies = [part.copy() for part in before]
        parts = window_runs.with_part(parts, whole[end - length : end])
        for part, copy in zip(before, copies, strict=True):
            np.testing.assert_array_equal(part, copy)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(parts) <= 8
