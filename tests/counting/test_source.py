"""Files and arrays arrive as a family needs them: layout, colours, rate, sound beside frames."""

import numpy as np
import pytest

from rac_jax import media
from rac_jax.counting.needs import FrameNeeds, Needs, SoundNeeds
from rac_jax.counting.source import ArraySource, FileSource
from rac_jax.media import encode
from tests.media.media_factory import (
    coded_frames,
    make_wav,
    read_codes,
    smooth_picture,
)

RATE = 8000
FPS = 25.0


def array(frames=None, *, sound=None, fps=FPS, waveform=None, rate=None, **needs):
    wanted = Needs(FrameNeeds(**needs), None if sound is None else SoundNeeds(sound))
    return ArraySource(frames, wanted, fps=fps, waveform=waveform, audio_rate=rate)


def whole(source):
    """(frames, times, samples) of all chunks."""
    chunks = list(source.chunks())
    frames = [chunk.frames for chunk in chunks if len(chunk.frames)]
    return (
        np.concatenate(frames) if frames else None,
        np.concatenate([chunk.times_s for chunk in chunks]),
        np.concatenate([chunk.samples for chunk in chunks]),
    )


def picture(height, width):
    return np.stack([smooth_picture(height, width)] * 3)  # [3, H, W, 3]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Four seconds whose frames carry their number, with a rising tone."""
    path = tmp_path_factory.mktemp("source") / "film.mp4"
    encode.write_video(path, coded_frames(100, 48, 80), FPS, tone(4.0, 22050), 22050)
    return path


