"""Frames and their times, from files with all kinds of oddities."""

import logging
from fractions import Fraction

import av
import numpy as np
import pytest

from rac_jax import media
from rac_jax.media.pixels import resize_frames
from tests import own_process
from tests.media.media_factory import (
    GOP,
    coded_frames,
    copy_packets,
    make_video,
    read_codes,
    real_clips,
    smooth_picture,
)


def brute_force_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel bilinear resize of [H, W, 3], pixel by pixel in float64."""
    rows, columns = image.shape[:2]
    result = np.empty((height, width, 3))
    for i in range(height):
        y = min(max((i + 0.5) * rows / height - 0.5, 0), rows - 1)
        for j in range(width):
            x = min(max((j + 0.5) * columns / width - 0.5, 0), columns - 1)
            t, left = int(y), int(x)
            b, right = min(t + 1, rows - 1), min(left + 1, columns - 1)
            f, g = y - t, x - left
            result[i, j] = (1 - f) * (
                (1 - g) * image[t, left] + g * image[t, right]
            ) + f * ((1 - g) * image[b, left] + g * image[b, right])
    return result


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """100 frames at 25 frames per second, keyframes 12 apart, with B-frames."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return make_video(path, coded_frames(100))


@pytest.mark.parametrize("chunk", [1, 7, 32, 100, 101])
def test_all_frames_in_order(film, chunk):
    chunks = list(media.stream_frames(film, chunk=chunk))
    assert [len(c.frames) for c in chunks[:-1]] == [chunk] * (len(chunks) - 1)
    assert read_codes(np.concatenate([c.frames for c in chunks])) == list(range(100))
    times = np.concatenate([c.times_s for c in chunks])
    np.testing.assert_allclose(times, np.arange(100) / 25, atol=1e-9)
    assert chunks[0].frames.dtype == np.uint8


def test_chunks_do_not_share_memory(film):
    first, second = list(media.stream_frames(film, chunk=50))
    assert read_codes(first.frames) == list(range(50))
    assert read_codes(second.frames) == list(range(50, 100))


def test_keyframes_alone(film, caplog):
    chunks = list(media.stream_frames(film, keyframes=True))
    times = np.concatenate([chunk.times_s for chunk in chunks])
    codes = [code for chunk in chunks for code in read_codes(chunk.frames)]
    with av.open(str(film)) as container:
        packets = [p for p in container.demux(video=0) if p.is_keyframe and p.size]
        wanted = sorted(round(25 * p.pts * p.time_base) for p in packets)
    assert codes == wanted
    assert 2 < len(codes) < 20
    np.testing.assert_allclose(times, np.array(codes) / 25, atol=1e-6)
    # That the last of them is not the film's last frame is no fault.
    assert not caplog.records


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_variable_frame_rate(tmp_path, suffix):
    pts = np.cumsum(np.random.default_rng(0).integers(5, 90, 60)).tolist()
    path = make_video(
        tmp_path / f"vfr{suffix}",
        coded_frames(60),
        pts=pts,
        time_base=Fraction(1, 1000),
    )
    video = media.read_video(path)
    assert read_codes(video.frames) == list(range(60))
    np.testing.assert_allclose(
        video.times_s, (np.array(pts) - pts[0]) / 1000, atol=5e-4
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".h264"])
def test_cuts_are_exact(tmp_path, suffix):
    """Every cut equals the same cut out of a full decode, over keyframes and B-frames."""
    path = make_video(
        tmp_path / f"cut{suffix}",
        coded_frames(150),
        options={"bf": "0"}
        if suffix == ".avi"
        else {"bf": "3", "x264-params": "open-gop=1"},
    )
    full = media.read_video(path, size=(16, 64))
    assert read_codes(full.frames) == list(range(150))
    times = full.times_s
    spans = [(times[k], times[k + 3]) for k in range(0, 147, 9)]
    spans += [(1.99, 2.05), (3.0, None), (5.99, 99.0), (0.0, times[1]), (2.0, 2.0)]
    for start_s, end_s in spans:
        part = media.read_video(path, size=(16, 64), start_s=start_s, end_s=end_s)
        inside = (times >= start_s) & (times < (np.inf if end_s is None else end_s))
        assert read_codes(part.frames) == np.flatnonzero(inside).tolist()
        np.testing.assert_array_equal(part.times_s, times[inside])


