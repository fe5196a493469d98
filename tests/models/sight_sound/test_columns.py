"""The host's spectrogram against the device's and against scipy's."""

import numpy as np
import pytest
import scipy.signal

from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound import columns
from rac_jax.models.sight_sound.columns import SpectrogramReader
from rac_jax.models.sight_sound.scene_batches import scene_spectrogram
from rac_jax.ops import spectrogram
from rac_jax.ops.sound_format import column_count


def noise(samples: int) -> np.ndarray:
    """Noise that fades in, so that rows and columns differ."""
    rng = np.random.default_rng(0)
    return (rng.normal(0, 0.1, samples) * np.linspace(0, 1, samples)).astype(np.float32)


def whole(waveform: np.ndarray) -> np.ndarray:
    """All columns of a waveform."""
    reader = SpectrogramReader(waveform)
    return reader.read(np.arange(reader.columns))


def blended(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Columns [F, n] at fractional positions, zero past either end, the plain way."""
    result = np.zeros((len(values), len(positions)))
    for place, position in enumerate(positions):
        low = int(np.floor(position))
        for column, share in ((low, 1 - position + low), (low + 1, position - low)):
            if position >= 0 and 0 <= column < values.shape[1]:
                result[:, place] += share * values[:, column]
    return result


@pytest.mark.parametrize("samples", [300, 511, 512, 670, 671, 22050, 22050 * 3 + 7])
def test_equals_the_device(samples):
    waveform = noise(samples)
    ours = whole(waveform)
    theirs = spectrogram.standardise(spectrogram.log_spectrogram(waveform))
    assert ours.dtype == np.float32
    assert ours.shape == (257, column_count(samples))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_equals_what_scenes_are_learned_from():
    waveform = noise(22050)
    expected = scene_spectrogram(waveform)
    np.testing.assert_allclose(whole(waveform), expected, atol=1e-4)


def test_equals_scipy():
    waveform = noise(40000)
    _, _, density = scipy.signal.spectrogram(waveform, 22050, nperseg=512, noverlap=353)
    log = np.log(density + 1e-7)
    expected = (log - log.mean()) / (log.std() + 1e-9)
    np.testing.assert_allclose(whole(waveform), expected, atol=1e-4)


def test_long_sounds_are_cut_into_blocks_without_a_seam(monkeypatch):
    waveform = noise(22050)
    before = whole(waveform)
    monkeypatch.setattr(columns, "BLOCK", 7)
    np.testing.assert_allclose(whole(waveform), before, atol=1e-5)


def test_long_sounds_are_read_as_short_ones(monkeypatch):
    waveform = noise(22050)
    before = whole(waveform)
    monkeypatch.setattr(columns, "HELD", 0)
    np.testing.assert_allclose(whole(waveform), before, atol=1e-6)


def test_an_offset_of_the_level_does_not_cost_precision():
    # Blocks whose means differ much: loud, then almost nothing.
    waveform = np.concatenate([noise(30000), 1e-3 * noise(30000)])
    theirs = spectrogram.standardise(spectrogram.log_spectrogram(waveform))
    np.testing.assert_allclose(whole(waveform), theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("first", "last"), [(0, 300), (37, 537), (100, 600), (0, 900), (12, 1500)]
)
def test_parts_are_those_of_the_whole(first, last):
    waveform = noise(100_000)
    values, reader = whole(waveform), SpectrogramReader(waveform)
    positions = clip_index.span_columns(first, last, reader.columns)
    found = reader.read(positions)
    np.testing.assert_allclose(found, blended(values, positions), atol=1e-5)


def test_columns_outside_are_zero():
    waveform = noise(512 + 2 * 159)
    a, b, c = whole(waveform).T
    positions = np.array([0.0, 0.5, 1.25, 2.0, 2.5, 3.0, -1.0, -0.5])
    found = SpectrogramReader(waveform).read(positions)
    zero = np.zeros(257)
    expected = [
        *(a, (a + b) / 2, 0.75 * b + 0.25 * c, c),
        *(c / 2, zero, zero, zero),
    ]
    np.testing.assert_allclose(found.T, expected, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_digital_silence_is_zeros(level):
    silent = whole(np.full(22050, level, np.float32))
    assert silent.shape == (257, column_count(22050))
    assert not silent.any()


@pytest.mark.parametrize("waveform", [None, np.zeros(0, np.float32)])
def test_nothing_gives_no_columns(waveform):
    reader = SpectrogramReader(waveform)
    assert reader.columns == 0
    assert not reader.read(np.full(500, -1.0)).any()


def test_stereo_is_refused():
    with pytest.raises(ValueError, match=r"waveform: must be \[S\], not \[2, 600\]"):
        SpectrogramReader(np.zeros((2, 600)))
