"""The host's spectrogram against the device's and against scipy's."""

import numpy as np
import pytest
import scipy.signal

from rac_jax.models.sight_sound import columns
from rac_jax.ops import spectrogram


def noise(samples: int) -> np.ndarray:
    """Noise that fades in, so that rows and columns differ."""
    rng = np.random.default_rng(0)
    return (rng.normal(0, 0.1, samples) * np.linspace(0, 1, samples)).astype(np.float32)


def test_constants_are_those_of_the_device():
    for name in ("RATE", "WINDOW", "OVERLAP", "HOP", "BINS", "FLOOR", "STD_FLOOR"):
        assert getattr(columns, name) == getattr(spectrogram, name), name


@pytest.mark.parametrize("samples", [300, 511, 512, 670, 671, 22050, 22050 * 3 + 7])
def test_equals_the_device(samples):
    waveform = noise(samples)
    ours = columns.log_columns(waveform)
    theirs = spectrogram.standardise(spectrogram.log_spectrogram(waveform))
    assert ours.dtype == np.float32
    assert ours.shape == (257, spectrogram.column_count(samples))
    assert columns.column_count(samples) == spectrogram.column_count(samples)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_equals_scipy():
    waveform = noise(40000)
    _, _, density = scipy.signal.spectrogram(waveform, 22050, nperseg=512, noverlap=353)
    log = np.log(density + 1e-7)
    expected = (log - log.mean()) / (log.std() + 1e-9)
    np.testing.assert_allclose(columns.log_columns(waveform), expected, atol=1e-4)


def test_long_sounds_are_cut_into_blocks_without_a_seam(monkeypatch):
    waveform = noise(22050)
    whole = columns.log_columns(waveform)
    monkeypatch.setattr(columns, "BLOCK", 7)
    np.testing.assert_allclose(columns.log_columns(waveform), whole, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_digital_silence_is_zeros(level):
    silent = columns.log_columns(np.full(22050, level, np.float32))
    assert silent.shape == (257, columns.column_count(22050))
    assert not silent.any()


def test_nothing_gives_no_columns():
    assert columns.log_columns(np.zeros(0, np.float32)).shape == (257, 0)


def test_stereo_is_refused():
    with pytest.raises(ValueError, match=r"waveform: must be \[S\], not \[2, 600\]"):
        columns.log_columns(np.zeros((2, 600)))
