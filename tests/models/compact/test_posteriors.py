"""Laying strides side by side, against plain sums."""

import numpy as np
import pytest

from rac_jax.models.compact import grid as axes
from rac_jax.models.compact import posteriors


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
