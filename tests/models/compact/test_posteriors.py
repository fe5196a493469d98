"""Joining overlapping windows, and laying strides side by side, against plain sums."""

import numpy as np
import pytest

from rac_jax.models.compact import grid as axes
from rac_jax.models.compact import posteriors
from tests.models.compact.reference import window_starts


@pytest.mark.parametrize("frames", [5, 64, 70, 104, 301])
def test_posteriors_are_the_weighted_mean_of_the_windows(frames):
    rng = np.random.default_rng(frames)
    sums = np.zeros((frames, 30))
    averager = posteriors.WindowAverager()
    for start in window_starts(frames):
        rows, sure = rng.dirichlet(np.ones(28), 64), rng.uniform(size=64)
        valid = min(64, frames - start)
        averager.add(start, valid, rows, sure)
        weights = posteriors.WEIGHTS[:valid, None]
        values = np.concatenate([rows, sure[:, None], np.ones((64, 1))], axis=1)
        sums[start : start + valid] += weights * values[:valid]
    np.testing.assert_allclose(
        averager.finish(), sums[:, :29] / sums[:, 29:], atol=1e-3
    )


@pytest.mark.parametrize("stride", axes.STRIDES)
def test_stacking_keeps_the_period_and_the_mass(stride):
    """A distribution at one period of a stride lies at that period of the video."""
    grid, absolute = np.log(axes.period_grid()), axes.absolute_log_periods()
    rows = np.zeros((50, 29), np.float32)
    rows[:, 12], rows[:, -1] = 1.0, 0.5
    stacked = posteriors.stack_posteriors({stride: rows}, 0, 9).astype(np.float64)
    channel = axes.STRIDES.index(stride)
    seen = stacked[:, :, channel]
    np.testing.assert_allclose(seen.sum(1), 0.5, atol=1e-3)
    np.testing.assert_allclose(
        seen @ absolute / seen.sum(1), grid[12] + np.log(stride), atol=2e-3
    )
    assert (stacked[:, :, len(axes.STRIDES) + channel] == 0.5).all()
    stacked[:, :, [channel, len(axes.STRIDES) + channel]] = 0
    assert not stacked.any()


def test_steps_stand_for_the_frame_in_their_middle():
    rows = np.zeros((12, 29), np.float32)
    rows[:, -1] = np.arange(12) / 16
    stacked = posteriors.stack_posteriors({1: rows}, 1, 2)
    channel = len(axes.STRIDES)
    np.testing.assert_allclose(stacked[:, 0, channel], [6 / 16, 10 / 16])
    assert [axes.step_count(n) for n in (0, 1, 4, 5)] == [1, 1, 1, 2]


def test_an_averager_that_was_copied_goes_on_by_itself():
    """Both the copy and the original give what one does that never was copied."""
    rng = np.random.default_rng(0)
    windows = [(rng.dirichlet(np.ones(28), 64), rng.uniform(size=64)) for _ in range(3)]

    def joined(order, copied_after=None):
        averager = posteriors.WindowAverager()
        for place, window in enumerate(order):
            if place == copied_after:
                averager, other = averager.copy(), averager
                other.add(40 * place, 64, *windows[1 - window])
            averager.add(40 * place, 64, *windows[window])
        return averager.finish()

    np.testing.assert_array_equal(joined([0, 1], 1), joined([0, 1]))


@pytest.mark.parametrize("lengths", [[1] * 100, [5, 1, 1, 9, 2], [0, 3, 0]])
def test_parts_of_an_array_stay_few(lengths):
    parts, whole = (), np.arange(sum(lengths))
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        before = parts
        copies = [part.copy() for part in before]
        parts = posteriors.with_part(parts, whole[end - length : end])
        for part, copy in zip(before, copies, strict=True):
            np.testing.assert_array_equal(part, copy)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(parts) <= 8
