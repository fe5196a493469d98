"""Counting files and arrays with a tiny model: both protocols, and what each costs."""

import itertools
import logging

import numpy as np
import pytest

import rac_jax
from rac_jax.counting.source import FileSource, frame_layout
from rac_jax.media import MediaError
from rac_jax.models.sight_sound.network import fuse
from tests.conftest import knocks, moving_square


@pytest.fixture(scope="module")
def counter(tiny_model):
    return rac_jax.load(tiny_model, batch_sizes=(4, 1))


@pytest.fixture(scope="module")
def result(counter, clip):
    return counter.count(clip)


def test_result_adds_up(result, clip):
    assert result.file == str(clip)
    assert result.duration_s == pytest.approx(4.0, abs=0.1)
    assert result.sight.count == pytest.approx(
        sum(w.count for w in result.sight.windows)
    )
    assert result.sound.count == pytest.approx(
        sum(w.count for w in result.sound.windows)
    )
    assert 0 <= result.reliability <= 1
    expected = result.sight.count * (1 - result.reliability) + result.sound.count * (
        result.reliability
    )
    assert result.count == pytest.approx(expected, rel=1e-5)
    assert set(result.sight.stride_scores) == {1, 2, 3, 4, 5}
    assert result.sight.stride == max(
        result.sight.stride_scores, key=result.sight.stride_scores.get
    )
    assert (result.model, result.protocol) == ("tiny", "paper")


def test_windows_tile_the_video(result):
    for windows in (result.sight.windows, result.sound.windows):
        assert windows[0].start_s == 0
        for before, after in itertools.pairwise(windows):
            assert before.end_s == pytest.approx(after.start_s)
    assert result.sight.windows[-1].end_s == pytest.approx(4.0, abs=0.05)


def test_array_and_file_agree(counter, clip, result):
    """The same numbers from arrays as from the file, up to its lossy compression."""
    from rac_jax import media

    video = media.read_video(clip, size=(32, 32))
    waveform = media.read_audio(clip)
    again = counter.count(video.frames, fps=25, waveform=waveform, audio_rate=22050)
    assert again.sight.stride == result.sight.stride
    assert again.sight.count == pytest.approx(result.sight.count, rel=1e-4)
    assert again.sound.count == pytest.approx(result.sound.count, rel=1e-4)
    assert again.reliability == pytest.approx(result.reliability, abs=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 200])
@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_any_length(counter, frames, protocol):
    waveform = knocks(frames / 25)
    result = counter.count(
        moving_square(frames),
        fps=25,
        waveform=waveform,
        audio_rate=22050,
        protocol=protocol,
    )
    assert np.isfinite(result.count)
    assert result.duration_s == pytest.approx(frames / 25, abs=0.05)


@pytest.mark.parametrize("protocol", ["paper", "released"])
@pytest.mark.parametrize("seconds", [0.3, 2.0, 9.0])
def test_sound_shorter_or_longer_than_the_picture(counter, protocol, seconds):
    result = counter.count(
        moving_square(100),
        fps=25,
        waveform=knocks(seconds),
        audio_rate=22050,
        protocol=protocol,
    )
    assert result.sound.windows[-1].end_s == pytest.approx(seconds, abs=0.05)
    assert result.sight.windows[-1].end_s == pytest.approx(4.0, abs=0.05)
    assert result.duration_s == pytest.approx(max(4.0, seconds), abs=0.05)


@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_one_stream_alone(counter, clip, silent_clip, protocol):
    silent = counter.count(silent_clip, protocol=protocol)
    assert silent.sound is None
    assert silent.reliability is None
    assert silent.count == silent.sight.count
    deaf = counter.count(clip, sound=False, protocol=protocol)
    assert deaf.sound is None
    blind = counter.count(clip, sight=False, protocol=protocol)
    assert blind.sight is None
    assert blind.count == blind.sound.count
    both = counter.count(clip, protocol=protocol)
    assert blind.sound.count == pytest.approx(both.sound.count, rel=1e-5)


def test_given_stride_is_used(counter, clip):
    result = counter.count(clip, stride=7)
    assert result.sight.stride == 7
    assert result.sight.stride_scores == {}
    assert counter.count(clip, max_stride=2).sight.stride_scores.keys() == {1, 2}


def test_a_part_of_a_file(counter, clip):
    part = counter.count(clip, start_s=1.0, end_s=3.0)
    assert part.duration_s == pytest.approx(2.0, abs=0.05)
    assert part.start_s == 1.0


