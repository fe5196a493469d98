"""Soundtracks: statistics and segments equal to those of the whole spectrogram."""

import numpy as np
import pytest
import scipy.signal

from rac_jax.counting.sample_log import SampleLog
from rac_jax.models.sight_sound.soundtrack import Soundtrack
from rac_jax.ops import spectrogram


def waveform(samples, seed=0):
    rng = np.random.default_rng(seed)
    envelope = 0.2 + np.abs(np.sin(np.arange(samples) / 3000))
    return (envelope * rng.normal(size=samples)).astype(np.float32) * 0.1


def track_of(*chunks):
    """The soundtrack of samples that come in chunks."""
    log = SampleLog()
    for chunk in chunks:
        log = log.append(chunk)
    return Soundtrack(log)


def whole(samples):
    _, _, density = scipy.signal.spectrogram(samples, 22050, nperseg=512, noverlap=353)
    return np.log(density + 1e-7)


@pytest.mark.parametrize("samples", [512, 40_000, 400_000])
def test_statistics_equal_those_of_the_whole(samples):
    sound = waveform(samples)
    track = track_of(*np.array_split(sound, 7))
    mean, std = track.statistics
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
    track = track_of(sound)
    segments = track.segments(positions)
    ours = np.asarray(spectrogram.segment_spectrogram(*segments, *track.statistics))
    expected = (whole(sound) - whole(sound).mean()) / whole(sound).std()
    np.testing.assert_allclose(ours[0], expected[:, :500], atol=1e-3)
    np.testing.assert_allclose(ours[1, :, :20], expected[:, -20:], atol=1e-3)
    assert (ours[1, :, 20:] == 0).all()


@pytest.mark.parametrize("chunks", [[], [np.zeros(0, np.float32)]])
def test_no_sound(chunks):
    track = track_of(*chunks)
    assert track.columns == track.duration_s == 0
    assert track.statistics == (0.0, 1.0)
    assert not track.audible
    lower, *_, low, high = track.segments(np.arange(500.0)[None])
    assert not lower.any()
    assert not low.any()
    assert not high.any()


def test_shorter_than_a_window():
    track = track_of(waveform(100))
    assert track.columns == 1
    assert np.isfinite(track.statistics).all()
    assert (track.windows(np.array([0]))[0, 100:] == 0).all()


def test_digital_silence_is_zeros():
    track = track_of(np.zeros(50_000, np.float32))
    assert not track.audible
    segments = track.segments(np.arange(500.0)[None])
    segment = spectrogram.segment_spectrogram(*segments, *track.statistics)
    assert (np.asarray(segment) == 0).all()
    assert track_of(waveform(50_000)).audible


def test_windows_lie_in_time():
    track = track_of(waveform(22050 * 5))
    windows = track.window_counts(np.array([1.0, 2.0]), 500, 10.0)
    assert [w.count for w in windows] == [1.0, 2.0]
    assert windows[0].start_s == 10.0
    assert (
        windows[0].end_s == windows[1].start_s == pytest.approx(10 + 500 * 159 / 22050)
    )
    assert windows[1].end_s == 15.0
