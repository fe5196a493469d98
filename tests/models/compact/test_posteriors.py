"""Joining overlapping windows, and laying strides side by side, against plain sums."""

import numpy as np
import pytest

from rac_jax.models.compact import network as compact
from rac_jax.models.compact import posteriors as periods
from rac_jax.models.compact.windows import window_starts


@pytest.mark.parametrize("frames", [5, 64, 70, 104, 301])
def test_a_line_is_the_weighted_mean_of_its_windows(frames):
    rng = np.random.default_rng(frames)
    sums = np.zeros((frames, 30))
    line = periods.PeriodLine()
    for start in window_starts(frames):
        rows, sure = rng.dirichlet(np.ones(28), 64), rng.uniform(size=64)
        valid = min(64, frames - start)
        line.add(start, valid, rows, sure)
        weights = periods.WEIGHTS[:valid, None]
        values = np.concatenate([rows, sure[:, None], np.ones((64, 1))], axis=1)
        sums[start : start + valid] += weights * values[:valid]
    np.testing.assert_allclose(line.finish(), sums[:, :29] / sums[:, 29:], atol=1e-3)


@pytest.mark.parametrize("stride", compact.STRIDES)
def test_evidence_keeps_the_period_and_the_mass(stride):
    """A distribution at one period of a stride lies at that period of the video."""
    grid, absolute = np.log(compact.period_grid()), compact.absolute_log_periods()
    line = np.zeros((50, 29), np.float32)
    line[:, 12], line[:, -1] = 1.0, 0.5
    evidence = periods.stack_evidence({stride: line}, 0, 9).astype(np.float64)
    channel = compact.STRIDES.index(stride)
    seen = evidence[:, :, channel]
    np.testing.assert_allclose(seen.sum(1), 0.5, atol=1e-3)
    np.testing.assert_allclose(
        seen @ absolute / seen.sum(1), grid[12] + np.log(stride), atol=2e-3
    )
    assert (evidence[:, :, len(compact.STRIDES) + channel] == 0.5).all()
    evidence[:, :, [channel, len(compact.STRIDES) + channel]] = 0
    assert not evidence.any()


def test_instants_read_the_frame_in_their_middle():
    line = np.zeros((12, 29), np.float32)
    line[:, -1] = np.arange(12) / 16
    evidence = periods.stack_evidence({1: line}, 1, 2)
    channel = len(compact.STRIDES)
    np.testing.assert_allclose(evidence[:, 0, channel], [6 / 16, 10 / 16])
    assert [periods.instants(n) for n in (0, 1, 4, 5)] == [1, 1, 1, 2]