def tone(seconds, rate):
    t = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (300 * t + 100 * t**2))).astype(np.float32)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(48, 80, (24, 40)), (80, 48, (40, 24)), (24, 24, (24, 24)), (10, 31, (24, 74))],
)
def test_the_short_side_keeps_the_aspect(height, width, expected):
    frames, _, _ = whole(array(picture(height, width), short_side=24))
    assert frames.shape == (3, *expected, 3)
    # In the middle of the picture, where edges do not matter, the colours are the same.
    small = frames[0, expected[0] // 2, expected[1] // 2].astype(int)
    large = picture(height, width)[0, height // 2, width // 2].astype(int)
    assert np.abs(small - large).max() <= 8


def test_frames_of_no_size_stay_as_they_are():
    frames, times, samples = whole(array(picture(10, 14)))
    np.testing.assert_array_equal(frames, picture(10, 14))
    np.testing.assert_allclose(times, [0, 0.04, 0.08])
    assert samples.shape == (0,) and samples.dtype == np.float32


def test_stretching_does_not_keep_the_aspect():
    source = picture(40, 60)
    frames, _, _ = whole(array(source, size=(20, 20)))
    np.testing.assert_array_equal(frames, media.resize_frames(source, (20, 20)))


@pytest.mark.parametrize("interpolation", ["area", "bilinear"])
def test_the_interpolation_is_the_wanted_one(interpolation):
    rng = np.random.default_rng(0)
    source = rng.integers(0, 256, (2, 31, 47, 3), np.uint8)
    frames, _, _ = whole(array(source, size=(8, 8), interpolation=interpolation))
    expected = media.resize_frames(source, (8, 8), interpolation)
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("upright", [False, True])
def test_cropping_takes_the_middle(upright):
    # Three bands along the longer side: the middle one is what is left.
    bands = np.repeat(np.array([10, 120, 240], np.uint8), 20)
    source = np.broadcast_to(bands[None, None, :, None], (2, 20, 60, 3))
    source = source.swapaxes(1, 2) if upright else source
    frames, _, _ = whole(array(source, size=(10, 10), aspect="crop"))
    assert frames.shape == (2, 10, 10, 3) and (frames == 120).all()


@pytest.mark.parametrize("upright", [False, True])
def test_padding_is_black_on_both_sides(upright):
    source = np.full((2, 20, 60, 3), 200, np.uint8)
    source = source.swapaxes(1, 2) if upright else source
    frames, _, _ = whole(array(source, size=(30, 30), aspect="pad"))
    frames = frames.swapaxes(1, 2) if upright else frames
    assert frames.shape == (2, 30, 30, 3)
    assert (frames[:, 10:20] == 200).all()
    assert not frames[:, :10].any() and not frames[:, 20:].any()


@pytest.mark.parametrize("aspect", ["crop", "pad"])
@pytest.mark.parametrize("shape", [(7, 13), (13, 7), (31, 30), (1, 50), (9, 9)])
def test_odd_shapes_are_brought_to_size(aspect, shape):
    source = np.full((2, *shape, 3), 200, np.uint8)
    frames, _, _ = whole(array(source, size=(8, 11), aspect=aspect))
    assert frames.shape == (2, 8, 11, 3)
    # All that is shown is the picture, and something is.
    assert set(np.unique(frames)) <= ({200} if aspect == "crop" else {0, 200})
    assert (frames == 200).any()


def test_colours():
    source = picture(8, 12)
    bgr, _, _ = whole(array(source, colour="bgr"))
    np.testing.assert_array_equal(bgr, source[..., ::-1])
    assert bgr.flags.c_contiguous
    grey, _, _ = whole(array(source, colour="grey"))
    assert grey.shape == (3, 8, 12, 1) and grey.dtype == np.uint8
    luma = source @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[..., 0] - luma).max() <= 0.51


@pytest.mark.parametrize(
    ("fps", "most", "every"),
    [
        (25.0, 25.0, 1),
        (25.0, 30.0, 1),
        (25.0, 12.5, 2),
        (25.0, 12.0, 3),
        (30.0, 10.0, 3),
        (30.02, 30.0, 1),
        (240.0, 6.0, 40),
    ],
)
def test_fast_pictures_are_thinned_over_the_borders_of_chunks(fps, most, every):
    source = array(coded_frames(100, 8, 32), fps=fps, most_fps=most)
    frames, times, _ = whole(source)
    numbers = np.arange(0, 100, every)
    assert read_codes(frames) == numbers.tolist()
    np.testing.assert_allclose(times, numbers / fps)
    assert source.fps == pytest.approx(fps / every)
    assert source.frames_expected == len(numbers)


def test_files_are_thinned_as_arrays_are(film):
    source = FileSource(film, Needs(FrameNeeds(most_fps=9.0), None))
    frames, times, samples = whole(source)
    numbers = np.arange(0, 100, 3)
    assert read_codes(frames) == numbers.tolist() and not len(samples)
    np.testing.assert_allclose(times, numbers / FPS, atol=1e-6)
    assert source.fps == pytest.approx(FPS / 3) and source.frames_expected == 33


def test_a_file_is_laid_out_as_an_array_is(film):
    needs = FrameNeeds(size=(24, 24), aspect="crop", colour="grey")
    frames, _, _ = whole(FileSource(film, Needs(needs, None)))
    assert frames.shape == (100, 24, 24, 1)
    needs = Needs(FrameNeeds(short_side=24), None)
    frames, _, _ = whole(FileSource(film, needs))
    assert frames.shape == (100, 24, 40, 3)
    assert read_codes(frames) == list(range(100))


def interleaved(source, start_s=0.0):
    """Checks that samples follow the frames' time, and returns all of them."""
    heard, parts = 0, []
    for chunk in source.chunks():
        heard += len(chunk.samples)
        parts.append(chunk.samples)
        if len(chunk.times_s):
            seen_s = chunk.times_s[-1] - start_s
            assert seen_s * RATE <= heard <= (seen_s + 1.5) * RATE
    return np.concatenate(parts)


def test_sound_comes_with_the_frames_it_is_heard_with(film):
    needs = Needs(FrameNeeds(size=(8, 8)), SoundNeeds(RATE))
    samples = interleaved(FileSource(film, needs))
    np.testing.assert_array_equal(samples, media.read_audio(film, rate=RATE))
    part = FileSource(film, needs, start_s=1.0, end_s=3.0)
    assert len(interleaved(part, 1.0)) == 2 * RATE
    waveform = tone(4.0, RATE)
    source = array(
        coded_frames(100), sound=RATE, size=(8, 8), waveform=waveform, rate=RATE
    )
    np.testing.assert_array_equal(interleaved(source), waveform)


def test_a_part_has_times_of_the_file(film):
    needs = Needs(FrameNeeds(), SoundNeeds(RATE))
    source = FileSource(film, needs, start_s=1.0, end_s=3.0)
    frames, times, _ = whole(source)
    assert read_codes(frames) == list(range(25, 75))
    np.testing.assert_allclose(times, np.arange(25, 75) / FPS, atol=1e-6)
    assert (source.start_s, source.frames_expected) == (1.0, 50)


def test_a_source_can_be_read_again(film):
    needs = Needs(FrameNeeds(size=(8, 8)), SoundNeeds(RATE))
    source = FileSource(film, needs)
    source.begin()
    first, second = whole(source), whole(source)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    source = array(coded_frames(70), sound=RATE, waveform=tone(1.0, 16000), rate=16000)
    for one, other in zip(whole(source), whole(source), strict=True):
        np.testing.assert_array_equal(one, other)


def test_sound_that_goes_on_after_the_picture():
    waveform = tone(4.0, RATE)
    source = array(coded_frames(10), sound=RATE, waveform=waveform, rate=RATE)
    chunks = list(source.chunks())
    assert [len(chunk.times_s) for chunk in chunks] == [10, 0, 0, 0]
    assert chunks[-1].frames.shape[0] == 0
    np.testing.assert_array_equal(whole(source)[2], waveform)


def test_sound_that_ends_before_the_picture():
    waveform = tone(0.3, RATE)
    source = array(coded_frames(100), sound=RATE, waveform=waveform, rate=RATE)
    frames, _, samples = whole(source)
    assert len(frames) == 100
    np.testing.assert_array_equal(samples, waveform)


def test_sound_alone():
    waveform = tone(2.5, RATE)
    source = array(None, sound=RATE, waveform=waveform, rate=RATE)
    assert (source.has_picture, source.has_sound, source.fps) == (False, True, 0.0)
    frames, times, samples = whole(source)
    assert frames is None and not len(times)
    np.testing.assert_array_equal(samples, waveform)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_arrays_are_resampled_and_their_channels_averaged(rate):
    left, right = tone(2.0, rate), tone(2.0, rate)[::-1]
    stereo = np.stack([left, right], axis=1)  # [S, 2]
    _, _, samples = whole(array(None, sound=RATE, waveform=stereo, rate=rate))
    expected = media.resample((left + right) / 2, rate, RATE)
    assert len(samples) == 2 * RATE
    np.testing.assert_allclose(samples, expected, atol=1e-6)


def test_the_sound_beside_a_silent_file(tmp_path):
    path = tmp_path / "mute.mp4"
    encode.write_video(path, coded_frames(50), FPS)
    needs = Needs(FrameNeeds(size=(8, 8)), SoundNeeds(RATE))
    assert not FileSource(path, needs).has_sound
    make_wav(tmp_path / "mute.wav", tone(2.0, RATE), RATE)
    source = FileSource(path, needs)
    assert source.has_sound
    np.testing.assert_allclose(whole(source)[2], tone(2.0, RATE), atol=1e-4)


def test_what_is_not_needed_is_not_given(film):
    sight = FileSource(film, Needs(FrameNeeds(size=(8, 8)), None))
    assert (sight.has_picture, sight.has_sound) == (True, False)
    assert not len(whole(sight)[2])
    sound = FileSource(film, Needs(None, SoundNeeds(RATE)))
    assert (sound.has_picture, sound.has_sound, sound.fps) == (False, True, 0.0)
    assert sound.frames_expected is None
    frames, _, samples = whole(sound)
    assert frames is None and len(samples) == pytest.approx(4 * RATE, abs=RATE / 10)
    needs = Needs(None, SoundNeeds(RATE))
    deaf = ArraySource(coded_frames(3), needs, fps=None, waveform=None, audio_rate=None)
    assert (deaf.has_picture, deaf.has_sound) == (False, False)
    assert list(deaf.chunks()) == []


def test_arrays_without_a_rate_have_25_frames_per_second():
    assert array(coded_frames(3), fps=None).fps == 25.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 0}, "fps: must be frames per second, above 0 and at most 480, not 0"),
        (
            {"fps": float("nan")},
            "fps: must be frames per second, above 0 and at most 480, not nan",
        ),
        (
            {"fps": float("inf")},
            "fps: must be frames per second, above 0 and at most 480, not inf",
        ),
        (
            {"frames": np.zeros((3, 8, 8, 3), np.float32)},
            r"frames: must be uint8 \[T, H, W, 3\], not float32 \[3, 8, 8, 3\]",
        ),
        ({"frames": np.zeros((8, 8, 3), np.uint8)}, r"not uint8 \[8, 8, 3\]"),
        ({"frames": np.zeros((3, 8, 8, 1), np.uint8)}, r"not uint8 \[3, 8, 8, 1\]"),
        ({"rate": None}, "audio_rate: must be the waveform's .*, not None"),
        ({"rate": 0}, "audio_rate: must be the waveform's .*, not 0"),
        ({"rate": 8000.5}, "audio_rate: must be the waveform's .*, not 8000.5"),
        ({"rate": "8000"}, "audio_rate: must be the waveform's .*, not 8000"),
        ({"rate": float("nan")}, "audio_rate: must be the waveform's .*, not nan"),
        ({"rate": float("inf")}, "audio_rate: must be the waveform's .*, not inf"),
        (
            {"waveform": np.zeros(9, np.uint8)},
            r"waveform: must be float, int16 or int32 \[S\] or .*, not uint8 \[9\]",
        ),
        ({"waveform": np.zeros((9, 2, 2))}, r"not float64 \[9, 2, 2\]"),
        ({"waveform": np.zeros((9, 0))}, r"not float64 \[9, 0\]"),
    ],
)
def test_wrong_arrays_are_named(changes, message):
    known = {"frames": coded_frames(3), "waveform": np.zeros(9), "rate": RATE}
    with pytest.raises(ValueError, match=message):
        array(sound=RATE, **known | changes)


