"""The sound format against scipy."""

import numpy as np
import pytest
import scipy.signal

from rac_jax.ops import sound_format
from tests import own_process


def written_out():
    """A Tukey window of `WINDOW` + 1 points without the last: scipy's default, by its formula."""
    n = np.arange(sound_format.WINDOW)
    edge = 0.25 * sound_format.WINDOW / 2
    distance = np.minimum(n, sound_format.WINDOW - n)
    rise = 0.5 * (1 + np.cos(np.pi * (distance / edge - 1)))
    return np.where(distance < edge, rise, 1.0)


def test_window_is_the_formula_and_cannot_be_written_to():
    window = sound_format.analysis_window()
    assert window.dtype == np.float64
    np.testing.assert_allclose(window, written_out(), atol=1e-7)
    with pytest.raises(ValueError, match="read-only"):
        window[0] = 1.0


@pytest.mark.parametrize("samples", [1, 511, 512, 670, 671, 830, 22050])
def test_shape_is_that_of_scipy(samples):
    waveform = np.zeros(max(samples, sound_format.WINDOW))
    frequencies, times, density = scipy.signal.spectrogram(
        waveform, sound_format.RATE, nperseg=512, noverlap=353
    )
    columns = sound_format.column_count(samples)
    assert density.shape == (sound_format.BINS, columns)
    assert frequencies[-1] == sound_format.RATE / 2
    # A column's middle is half a column beyond its position.
    position = times * sound_format.COLUMNS_PER_S - sound_format.CENTRE
    np.testing.assert_allclose(position, np.arange(columns) + 0.5, atol=1e-9)


def test_no_samples_no_columns():
    assert sound_format.column_count(0) == sound_format.column_count(-3) == 0


def test_the_format_can_be_read_without_jax_and_scipy():
    code = (
        "import sys; from rac_jax.ops import sound_format; "
        "print({'jax', 'scipy'} & set(sys.modules))"
    )
    assert own_process.output(code).strip() == "set()"
