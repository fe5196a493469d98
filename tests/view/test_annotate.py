"""The video with the running count: the count over time, frames, sound."""

import dataclasses

import numpy as np
import pytest

from rac_jax import media
from rac_jax.counting.rate import Rate
from rac_jax.media import encode
from rac_jax.view import annotate
from tests.results import evenly, repetition_set, with_sets

FPS, SECONDS = 10, 3


def _result(file="<array>", duration_s=3.0, start_s=0.0, count=7.0):
    """Two thirds of the count in the first third of the time."""
    third, end = start_s + duration_s / 3, start_s + duration_s
    rate = Rate.from_knots([start_s, third, end], [0, count * 2 / 3, count])
    return dataclasses.replace(
        evenly(count, duration_s, start_s=start_s, file=file), rate=rate
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three seconds of grey, lighter every second, with a tone in the second one."""
    path = tmp_path_factory.mktemp("annotate") / "clip.mp4"
    frames = np.full((FPS * SECONDS, 96, 128, 3), 60, np.uint8)
    frames += (40 * (np.arange(len(frames)) // FPS)).astype(np.uint8)[
        :, None, None, None
    ]
    time = np.arange(SECONDS * 22050) / 22050
    tone = np.where((time >= 1) & (time < 2), 0.5 * np.sin(2 * np.pi * 440 * time), 0)
    encode.write_video(path, frames, FPS, tone.astype(np.float32), 22050)
    return path


def test_the_number_is_the_rounded_integral_of_the_rate():
    result = _result()
    times = np.linspace(0.05, 3, 60)
    done = np.where(times <= 1, 14 / 3 * times, 14 / 3 + 7 / 6 * (times - 1))
    counts = annotate.shown_counts(result, times)
    np.testing.assert_array_equal(counts, np.floor(done + 0.5))


def test_it_is_zero_before_and_whole_after():
    result = _result(start_s=10.0)
    counts = annotate.shown_counts(result, np.array([0.0, 10.0, 13.0, 99.0]))
    np.testing.assert_array_equal(counts, [0, 0, 7, 7])


def test_it_rises_half_way_through_a_cycle():
    result = with_sets(repetition_set(1.0, 2, 1.0), repetition_set(6.0, 1, 2.0))
    counts = annotate.shown_counts(result, np.array([1.4, 1.6, 2.6, 6.9, 7.1, 10.0]))
    np.testing.assert_array_equal(counts, [0, 1, 2, 2, 3, 3])


@pytest.mark.parametrize("missed", [-9e-4, 9e-4])
def test_a_rate_that_misses_the_count_a_little_changes_no_number(missed):
    """Just under a half and just above: the last number is the result's, none before is more."""
    result = dataclasses.replace(
        evenly(6.5 - missed / 2), rate=Rate.constant(0, 10, 6.5 + missed / 2)
    )
    counts = annotate.shown_counts(result, np.linspace(0.1, 10, 100))
    assert counts[-1] == counts.max() == result.rounded


@pytest.mark.parametrize("seed", range(5))
def test_it_never_falls(seed):
    rng = np.random.default_rng(seed)
    done = np.concatenate([[0.0], np.cumsum(rng.uniform(0, 2, 8))])
    rate = Rate.from_knots(np.sort(rng.uniform(0, 3, 9)), done)
    result = dataclasses.replace(evenly(float(done[-1]), 3.0), rate=rate)
    counts = annotate.shown_counts(result, np.linspace(0, 3, 200))
    assert (np.diff(counts) >= 0).all()
    assert counts[0] == 0
    assert counts[-1] == result.rounded


def test_nothing_counted_and_no_length():
    counts = annotate.shown_counts(evenly(0.0, 0.0), np.array([0.0, 1.0]))
    np.testing.assert_array_equal(counts, [0, 0])


def test_the_copy_has_the_pictures_size_length_and_sound(clip, tmp_path):
    path = tmp_path / "counted.mp4"
    annotate.annotate_video(_result(str(clip)), path)
    assert [p.name for p in tmp_path.iterdir()] == ["counted.mp4"]
    info = media.probe(path)
    assert (info.height, info.width, info.fps) == (96, 128, pytest.approx(FPS))
    video = media.read_video(path)
    assert len(video.frames) == FPS * SECONDS
    # Above the bar and beside the number the picture is as it was.
    levels = video.frames[:, 40:60, 90:].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, np.repeat([60, 100, 140], FPS), atol=5)
    heard = media.read_audio(path, rate=22050)
    loud = [
        np.abs(heard[22050 * s + 3000 : 22050 * (s + 1) - 3000]).mean()
        for s in range(3)
    ]
    assert loud[1] > 0.2
    assert max(loud[0], loud[2]) < 0.02


