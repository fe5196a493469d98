"""Mel bands: unit filters, each where it should be."""

import numpy as np

from rac_jax.ops import mel


def test_filters_have_unit_sum_and_rise():
    matrix = mel.mel_matrix()
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0, rtol=1e-6)
    centres = np.arange(257) @ matrix
    assert (np.diff(centres) > 0).all()


def test_white_noise_stays_white():
    np.testing.assert_allclose(mel.log_mel(np.full((3, 257), -2.0)), -2.0, atol=1e-5)
