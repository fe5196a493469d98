"""Sound: what resampling keeps and rejects, and where the samples lie in time."""

import logging
import math
import tracemalloc

import numpy as np
import pytest

from rac_jax import media
from tests.media.media_factory import (
    coded_frames,
    copy_packets,
    make_sound,
    make_video,
    make_wav,
)

RATE = 22050


def sine(frequency: float, seconds: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def clicks(seconds: float, rate: int, at_s) -> np.ndarray:
    """Short tone bursts at given times."""
    t = np.arange(round(seconds * rate)) / rate
    result = np.zeros_like(t)
    for moment in at_s:
        inside = (t >= moment) & (t < moment + 0.02)
        result[inside] += 0.8 * np.sin(2 * np.pi * 1000 * (t[inside] - moment))
    return result


def onset_s(samples: np.ndarray, rate: int = RATE, level: float = 0.2) -> float:
    return float(np.argmax(np.abs(samples) > level)) / rate


def level_db(samples: np.ndarray) -> float:
    """Of the middle half, relative to a sine of amplitude 0.5."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(np.float64)
    return 20 * np.log10(np.sqrt(np.mean(middle**2)) / (0.5 / np.sqrt(2)) + 1e-12)


@pytest.mark.parametrize("source", [44100, 48000, 32000, 96000])
def test_band_limited_resampling(tmp_path, source):
    nyquist = RATE / 2
    for share in (0.01, 0.3, 0.7, 0.85, 0.9):
        path = make_wav(
            tmp_path / "sine.wav", sine(share * nyquist, 1, source), source, "flt"
        )
        assert abs(level_db(media.read_audio(path))) < 0.1
    for share in (1.1, 1.25, 1.4):
        path = make_wav(
            tmp_path / "sine.wav", sine(share * nyquist, 1, source), source, "flt"
        )
        assert level_db(media.read_audio(path)) < -60


def test_a_rough_filter_keeps_time_and_what_is_well_inside_of_the_band(tmp_path):
    for share, most_db in ((0.3, 0.1), (0.7, 0.1), (0.9, 1.5)):
        tone = sine(share * RATE / 2, 1, 44100)
        path = make_wav(tmp_path / "sine.wav", tone, 44100, "flt")
        found = np.concatenate(list(media.stream_audio(path, rate=RATE, rough=True)))
        assert len(found) == RATE
        assert abs(level_db(found)) < most_db
    slow = make_wav(tmp_path / "slow.wav", sine(440, 2, 44100), 44100, "flt")
    samples = np.concatenate(list(media.stream_audio(slow, rate=RATE, rough=True)))
    inside = slice(1000, -1000)
    np.testing.assert_allclose(samples[inside], sine(440, 2, RATE)[inside], atol=2e-3)


@pytest.mark.parametrize("source", [8000, 16000, 22050, 44100, 48000, 11127])
def test_resampling_keeps_time(tmp_path, source):
    """A slow sine comes out as the same sine at the new rate, not shifted by a sample."""
    path = make_wav(tmp_path / "slow.wav", sine(440, 2, source), source, "flt")
    samples = media.read_audio(path)
    assert samples.dtype == np.float32
    assert len(samples) == 2 * RATE
    inside = slice(1000, -1000)
    np.testing.assert_allclose(samples[inside], sine(440, 2, RATE)[inside], atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 11127])
@pytest.mark.parametrize("source", [16000, 22050, 48000])
def test_arrays_are_resampled_as_files_are(tmp_path, source, rate):
    """A sound of 2.3 s and a few samples, with noise up to its highest frequency."""
    noise = 0.05 * np.random.default_rng(0).normal(size=int(2.3 * source) + 7)
    waveform = (noise + clicks(9, source, [0.5, 1.7])[: len(noise)]).astype(np.float32)
    path = make_wav(tmp_path / "sound.wav", waveform, source, "flt")
    found = media.resample(waveform, source, rate)
    assert found.dtype == np.float32
    assert len(found) == math.floor(len(waveform) * rate / source + 0.5)
    np.testing.assert_allclose(found, media.read_audio(path, rate=rate), atol=1e-3)


def test_resampling_arrays_of_any_length():
    for samples in (0, 1, 2, 100, 15999, 16000, 16001):
        found = media.resample(np.zeros(samples), 16000, 22050)
        assert len(found) == math.floor(samples * 22050 / 16000 + 0.5)
    # Nothing to do is nothing done.
    waveform = np.arange(5, dtype=np.float32)
    assert media.resample(waveform, 16000, 16000) is waveform


@pytest.mark.parametrize("rates", [(0, 16000), (16000, 0), (-1, 16000)])
def test_resampling_needs_rates(rates):
    with pytest.raises(ValueError, match="rate: must be at least 1"):
        media.resample(np.zeros(9), *rates)


@pytest.mark.parametrize("sample_format", ["s16", "s32", "u8", "flt"])
def test_sample_formats_and_the_mean_of_channels(tmp_path, sample_format):
    left, right = sine(300, 1, RATE), sine(700, 1, RATE)
    path = make_wav(
        tmp_path / "stereo.wav", np.stack([left, right]), RATE, sample_format
    )
    atol = 1 / 128 if sample_format == "u8" else 1e-4
    np.testing.assert_allclose(media.read_audio(path), (left + right) / 2, atol=atol)


def test_six_channels_are_averaged(tmp_path):
    channels = np.stack([sine(200 + 100 * k, 1, RATE) for k in range(6)])
    path = make_wav(tmp_path / "surround.wav", channels, RATE)
    np.testing.assert_allclose(media.read_audio(path), channels.mean(axis=0), atol=1e-4)


def test_what_is_no_number_is_silence(tmp_path):
    samples = sine(300, 1, RATE)
    samples[100:200] = np.nan
    samples[300] = np.inf
    heard = media.read_audio(make_wav(tmp_path / "nan.wav", samples, RATE, "flt"))
    assert np.isfinite(heard).all()
    assert (heard[100:200] == 0).all()


@pytest.mark.parametrize("source", [22050, 48000])
def test_chunks_are_bounded(tmp_path, source):
    path = make_wav(tmp_path / "long.wav", sine(300, 10, source), source)
    chunks = list(media.stream_audio(path))
    assert sum(map(len, chunks)) == 10 * RATE
    assert max(map(len, chunks)) <= 1.5 * RATE
    np.testing.assert_array_equal(np.concatenate(chunks), media.read_audio(path))


@pytest.mark.parametrize("suffix", [".wav", ".mp4", ".flac", ".mp3", ".opus"])
@pytest.mark.parametrize("start_s", [0.5, 1.0, 3.0, 4.7])
def test_cuts_equal_the_whole(tmp_path, suffix, start_s):
    path = tmp_path / f"noise{suffix}"
    rate = 48000 if suffix == ".opus" else 44100
    # Falling in pitch, so that every moment is itself; no noise, which AAC would draw anew.
    t = np.arange(6 * rate) / rate
    chirp = 0.4 * np.sin(2 * np.pi * (2000 * t - 150 * t**2))
    if suffix == ".wav":
        make_wav(path, chirp, rate)
    elif suffix == ".mp4":
        make_video(path, coded_frames(150), sound=chirp, sound_rate=rate)
    else:
        codec = {".flac": "flac", ".mp3": "libmp3lame", ".opus": "libopus"}[suffix]
        make_sound(path, chirp, rate, codec, "flt" if suffix == ".opus" else "s16p")
    whole = media.read_audio(path)
    part = media.read_audio(path, start_s=start_s, end_s=start_s + 0.8)
    first = round(start_s * RATE)
    assert len(part) == round(0.8 * RATE)
    np.testing.assert_allclose(part, whole[first : first + len(part)], atol=5e-3)


def test_cuts_of_matroska_are_within_its_milliseconds(tmp_path):
    at_s = [0.5, 1.5, 2.5, 3.5, 4.5]
    path = make_video(
        tmp_path / "clicks.mkv",
        coded_frames(150),
        sound=clicks(6, 44100, at_s),
        sound_rate=44100,
    )
    for moment in at_s:
        part = media.read_audio(path, start_s=moment - 0.25, end_s=moment + 0.25)
        assert onset_s(part) == pytest.approx(0.25, abs=0.004)


def test_start_after_the_end_and_end_after_the_end(tmp_path):
    path = make_wav(tmp_path / "short.wav", sine(300, 2, 44100), 44100)
    assert len(media.read_audio(path, start_s=5)) == 0
    assert len(media.read_audio(path, start_s=1, end_s=9)) == RATE
    assert len(media.read_audio(path, start_s=1, end_s=1)) == 0


@pytest.mark.parametrize("delay_s", [0.0, 0.4])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_begins_after_the_picture(tmp_path, suffix, delay_s):
    path = make_video(
        tmp_path / f"late{suffix}",
        coded_frames(75),
        sound=clicks(2, 22050, [0.3]),
        sound_rate=22050,
        sound_delay_s=delay_s,
    )
    heard = media.read_audio(path)
    assert onset_s(heard) == pytest.approx(0.3 + delay_s, abs=0.004)
    assert np.abs(heard[: round(0.9 * delay_s * RATE)]).max(initial=0) == 0
    part = media.read_audio(path, start_s=0.2)
    assert onset_s(part) == pytest.approx(0.1 + delay_s, abs=0.004)


@pytest.mark.parametrize("start", [500, 10])
def test_sound_that_begins_before_the_picture(tmp_path, start):
    """Sample 0 lies under the first frame: what was heard before is cut."""
    path = make_video(
        tmp_path / "early.mkv",
        coded_frames(75),
        pts=list(range(start, start + 75)),
        sound=clicks(23, 22050, [start / 25 + 0.5]),
        sound_rate=22050,
    )
    assert onset_s(media.read_audio(path)) == pytest.approx(0.5, abs=0.004)


def test_edit_list_cuts_sound_and_picture_alike(tmp_path):
    whole = make_video(
        tmp_path / "whole.mp4",
        coded_frames(100),
        sound=clicks(4, 22050, [2.0]),
        sound_rate=22050,
    )

    def shift(packet):
        ticks = round(0.8 / packet.time_base)
        packet.pts -= ticks
        packet.dts -= ticks

    path = copy_packets(whole, tmp_path / "edited.mp4", shift)
    assert onset_s(media.read_audio(path)) == pytest.approx(1.2, abs=0.004)


def test_gaps_become_silence(tmp_path):
    whole = make_video(
        tmp_path / "whole.mp4",
        coded_frames(100),
        sound=sine(500, 4, 22050),
        sound_rate=22050,
    )

    def drop(packet):
        time_s = packet.pts * packet.time_base
        return not (packet.stream.type == "audio" and 1.5 < time_s < 2.5)

    heard = media.read_audio(copy_packets(whole, tmp_path / "gap.mp4", drop))
    assert len(heard) == pytest.approx(4 * RATE, abs=0.1 * RATE)
    loudness = np.abs(heard[: 80 * 1100]).reshape(80, -1).max(axis=1)  # per 50 ms
    assert (loudness[32:49] < 0.01).all()
    assert (loudness[2:29] > 0.4).all()
    assert (loudness[52:78] > 0.4).all()


def test_hours_are_streamed(tmp_path):
    """Neither silence nor sound piles up in memory."""
    path = make_wav(tmp_path / "long.wav", np.zeros(8000 * 300), 8000)
    stream = media.stream_audio(path, rate=8000)
    tracemalloc.start()
    seconds = sum(map(len, stream)) / 8000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds == 300
    assert peak < 1e6


def test_sound_breaks_off(tmp_path, caplog):
    path = make_video(
        tmp_path / "cut.mkv",
        coded_frames(100, noise=20),
        sound=sine(500, 4, 22050),
        sound_rate=22050,
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with caplog.at_level(logging.WARNING, logger="rac_jax"):
        heard = media.read_audio(path)
    assert 0.8 * RATE < len(heard) < 3 * RATE
    assert abs(level_db(heard)) < 0.5


def test_no_sound(tmp_path):
    path = make_video(tmp_path / "silent.mp4", coded_frames(5))
    with pytest.raises(media.MediaError, match=r"silent\.mp4: has no sound$"):
        media.read_audio(path)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"rate": 0}, "rate: must be at least 1"),
        ({"start_s": -1}, "start_s: must be at least 0"),
        ({"start_s": 2, "end_s": 1}, "end_s: must not be before start_s"),
    ],
)
def test_bad_arguments_raise_at_once(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        media.stream_audio(tmp_path / "none.wav", **options)