def test_progress_is_shown_when_asked_for(clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(annotate, "PROGRESS_DELAY_S", 0.0)
    annotate.annotate_video(_result(str(clip)), tmp_path / "a.mp4")
    assert capsys.readouterr().err == ""
    annotate.annotate_video(_result(str(clip)), tmp_path / "b.mp4", progress=True)
    assert "b.mp4" in capsys.readouterr().err


def test_numbers_and_bar_change_with_time(clip, tmp_path):
    path = tmp_path / "counted.mp4"
    annotate.annotate_video(_result(str(clip)), path)
    frames = media.read_video(path).frames.astype(int)
    plate = frames[:, 2:24, 2:30]
    assert (plate.max(axis=(1, 2, 3)) > 200).all()  # white digits
    assert (plate.min(axis=(1, 2, 3)) < 80).all()  # on a dark plate
    bar = frames[:, -1].mean(axis=-1)
    assert bar[0, -10:].mean() < 60 < bar[-1, -10:].mean()


def test_the_last_frame_shows_the_rounded_count(clip, tmp_path, monkeypatch):
    shown = []
    real = annotate._Overlay.draw
    monkeypatch.setattr(
        annotate._Overlay,
        "draw",
        lambda self, frame, count, share: (
            shown.append((count, share)) or real(self, frame, count, share)
        ),
    )
    for count in (7.0, 6.51, 6.49, 0.0):
        shown.clear()
        result = _result(str(clip), count=count)
        annotate.annotate_video(result, tmp_path / "counted.mp4")
        numbers = [n for n, _ in shown]
        assert numbers == sorted(numbers)
        assert shown[-1] == (result.rounded, 1.0)


def test_only_the_counted_part_is_copied(clip, tmp_path):
    path = tmp_path / "part.mp4"
    annotate.annotate_video(_result(str(clip), 1.0, start_s=1.0), path)
    video = media.read_video(path)
    assert len(video.frames) == FPS
    np.testing.assert_allclose(
        video.frames[:, 40:60, 90:].mean(axis=(1, 2, 3)), 100, atol=5
    )


def test_sound_longer_than_the_picture_holds_the_last_frame(tmp_path):
    frames = np.full((10, 32, 32, 3), 90, np.uint8)
    waveform = np.full(2 * 22050, 0.1, np.float32)
    encode.write_video(tmp_path / "a.mp4", frames, 10, waveform, 22050)
    annotate.annotate_video(_result(str(tmp_path / "a.mp4"), 2.0), tmp_path / "b.mp4")
    assert len(media.read_video(tmp_path / "b.mp4").frames) == 20


def test_variable_frame_rate_keeps_time(monkeypatch):
    """Frames at 0, 0.1, 0.2 and 1.0 s on a constant grid of 10 per second."""
    times = np.array([0.0, 0.1004, 0.1996, 1.0])
    frames = np.arange(4, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (4, 8, 8, 3), np.uint8
    )
    chunks = [
        media.FrameChunk(frames[:3], times[:3]),
        media.FrameChunk(frames[3:], times[3:]),
    ]
    monkeypatch.setattr(media, "stream_frames", lambda *a, **k: iter(chunks))
    parts = annotate._at_constant_rate(_result("x.mp4"), (8, 8), 10.0, 13)
    shown = np.concatenate(list(parts))[:, 0, 0, 0]
    assert shown.tolist() == [0, 1] + [2] * 8 + [3] * 3


def test_large_pictures_are_made_smaller():
    assert annotate._output_size(2160, 3840) == (720, 1280)
    assert annotate._output_size(1920, 1080) == (1280, 720)
    assert annotate._output_size(97, 131) == (97, 131)


@pytest.mark.parametrize("size", [(4, 4), (16, 200), (200, 16)])
@pytest.mark.parametrize("level", [0, 255])
def test_overlay_fits_any_frame(size, level):
    frame = np.full((*size, 3), level, np.uint8)
    annotate._Overlay(size, 4000.0, largest=12345).draw(frame, 12345, 0.5)
    assert frame.min() < frame.max()


def test_sound_alone_cannot_be_annotated(tmp_path):
    import wave

    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    with pytest.raises(media.MediaError, match="no picture to annotate"):
        annotate.annotate_video(
            _result(str(tmp_path / "tone.wav")), tmp_path / "out.mp4"
        )
    assert not (tmp_path / "out.mp4").exists()


def test_arrays_and_the_video_itself_are_refused(clip, tmp_path):
    with pytest.raises(ValueError, match="arrays"):
        annotate.annotate_video(_result(), tmp_path / "out.mp4")
    before = clip.read_bytes()
    with pytest.raises(ValueError, match="itself"):
        annotate.annotate_video(_result(str(clip)), clip)
    assert clip.read_bytes() == before


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(media.MediaError, match=r"gone\.mp4"):
        annotate.annotate_video(
            _result(str(tmp_path / "gone.mp4")), tmp_path / "out.mp4"
        )