@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_a_file_that_is_being_read_already(counter, clip, protocol):
    layout = frame_layout(counter.config, protocol)
    part = {"start_s": 1.0, "end_s": 3.0}
    source = FileSource(clip, **part, **layout)
    source.begin()
    begun = counter.count(source, protocol=protocol)
    assert begun.start_s == 1.0
    plain = counter.count(clip, protocol=protocol, **part)
    assert begun.to_dict() | {"seconds": 0} == plain.to_dict() | {"seconds": 0}
    # Read a second time from its start.
    again = counter.count(source, protocol=protocol, **part)
    assert again.count == plain.count
    with pytest.raises(ValueError, match="an open file has its own"):
        counter.count(source, protocol=protocol, end_s=2.0)
    with pytest.raises(ValueError, match="are for arrays"):
        counter.count(source, protocol=protocol, fps=25.0)


def test_a_file_for_another_model(counter, clip):
    source = FileSource(clip, size=counter.networks.size + 1)
    with pytest.raises(ValueError, match=r"clip\.mp4: was opened for another model"):
        counter.count(source)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"stride": 0}, "stride: must be at least 1, not 0"),
        ({"max_stride": 0}, "max_stride: must be at least 1, not 0"),
        ({"protocol": "mine"}, "protocol: 'mine' is not one of paper, released"),
        ({"sight": False, "sound": False}, "at least one of them is needed"),
        ({"start_s": -1.0}, "start_s: must be at least 0"),
        ({"start_s": 2.0, "end_s": 1.0}, "end_s: must be after start_s"),
        ({"fps": 25.0}, "are for arrays"),
    ],
)
def test_bad_arguments(counter, clip, options, message):
    with pytest.raises(ValueError, match=message):
        counter.count(clip, **options)


def test_bad_arrays(counter):
    with pytest.raises(
        ValueError, match=r"must be uint8 \[T, H, W, 3\], not float32 \[3, 8, 8\]"
    ):
        counter.count(np.zeros((3, 8, 8), np.float32))
    with pytest.raises(ValueError, match="must have 22050 Hz, not 8000"):
        counter.count(None, waveform=np.zeros(100, np.float32), audio_rate=8000)
    with pytest.raises(MediaError, match="<array>: has no picture and no sound"):
        counter.count(None)


def test_nothing_to_count_by(counter, silent_clip):
    with pytest.raises(MediaError, match=r"silent\.mp4: has no sound to count by"):
        counter.count(silent_clip, sight=False)


def test_windows_of_hours_are_not_kept(counter):
    """Frames come as a stream: a source that never ends up in one array is counted alike."""
    chunked = counter.count(moving_square(700), fps=25)
    assert len(chunked.sight.windows) == -(-700 // (64 * chunked.sight.stride))


@pytest.mark.parametrize(
    "frames,clips,calls,options",
    [
        # Strides 1 to 5 cut 100 frames into 2 + 1 + 1 + 1 + 1 clips.
        (100, 6, 3, {}),
        # One frame is the same clip at every stride.
        (1, 1, 1, {}),
        # 6 + 3 + 2 + 2 + 2 clips; those of strides 1 and 5 that hold frame 320 alone are one.
        (321, 14, 5, {}),
        # One full window, one padded, and the extra one at stride 4.
        (200, 3, 3, {"protocol": "released", "stride": 2}),
        # Five first clips, of which the second starts both windows; the extra one is the
        # first clip of stride 4, so that only the padded window is new.
        (200, 6, 3, {"protocol": "released", "max_stride": 5, "prefer": 2}),
    ],
)
def test_clips_and_encoder_calls(
    counter, caplog, monkeypatch, frames, clips, calls, options
):
    options = dict(options)
    prefer = options.pop("prefer", None)
    if prefer is not None:
        scores = -np.abs(np.arange(1, 6) - prefer)
        monkeypatch.setattr(counter.networks, "score", lambda sight, sound: scores)
    with caplog.at_level(logging.DEBUG, logger="rac_jax"):
        counter.count(moving_square(frames), fps=25, **options)
    assert f"sight: {clips} clips in {calls} encoder calls" in caplog.text


def test_no_recompilation_from_file_to_file(counter, clip):
    counter.count(clip)
    sizes = len(counter.networks._sight.programs), len(counter.networks._sound.programs)
    counter.count(moving_square(333), fps=30, waveform=knocks(11), audio_rate=22050)
    assert (
        len(counter.networks._sight.programs),
        len(counter.networks._sound.programs),
    ) == sizes
    assert sizes[0] <= 2
    assert sizes[1] <= 2


def test_fusion_is_equation_10():
    assert float(fuse(4.0, 8.0, 0.25)) == pytest.approx(4 * 0.75 + 8 * 0.25)


def test_digital_silence_counts_as_no_sound(counter):
    silence = {"waveform": np.zeros(44100, np.float32), "audio_rate": 22050}
    result = counter.count(moving_square(50), fps=25, **silence)
    assert result.sound is None
    assert result.count == counter.count(moving_square(50), fps=25).count
    assert counter.count(None, **silence).count == 0
    released = counter.count(moving_square(50), fps=25, protocol="released", **silence)
    assert np.isfinite(released.sound.count)  # the release counts it all the same