def test_start_after_the_end(film):
    part = media.read_video(film, start_s=50)
    assert part.frames.shape == (0, 48, 64, 3)
    assert list(media.stream_frames(film, size=(8, 8), start_s=50)) == []


def test_clock_begins_with_the_first_frame(tmp_path):
    path = make_video(
        tmp_path / "late.mkv", coded_frames(40), pts=list(range(500, 540))
    )
    np.testing.assert_allclose(
        media.read_video(path).times_s, np.arange(40) / 25, atol=1e-3
    )
    part = media.read_video(path, start_s=1.19, end_s=1.39)
    assert read_codes(part.frames) == [30, 31, 32, 33, 34]


@pytest.mark.parametrize("first", [1, 5, 17, 30])
def test_edit_list(tmp_path, film, first):
    """A file cut without re-encoding keeps frames before the cut, which are not shown."""

    def shift(packet):
        ticks = round(first / 25 / packet.time_base)
        packet.pts -= ticks
        packet.dts -= ticks

    path = copy_packets(film, tmp_path / "edited.mp4", shift)
    video = media.read_video(path)
    assert read_codes(video.frames) == list(range(first, 100))
    np.testing.assert_allclose(video.times_s, np.arange(100 - first) / 25, atol=1e-4)
    times = video.times_s
    for k in (0, 3, 29, 40, 60):
        part = media.read_video(path, start_s=times[k], end_s=times[k + 2])
        assert read_codes(part.frames) == [first + k, first + k + 1]


@pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("interpolation", ["area", "bilinear"])
def test_rotation(tmp_path, degrees, mirror, interpolation):
    stored = smooth_picture(48, 80)
    shown = np.rot90(stored, degrees // 90)
    if mirror[0]:
        shown = shown[:, ::-1]
    if mirror[1]:
        shown = shown[::-1]
    path = make_video(
        tmp_path / "turned.mp4",
        np.repeat(stored[None], 3, axis=0),
        rotation=(degrees, *mirror),
    )
    info = media.probe(path)
    assert (info.height, info.width) == shown.shape[:2]
    video = media.read_video(path, interpolation=interpolation)
    assert video.frames.shape == (3, *shown.shape)
    assert np.abs(video.frames.astype(int) - shown).mean() < 4
    small = media.read_video(path, size=(20, 10), interpolation=interpolation)
    expected = resize_frames(shown[None], (20, 10))
    assert np.abs(small.frames.astype(int) - expected).mean() < 4


def test_real_phone_video_stands_upright():
    path = real_clips() / "hoh_bounce.mp4"
    if not path.is_file():
        pytest.skip(f"needs the real clip {path.name}, set RAC_REAL_CLIPS")
    info = media.probe(path)
    assert (info.height, info.width) == (848, 480)
    frame = media.read_video(path, end_s=0.01).frames[0]
    # The sky is above.
    assert frame[:100, :, 2].mean() > frame[-100:, :, 2].mean() + 30


def test_every_real_clip():
    clips = sorted(real_clips().glob("*.mp4"))
    if not clips:
        pytest.skip("needs real clips, set RAC_REAL_CLIPS")
    for path in clips[::6]:
        info = media.probe(path)
        times = np.concatenate(
            [c.times_s for c in media.stream_frames(path, size=(8, 8))]
        )
        assert times[0] == 0
        assert (np.diff(times) > 0).all()
        assert times[-1] == pytest.approx(info.duration_s, abs=0.3)
        assert len(times) == info.frames


FORMATS = {
    "odd sizes": {"codec": "ffv1", "pix_fmt": "yuv420p", "shape": (37, 61), "suffix": ".mkv"},
    "odd sizes, h264": {"pix_fmt": "yuv444p", "shape": (37, 61)},
    "10 bits": {"pix_fmt": "yuv420p10le"},
    "10 bits, 4:2:2": {"pix_fmt": "yuv422p10le"},
    "grey": {"pix_fmt": "gray", "grey": True, "full_range": True},
    "grey, 10 bits": {"pix_fmt": "gray10le", "grey": True, "full_range": True},
    "grey, 16 bits": {"codec": "ffv1", "pix_fmt": "gray16le", "grey": True, "suffix": ".mkv"},
    "rgb": {"codec": "ffv1", "pix_fmt": "bgr0", "suffix": ".mkv"},
    "full range": {"full_range": True},
    "mpeg-4": {"codec": "mpeg4", "suffix": ".avi", "options": {"qscale": "1", "flags": "+qscale"}},
    "mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True, "suffix": ".avi"},
    "vp9": {"codec": "libvpx-vp9", "suffix": ".webm", "options": {"crf": "10", "b": "0"}},
    "interlaced": {"options": {"flags": "+ildct+ilme", "x264-params": "tff=1"}},
}  # fmt: skip


@pytest.mark.parametrize("interpolation", ["area", "bilinear"])
@pytest.mark.parametrize("name", FORMATS)
def test_pixel_formats(tmp_path, name, interpolation):
    settings = dict(FORMATS[name])
    height, width = settings.pop("shape", (48, 64))
    picture = smooth_picture(height, width)
    if settings.pop("grey", False):
        picture[:] = picture[..., 1:2]
    path = tmp_path / f"clip{settings.pop('suffix', '.mp4')}"
    make_video(path, np.repeat(picture[None], 4, axis=0), **settings)
    video = media.read_video(path, interpolation=interpolation)
    assert video.frames.shape == (4, height, width, 3)
    assert np.abs(video.frames.astype(float) - picture).mean() < 5
    small = media.read_video(path, size=(11, 13), interpolation=interpolation)
    expected = resize_frames(picture[None], (11, 13), interpolation)
    assert np.abs(small.frames.astype(float) - expected).mean() < 5


@pytest.mark.parametrize("size", [(112, 112), (30, 41), (7, 3), (200, 90), (1, 1)])
def test_bilinear_is_opencvs(tmp_path, size):
    noise = np.random.default_rng(3).integers(0, 256, (2, 75, 101, 3), np.uint8)
    path = make_video(tmp_path / "noise.mkv", noise, codec="ffv1", pix_fmt="bgr0")
    video = media.read_video(path, size=size, interpolation="bilinear")
    for frame, source in zip(video.frames, noise, strict=True):
        expected = brute_force_bilinear(source.astype(float), *size)
        assert np.abs(frame - expected).max() <= 0.51


@pytest.mark.parametrize("size", [(25, 25), (30, 41), (7, 3)])
def test_area_averages(tmp_path, size):
    noise = np.random.default_rng(3).integers(0, 256, (1, 75, 100, 3), np.uint8)
    path = make_video(tmp_path / "noise.mkv", noise, codec="ffv1", pix_fmt="bgr0")
    frame = media.read_video(path, size=size).frames[0].astype(float)
    expected = resize_frames(noise, size)[0]
    difference = frame - expected
    assert np.abs(difference).mean() < 8  # swscale's box is a little softer
    assert np.abs(difference.mean()) < 0.6


def test_size_changes_on_the_way(tmp_path):
    first = make_video(tmp_path / "a.h264", coded_frames(5, 48, 64))
    second = make_video(tmp_path / "b.h264", coded_frames(5, 96, 160))
    path = tmp_path / "both.h264"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    for interpolation in ("area", "bilinear"):
        for size in (None, (24, 32)):
            video = media.read_video(path, size=size, interpolation=interpolation)
            assert video.frames.shape == (10, *(size or (48, 64)), 3)
            assert read_codes(video.frames) == [*range(5), *range(5)]


def test_missing_timestamps(tmp_path):
    """A raw stream has none: frames follow at its frame rate."""
    path = make_video(tmp_path / "raw.h264", coded_frames(30), options={"bf": "0"})
    times = media.read_video(path).times_s
    assert (np.diff(times) > 0).all()
    np.testing.assert_allclose(times, np.arange(30) / 25, atol=1e-6)


def test_timestamps_that_repeat(tmp_path):
    """Frames 7 and 8 claim the time of frame 6; they get their own, up to the next one's."""
    settings = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True}
    whole = make_video(tmp_path / "whole.mkv", coded_frames(20), **settings)

    def repeat(packet):
        if 270 < packet.pts < 330:
            packet.pts = packet.dts = 240

    path = copy_packets(whole, tmp_path / "repeat.mkv", repeat)
    video = media.read_video(path)
    assert read_codes(video.frames) == list(range(20))
    np.testing.assert_allclose(video.times_s, np.arange(20) / 25, atol=2e-3)


