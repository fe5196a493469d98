"""Soundtracks: statistics and segments equal to those of the whole spectrogram."""

import numpy as np
import pytest
import scipy.signal

from rac_jax.models.sight_sound.soundtrack import Soundtrack
from rac_jax.ops import spectrogram


def waveform(samples, seed=0):
    rng = np.random.default_rng(seed)
    envelope = 0.2 + np.abs(np.sin(np.arange(samples) / 3000))
    return (envelope * rng.normal(size=samples)).astype(np.float32) * 0.1


def whole(samples):
    _, _, density = scipy.signal.spectrogram(samples, 22050, nperseg=512, noverlap=353)
    return np.log(density + 1e-7)


@pytest.mark.parametrize("samples", [512, 40_000, 400_000])
def test_statistics_equal_those_of_the_whole(samples):
    sound = waveform(samples)
    with Soundtrack(np.array_split(sound, 7)) as track:
        mean, std = track.statistics()
        assert track.columns == whole(sound).shape[1]
        assert track.duration_s == pytest.approx(samples / 22050)
    assert mean == pytest.approx(whole(sound).mean(), abs=1e-4)
    assert std == pytest.approx(whole(sound).std(), rel=1e-4)


def test_segments_equal_columns_of_the_whole():
    sound = waveform(100_000)
    columns = whole(sound).shape[1]
    positions = np.full((2, 500), -1.0)
    positions[0] = np.arange(500)
    positions[1, :40] = np.arange(columns - 20, columns + 20)  # the end, and beyond it
    with Soundtrack([sound]) as track:
        mean, std = track.statistics()
        ours = np.asarray(
            spectrogram.segment_spectrogram(*track.segments(positions), mean, std)
        )
    expected = (whole(sound) - whole(sound).mean()) / whole(sound).std()
    np.testing.assert_allclose(ours[0], expected[:, :500], atol=1e-3)
    np.testing.assert_allclose(ours[1, :, :20], expected[:, -20:], atol=1e-3)
    assert (ours[1, :, 20:] == 0).all()


@pytest.mark.parametrize("chunks", [[], [np.zeros(0, np.float32)]])
def test_no_sound(chunks):
    with Soundtrack(chunks) as track:
        assert track.columns == track.samples == 0
        assert track.statistics() == (0.0, 1.0)
        *_, low, high = track.segments(np.arange(500.0)[None])
        assert not low.any()
        assert not high.any()


def test_shorter_than_a_window():
    with Soundtrack([waveform(100)]) as track:
        assert track.columns == 1
        assert np.isfinite(track.statistics()).all()
        assert (track.windows(np.array([0]))[0, 100:] == 0).all()


def test_digital_silence_is_zeros():
    with Soundtrack([np.zeros(50_000, np.float32)]) as track:
        assert not track.audible
        segment = spectrogram.segment_spectrogram(
            *track.segments(np.arange(500.0)[None]), *track.statistics()
        )
        assert (np.asarray(segment) == 0).all()
    with Soundtrack([waveform(50_000)]) as track:
        assert track.audible
