"""Thumbnails and small spectrograms of media files."""

import numpy as np
import pytest

from rac_jax import media
from rac_jax.media import encode
from rac_jax.view import preview

FPS = 10


@pytest.fixture(scope="module")
def grey_ramp(tmp_path_factory):
    """Ten seconds whose grey level is 20 more every second: the level tells the time."""
    path = tmp_path_factory.mktemp("preview") / "ramp.mp4"
    level = (20 + 20 * (np.arange(10 * FPS) // FPS)).astype(np.uint8)
    frames = np.broadcast_to(level[:, None, None, None], (len(level), 48, 64, 3))
    encode.write_video(path, np.ascontiguousarray(frames), FPS)
    return path


@pytest.mark.parametrize("most_decoded", [900, 0])  # one pass, seeking
def test_thumbnails_show_their_times(grey_ramp, monkeypatch, most_decoded):
    monkeypatch.setattr(preview, "MAX_DECODED", most_decoded)
    times = np.array([0.5, 3.5, 6.5, 9.5])
    frames = preview.thumbnails(grey_ramp, times, height=24)
    assert [f.shape for f in frames] == [(24, 32, 3)] * 4
    levels = [f.mean() for f in frames]
    np.testing.assert_allclose(levels, [20, 80, 140, 200], atol=4)


@pytest.mark.parametrize("most_decoded", [900, 0])
def test_no_thumbnail_after_the_end(grey_ramp, monkeypatch, most_decoded):
    monkeypatch.setattr(preview, "MAX_DECODED", most_decoded)
    frames = preview.thumbnails(grey_ramp, np.array([5.0, 50.0, 95.0]), height=24)
    assert frames[2] is None


def test_one_frame_gives_one_thumbnail(tmp_path):
    encode.write_video(tmp_path / "one.mp4", np.full((1, 32, 32, 3), 90, np.uint8), 25)
    (frame,) = preview.thumbnails(tmp_path / "one.mp4", np.array([0.02]), height=16)
    assert abs(frame.mean() - 90) < 4


def test_thumbnails_of_sound_raise(tmp_path):
    path = tmp_path / "tone.wav"
    _write_wav(path, np.zeros(4000, np.float32))
    with pytest.raises(media.MediaError, match="no picture"):
        preview.thumbnails(path, np.array([0.1]), height=16)


def _write_wav(path, samples, rate=8000):
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def _split(waveform, size):
    return [waveform[i : i + size] for i in range(0, len(waveform), size)]


def _reference(waveform):
    """Every window in one go, not pooled."""
    window = np.hanning(preview.WINDOW + 1)[:-1]
    starts = np.arange(0, len(waveform) - preview.WINDOW + 1, preview.HOP)
    frames = waveform[starts[:, None] + np.arange(preview.WINDOW)] * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / window.sum() ** 2
    return 10 * np.log10(np.maximum(power, 1e-12)).T


@pytest.mark.parametrize("size", [100, 511, 4096, 100_000])
def test_spectrogram_does_not_depend_on_chunks(size):
    waveform = np.random.default_rng(0).normal(0, 0.1, 30_000).astype(np.float32)
    image = preview.spectrogram(_split(waveform, size), len(waveform))
    reference = _reference(waveform)
    assert image.shape == reference.shape
    np.testing.assert_allclose(image, reference, atol=0.01)


def test_spectrogram_keeps_clicks_when_pooled(monkeypatch):
    monkeypatch.setattr(preview, "_SLICE", 5000)
    waveform = np.zeros(200_000, np.float32)
    waveform[150_000] = 1.0
    image = preview.spectrogram([waveform], len(waveform), columns=40)
    assert image.shape == (preview.BINS, 40)
    assert np.flatnonzero(image.max(axis=0) > preview.FLOOR_DB + 1).tolist() == [30]


def test_spectrogram_places_a_tone():
    rate, seconds = preview.RATE, 2
    time = np.arange(rate * seconds) / rate
    image = preview.spectrogram([np.sin(2 * np.pi * 3000 * time)], len(time))
    row = int(np.argmax(image.mean(axis=1)))
    assert abs(row * rate / preview.WINDOW - 3000) < rate / preview.WINDOW
    assert abs(image.max() + 6) < 2


def test_long_sound_costs_a_bounded_number_of_transforms(monkeypatch):
    monkeypatch.setattr(preview, "MAX_TRANSFORMS", 50)
    computed = []
    real = np.fft.rfft
    monkeypatch.setattr(
        np.fft, "rfft", lambda x, **k: computed.append(len(x)) or real(x, **k)
    )
    waveform = np.ones(500_000, np.float32)
    preview.spectrogram(_split(waveform, 3000), len(waveform), columns=20)
    assert 40 <= sum(computed) <= 50


@pytest.mark.parametrize("samples", [0, 1, 511])
def test_tiny_sounds_make_one_column(samples):
    image = preview.spectrogram([np.ones(samples, np.float32)], samples)
    assert image.shape == (preview.BINS, 1)
    assert np.isfinite(image).all()


def test_sound_shorter_than_the_time_axis_leaves_columns_empty():
    image = preview.spectrogram([np.ones(10_000, np.float32)], 100_000, columns=50)
    assert image.shape[1] == 50
    np.testing.assert_allclose(image[:, 10:], preview.FLOOR_DB, atol=1e-3)
    assert (image[:, :4].max(axis=0) > -10).all()
