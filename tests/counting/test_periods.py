"""Joining overlapping windows, against sums over the whole line."""

import numpy as np
import pytest

from rac_jax.counting import periods
from rac_jax.data.windows import window_starts
from rac_jax.models.compact import period_grid


def test_decoding_reads_the_peak():
    rows = np.full((3, 28), 1e-4)
    rows[0, 10] = 1
    rows[1, 10:12] = 0.5
    rows[2, [0, 20]] = 0.6, 0.4
    log_period, mass = periods.decode(rows)
    grid = np.log(period_grid())
    np.testing.assert_allclose(
        log_period[:2], [grid[10], grid[10:12].mean()], rtol=1e-2
    )
    np.testing.assert_allclose(np.exp(log_period[2]), 2.5, rtol=1e-2)
    np.testing.assert_allclose(mass, [1, 1, 0.6], atol=1e-3)


@pytest.mark.parametrize("frames", [5, 64, 70, 104, 301])
@pytest.mark.parametrize("stride", [1, 3])
def test_a_line_is_the_weighted_mean_of_its_windows(frames, stride):
    rng = np.random.default_rng(frames)
    sums = np.zeros((frames, 30))
    line = periods.PeriodLine(stride)
    for start in window_starts(frames):
        rows, sure = rng.dirichlet(np.ones(28), 64), rng.uniform(size=64)
        valid = min(64, frames - start)
        line.add(start, valid, rows, sure)
        weights = periods.WEIGHTS[:valid, None]
        values = np.concatenate([rows, sure[:, None], np.ones((64, 1))], axis=1)
        sums[start : start + valid] += weights * values[:valid]
    got = line.finish()
    log_period, mass = periods.decode(sums[:, :28] / sums[:, 29:])
    np.testing.assert_allclose(got.log_period, log_period + np.log(stride), rtol=1e-5)
    np.testing.assert_allclose(got.mass, mass, rtol=1e-5)
    np.testing.assert_allclose(got.periodicity, sums[:, 28] / sums[:, 29], rtol=1e-5)
