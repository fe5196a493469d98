"""What is written is what is read, and nothing is written half."""

import os

import av
import numpy as np
import pytest

from rac_jax import media
from rac_jax.media import encode
from tests import own_process
from tests.media.media_factory import coded_frames, read_codes, smooth_picture

RATE = 22050


def ticks(seconds: float) -> np.ndarray:
    """A short burst at 0.5 s, 1.5 s, ..."""
    t = np.arange(round(seconds * RATE)) / RATE
    burst = np.sin(2 * np.pi * 1500 * t) * (np.abs(t % 1 - 0.5) < 0.01)
    return (0.7 * burst).astype(np.float32)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("fps", [10, 25, 30000 / 1001, 12.5])
def test_round_trip(tmp_path, suffix, fps):
    path = tmp_path / f"clip{suffix}"
    encode.write_video(path, coded_frames(40), fps, ticks(40 / fps), RATE)
    assert os.listdir(tmp_path) == [path.name]
    info = media.probe(path)
    assert info.fps == pytest.approx(fps, rel=1e-3)
    assert (info.height, info.width, info.audio_rate) == (48, 64, RATE)
    video = media.read_video(path)
    assert read_codes(video.frames) == list(range(40))
    np.testing.assert_allclose(video.times_s, np.arange(40) / fps, atol=1.1e-3)
    heard = media.read_audio(path)
    assert len(heard) == pytest.approx(40 / fps * RATE, abs=1024)
    assert np.argmax(np.abs(heard) > 0.2) / RATE == pytest.approx(0.49, abs=0.003)


def test_colours(tmp_path):
    picture = smooth_picture(96, 128)
    with encode.VideoWriter(
        tmp_path / "clip.mp4", fps=25, size=(96, 128), crf=3
    ) as writer:
        writer.write(np.repeat(picture[None], 3, axis=0))
    difference = media.read_video(tmp_path / "clip.mp4").frames.astype(float) - picture
    assert np.abs(difference).mean() < 2
    assert (np.abs(difference.mean(axis=(0, 1, 2))) < 0.7).all()


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64), (1, 1), (31, 500)])
def test_odd_sizes_are_padded(tmp_path, size):
    height, width = size
    frames = np.repeat(smooth_picture(height, width)[None], 3, axis=0)
    encode.write_video(tmp_path / "odd.mp4", frames, 25)
    video = media.read_video(tmp_path / "odd.mp4")
    assert video.frames.shape == (3, height + height % 2, width + width % 2, 3)
    shown = video.frames[:, :height, :width].astype(float)
    assert np.abs(shown - frames).mean() < 8


def test_streams_in_any_order(tmp_path):
    frames, sound = coded_frames(75), ticks(3)
    for name, order in {"picture first": (0, 1), "sound first": (1, 0)}.items():
        path = tmp_path / f"{name}.mp4"
        with encode.VideoWriter(path, fps=25, size=(48, 64), audio_rate=RATE) as writer:
            for turn in order:
                if turn:
                    for first in range(0, len(sound), 777):
                        writer.write_audio(sound[first : first + 777])
                else:
                    writer.write(frames)
        assert read_codes(media.read_video(path).frames) == list(range(75))
        heard = media.read_audio(path)[: len(sound)]
        assert np.corrcoef(heard, sound[: len(heard)])[0, 1] > 0.95


def test_picture_and_sound_lie_side_by_side(tmp_path):
    path = tmp_path / "clip.mp4"
    encode.write_video(path, coded_frames(250), 25, ticks(10), RATE)
    with av.open(str(path)) as container:
        times = [
            (p.stream.type, float(p.dts * p.time_base))
            for p in container.demux()
            if p.size
        ]
    latest = {"video": 0.0, "audio": 0.0}
    for kind, time_s in times:
        latest[kind] = time_s
        assert abs(latest["video"] - latest["audio"]) < 2.0


