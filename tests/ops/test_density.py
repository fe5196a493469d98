"""Density maps against the integral of Gaussians, and what they promise."""

import math

import jax
import numpy as np
import pytest

from rac_jax.ops.density import density_map


def mass(low, high, middle, sigma):
    """What of a Gaussian lies between two places."""

    def below(x):
        return 0.5 * (1 + math.erf((x - middle) / (sigma * math.sqrt(2))))

    return below(high) - below(low)


def test_each_frame_has_the_integral_over_it():
    cycles = np.array([[2.0, 8.0], [7.0, 10.0], [0.0, 5.0]], np.float32)
    valid = np.array([True, True, False])
    found = density_map(cycles, valid, 12)
    want = [mass(t, t + 1, 5.0, 1.0) + mass(t, t + 1, 8.5, 0.5) for t in range(12)]
    np.testing.assert_allclose(found, want, atol=1e-6)


@pytest.mark.parametrize("period", [0.7, 2.0, 9.3])
def test_it_adds_up_to_the_cycles_however_short(period):
    """Also where several cycles fall on one frame: bumps are added, not assigned."""
    edges = 4.0 + period * np.arange(6)
    cycles = np.stack([edges[:-1], edges[1:]], axis=1).astype(np.float32)
    found = density_map(cycles, np.ones(5, bool), 64)
    assert float(found.sum()) == pytest.approx(5.0, abs=1e-4)
    assert (np.asarray(found) >= 0).all()


def test_a_cycle_at_the_end_is_cut():
    found = density_map(np.array([[4.0, 12.0]], np.float32), np.ones(1, bool), 8)
    assert float(found.sum()) == pytest.approx(0.5, abs=1e-5)


def test_batches_and_gradients():
    cycles = np.random.default_rng(0).uniform(0, 9, (2, 3, 4, 1)).astype(np.float32)
    cycles = np.concatenate([cycles, cycles + 2], axis=-1)
    valid = np.ones((2, 3, 4), bool)
    found = density_map(cycles, valid, 10)
    assert found.shape == (2, 3, 10)
    np.testing.assert_allclose(
        found[1, 2], density_map(cycles[1, 2], valid[1, 2], 10), rtol=1e-6
    )
    slope = jax.grad(lambda c: density_map(c, valid[0, 0], 5).sum())(cycles[0, 0])
    assert np.isfinite(slope).all()