def test_files_that_cannot_be_read_are_named(tmp_path):
    needs = Needs(FrameNeeds(), None)
    with pytest.raises(media.MediaError, match="none.mp4"):
        FileSource(tmp_path / "none.mp4", needs)
    (tmp_path / "text.mp4").write_text("nothing to see")
    with pytest.raises(media.MediaError, match="text.mp4"):
        FileSource(tmp_path / "text.mp4", needs)


def test_lists_of_pictures_and_whole_numbers_of_samples():
    needs = Needs(FrameNeeds(), SoundNeeds(rate=RATE))
    frames = coded_frames(5)
    loud = np.full(RATE, 16384, np.int16)
    for pictures, waveform in (
        (list(frames), loud),
        (tuple(frames), np.stack([loud, loud])),
        (frames, np.stack([loud, loud], axis=1)),
        (frames, loud.astype(np.int32) << 16),
    ):
        source = ArraySource(
            pictures, needs, fps=None, waveform=waveform, audio_rate=RATE
        )
        chunks = list(source.chunks())
        assert sum(len(chunk.frames) for chunk in chunks) == 5
        samples = np.concatenate([chunk.samples for chunk in chunks])
        assert samples.shape == (RATE,) and samples == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": [np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)]}, "size"),
        ({"frames": np.zeros((3, 8, 0, 3), np.uint8)}, "hold no pixel"),
        ({"waveform": np.array([0.0, np.nan])}, "not finite"),
    ],
)  # fmt: skip
def test_arrays_that_hold_nothing_to_count(changes, message):
    known = {"frames": coded_frames(3), "waveform": np.zeros(9)} | changes
    needs = Needs(FrameNeeds(), SoundNeeds(rate=RATE))
    with pytest.raises(ValueError, match=message):
        ArraySource(
            known["frames"], needs, fps=25, waveform=known["waveform"], audio_rate=RATE
        )