def test_sound_shorter_longer_and_silent(tmp_path):
    for seconds in (1.0, 5.0):
        path = tmp_path / "clip.mp4"
        encode.write_video(path, coded_frames(50), 25, ticks(seconds), RATE)
        assert len(media.read_audio(path)) == pytest.approx(seconds * RATE, abs=1024)
    encode.write_video(path, coded_frames(50), 25)
    assert not media.probe(path).has_audio
    # A writer with a rate that is never given a sample still makes a readable file.
    with encode.VideoWriter(path, fps=25, size=(48, 64), audio_rate=RATE) as writer:
        writer.write(coded_frames(5))
    assert len(media.read_video(path).frames) == 5


def test_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_text("old")
    with (
        pytest.raises(KeyError),
        encode.VideoWriter(path, fps=25, size=(48, 64)) as writer,
    ):
        writer.write(coded_frames(30))
        raise KeyError("the maker of the frames fails")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_nothing_written_is_an_error(tmp_path):
    with (
        pytest.raises(ValueError, match=r"clip\.mp4: no frames were written"),
        encode.VideoWriter(tmp_path / "clip.mp4", fps=25, size=(48, 64)),
    ):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "options,message",
    [
        ({"fps": 0}, "fps: must be from 0.01 to 1000, not 0"),
        ({"fps": float("nan")}, "fps: must be"),
        ({"size": (0, 8)}, "size: must be at least 1 by 1, not 0 by 8"),
        ({"audio_rate": 12345}, "audio_rate: 12345 is not one of 7350, 8000"),
        ({"crf": 52}, "crf: must be from 0 to 51"),
        ({"path": "clip.txt"}, r"clip.txt: the suffix must be one of \.mp4"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        encode.VideoWriter(**{"path": "clip.mp4", "fps": 25, "size": (8, 8)} | options)


def test_bad_frames_and_samples(tmp_path):
    with (
        pytest.raises(ValueError, match=r"must be uint8 \[n, 8, 8, 3\], not float64"),
        encode.VideoWriter(tmp_path / "a.mp4", fps=25, size=(8, 8)) as writer,
    ):
        writer.write(np.zeros((1, 8, 8, 3)))
    with (
        pytest.raises(ValueError, match=r"samples: must be \[n\], not \[2, 5\]"),
        encode.VideoWriter(
            tmp_path / "a.mp4", fps=25, size=(8, 8), audio_rate=RATE
        ) as writer,
    ):
        writer.write_audio(np.zeros((2, 5)))
    with (
        pytest.raises(ValueError, match="opened without audio_rate"),
        encode.VideoWriter(tmp_path / "a.mp4", fps=25, size=(8, 8)) as writer,
    ):
        writer.write_audio(np.zeros(5))
    with pytest.raises(ValueError, match="needed with a waveform"):
        encode.write_video(tmp_path / "a.mp4", coded_frames(2), 25, np.zeros(5))
    with pytest.raises(ValueError, match=r"must be \[T, H, W, 3\]"):
        encode.write_video(tmp_path / "a.mp4", coded_frames(2)[0], 25)
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    for path in (tmp_path / "gone" / "a.mp4", tmp_path / "folder.mp4"):
        if path.parent == tmp_path:
            path.mkdir()
        with pytest.raises(OSError, match="folder"):
            encode.write_video(path, coded_frames(2), 25)


MEMORY = """
import resource, sys
import numpy as np
from rac_jax.media import encode
frames = np.random.default_rng(0).integers(0, 60, (8, 360, 640, 3), np.uint8)
def write(chunks):
    with encode.VideoWriter(sys.argv[1], fps=25, size=(360, 640), audio_rate=22050, crf=40) as writer:
        for _ in range(chunks):
            writer.write(frames)
            writer.write_audio(np.zeros(7056, np.float32))
write(10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write(40)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_length(tmp_path):
    grown = own_process.output(MEMORY, tmp_path / "long.mp4")
    assert int(grown) < 60_000  # KiB; the frames are 220 MB