def test_one_frame(tmp_path):
    path = make_video(tmp_path / "one.mp4", coded_frames(1))
    video = media.read_video(path)
    assert video.frames.shape == (1, 48, 64, 3)
    assert video.times_s.tolist() == [0.0]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_broken_in_the_middle(tmp_path, caplog, suffix):
    path = make_video(
        tmp_path / f"broken{suffix}",
        coded_frames(100, noise=20),
        container_options={"movflags": "+faststart"} if suffix == ".mp4" else {},
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8000] = np.random.default_rng(0).bytes(8000)
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING, logger="rac_jax"):
        video = media.read_video(path)
    codes = read_codes(video.frames)
    assert codes[:30] == list(range(30))
    assert (np.diff(video.times_s) > 0).all()
    # What comes after the hole keeps its number and its time.
    assert codes[-12:] == list(range(88, 100))
    assert video.times_s[-1] == pytest.approx(99 / 25, abs=1e-3)
    if (
        suffix == ".mp4"
    ):  # Matroska is read on from the next whole frame, without a word
        assert f"broken{suffix}: left out" in caplog.text


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_truncated_stream_keeps_what_is_there(tmp_path, suffix):
    path = make_video(tmp_path / f"cut{suffix}", coded_frames(100, noise=20))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    codes = read_codes(media.read_video(path).frames)
    assert 30 < len(codes) < 90
    assert codes[:30] == list(range(30))


def test_file_that_promises_more_than_it_holds(tmp_path, caplog):
    path = make_video(
        tmp_path / "lies.mp4",
        coded_frames(200, noise=20),
        container_options={"movflags": "+faststart"},
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert media.probe(path).frames == 200
    with caplog.at_level(logging.WARNING, logger="rac_jax"):
        codes = read_codes(media.read_video(path).frames)
    assert 50 < len(codes) < 150
    assert codes[:50] == list(range(50))
    assert "lies.mp4: the picture ends at" in caplog.text


def test_whole_files_give_no_warning(film, caplog):
    with caplog.at_level(logging.WARNING, logger="rac_jax"):
        media.read_video(film)
        media.read_video(film, start_s=1.5, end_s=3.0)
        media.read_video(film, start_s=50)
    assert not caplog.text


@pytest.mark.parametrize(
    "options,message",
    [
        ({"interpolation": "cubic"}, "'cubic' is not one of area, bilinear"),
        ({"size": (0, 5)}, "size: must be at least 1 by 1, not 0 by 5"),
        ({"chunk": 0}, "chunk: must be at least 1"),
        ({"start_s": -1}, "start_s: must be at least 0"),
        ({"start_s": float("nan")}, "start_s: must be at least 0"),
        ({"start_s": 2, "end_s": 1}, "end_s: must not be before start_s 2, is 1"),
    ],
)
def test_bad_arguments_raise_at_once(film, options, message):
    with pytest.raises(ValueError, match=message):
        media.stream_frames(film, **options)


MEMORY = """
import resource, sys
from rac_jax import media
next(media.stream_frames(sys.argv[1], size=(16, 16)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frames = sum(len(c.frames) for c in media.stream_frames(sys.argv[1], size=(16, 16)))
print(frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_holds_small_frames_only(tmp_path):
    frames = coded_frames(1, 720, 1280)
    path = make_video(
        tmp_path / "large.mp4",
        np.broadcast_to(frames, (250, 720, 1280, 3)),
        options={"preset": "ultrafast"},
    )
    frames, kibibytes = map(int, own_process.output(MEMORY, path).split())
    assert frames == 250
    assert kibibytes < 100_000  # the large frames would be 690 MB


def test_keyframes_are_as_assumed():
    assert GOP < 25  # the cuts above cross keyframes
