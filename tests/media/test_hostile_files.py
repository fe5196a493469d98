"""Files that say what is not so, or hold what few files hold; each was counted wrong once."""

import functools
import http.server
import os
import threading
from fractions import Fraction

import av
import numpy as np
import PIL.Image
import pytest

from rac_jax import media
from rac_jax.counting.needs import FrameNeeds, Needs
from rac_jax.counting.source import FileSource
from rac_jax.media import audio, container
from rac_jax.media import frames as frame_io
from tests.conftest import knocks
from tests.media.media_factory import (
    coded_frames,
    make_video,
    make_wav,
    read_codes,
)


def mux(path, streams, file_format=None):
    """Writes streams that are made by functions of the container: each gives its packets."""
    with av.open(str(path), "w", format=file_format) as out:
        packets = [packet for make in streams for packet in make(out)]
        for packet in packets:
            out.mux(packet)
    return path


def picture(
    frames, *, codec="libx264", default=None, pts=None, time_base=None, rate=25
):
    def make(out):
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "10"}
        if time_base is not None:
            stream.codec_context.time_base = time_base
        if default is not None:
            stream.disposition = av.stream.Disposition.default if default else 0
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base or Fraction(1, 25)
            yield from stream.encode(frame)
        yield from stream.encode(None)

    return make


def sound(samples, *, rate=22050, layout="mono", codec="aac", starts=None):
    """Samples [S] or [channels, S]; `starts` moves blocks of 1024 to other seconds."""
    samples = np.atleast_2d(samples).astype(np.float32)

    def make(out):
        stream = out.add_stream(codec, rate=rate, layout=layout)
        stream.disposition = av.stream.Disposition.default
        size = 1024
        for number, first in enumerate(range(0, samples.shape[1], size)):
            # Interleaved: of eight planes PyAV makes no array.
            block = samples[:, first : first + size].T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, "flt", layout)
            frame.sample_rate = rate
            (frame,) = av.AudioResampler("fltp", layout, rate).resample(frame)
            frame.time_base = Fraction(1, rate)
            frame.pts = first
            if starts is not None and number in starts:
                frame.pts = round(starts[number] * rate)
            yield from stream.encode(frame)
        yield from stream.encode(None)

    return make


def test_eight_planar_channels(tmp_path):
    one = knocks(1.0)
    eight = np.repeat(one[None], 8, axis=0)
    path = mux(tmp_path / "71.mp4", [sound(eight, layout="7.1")])
    heard = media.read_audio(path)
    assert len(heard) == pytest.approx(22050, abs=2048)
    # AAC is lossy, and its 7.1 keeps little of a low-frequency channel.
    assert np.corrcoef(heard[:22050], one[: len(heard)])[0, 1] > 0.7


def test_raw_dv_says_60000_frames_per_second(tmp_path):
    frames = np.zeros((30, 480, 720, 3), np.uint8)

    def make(out):
        stream = out.add_stream("dvvideo", rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = 720, 480, "yuv411p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
                format="yuv411p"
            )
            frame.pts = number
            yield from stream.encode(frame)
        yield from stream.encode(None)

    path = mux(tmp_path / "x.dv", [make], "dv")
    assert media.probe(path).fps == pytest.approx(29.97, abs=0.1)
    (chunk,) = media.stream_frames(path, size=(8, 8), most_fps=15)
    assert len(chunk.frames) == 15
    assert np.diff(chunk.times_s) == pytest.approx(2 / 29.97, abs=1e-3)


def test_a_recording_in_bursts_without_a_rate(tmp_path):
    # Ten frames a millisecond apart, twelve times a second, as screen recorders write them.
    pts = [round(1000 * burst / 12) + i for burst in range(24) for i in range(10)]
    frames = np.repeat(coded_frames(24), 10, axis=0)
    path = mux(
        tmp_path / "burst.mkv",
        [picture(frames, pts=pts, time_base=Fraction(1, 1000), rate=1000)],
    )
    assert media.probe(path).fps == pytest.approx(240 / 1.93, rel=0.05)
    (chunk,) = media.stream_frames(path, most_fps=15)
    assert read_codes(chunk.frames) == list(range(24))


@pytest.mark.parametrize(
    ("fps", "every"), [(15, 1), (25, 2), (29.97, 2), (30, 2), (50, 4), (60, 4)]
)
def test_thinning_by_time_is_thinning_by_number(fps, every):
    times = np.arange(100) / fps
    given, last = [], -np.inf
    for number, time_s in enumerate(times):
        if time_s - last >= media.least_gap_s(15):
            given.append(number)
            last = time_s
    assert given == list(range(0, 100, every))


def test_packets_without_a_byte_repeat_a_frame(tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", coded_frames(20))
    with container.open_media(path) as opened:
        stream = container.video_stream(opened, str(path))
        packets = list(opened.demux(stream))
    empty = av.Packet(b"")
    empty.pts = empty.dts = 5
    decoded = container.decode(
        FakeContainer([packets[0], empty, *packets[1:]]), stream, str(path)
    )
    with media.collect_faults() as faults:
        assert sum(1 for _ in decoded) > 0
    assert faults == []


class FakeContainer:
    """Gives packets, and raises the errors among them."""

    def __init__(self, items):
        self._items = list(items)

    def demux(self, stream):
        del stream
        while self._items:
            item = self._items.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item


class FakePacket:
    size, pts, dts = 1, 0, 0

    def __init__(self, result):
        self._result = result

    def decode(self):
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


class FakeStream:
    type = "video"


def test_any_error_of_a_packet_is_passed_over():
    errors = [
        av.error.InvalidDataError(1, "bad"),
        av.error.PermissionError(1, "odd"),
        av.error.FFmpegError(-1313558101, "unknown"),
    ]
    items = [FakePacket(["a"]), *map(FakePacket, errors), FakePacket(["b"])]
    items.insert(2, av.error.OSError(5, "no such sector"))
    with media.collect_faults() as faults:
        found = list(container.decode(FakeContainer(items), FakeStream, "x.mp4"))
    assert found == ["a", "b"]
    assert faults == ["x.mp4: left out what is broken of the picture (3 packets)"]


def test_too_many_errors_in_a_row_end_a_stream():
    bad = FakePacket(av.error.InvalidDataError(1, "bad"))
    for most, items in (
        (container.MOST_BAD_PACKETS, [bad] * container.MOST_BAD_PACKETS),
        (
            container.MOST_BAD_READS,
            [av.error.OSError(5, "bad")] * container.MOST_BAD_READS,
        ),
    ):
        with media.collect_faults() as faults:
            last = FakePacket(["last"])
            assert list(
                container.decode(FakeContainer([*items[:-1], last]), FakeStream, "x")
            ) == ["last"]
            assert not any("breaks off" in fault for fault in faults)
            assert (
                list(container.decode(FakeContainer([*items, last]), FakeStream, "x"))
                == []
            )
        assert "x: the picture breaks off (bad)" in faults, most


def test_colours_that_the_scaler_refuses(tmp_path):
    path = make_video(
        tmp_path / "ycgco.mp4",
        coded_frames(8),
        options={"x264-params": "colormatrix=YCgCo"},
    )
    with av.open(str(path)) as opened:
        assert next(opened.decode(video=0)).colorspace == 8  # YCgCo
    assert read_codes(media.read_video(path).frames) == list(range(8))
    small = media.read_video(path, size=(24, 64)).frames
    assert read_codes(small) == list(range(8))


def broken_sound(path, clean):
    """A copy of a Matroska file whose sound packets hold nothing but zeros."""
    with av.open(str(clean)) as source, av.open(str(path), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.size == 0:
                continue
            stream = streams[packet.stream.index]
            if packet.stream.type == "audio":
                zeros = av.Packet(bytes(packet.size))
                zeros.pts, zeros.dts = packet.pts, packet.dts
                zeros.time_base = packet.time_base
                packet = zeros
            packet.stream = stream
            out.mux(packet)
    return path


def test_sound_that_cannot_be_decoded_leaves_the_picture(tmp_path):
    clean = make_video(
        tmp_path / "clean.mkv",
        coded_frames(25),
        sound=knocks(1.0, 16000),
        sound_codec="flac",
    )
    path = broken_sound(tmp_path / "broken.mkv", clean)
    with media.collect_faults() as faults:
        info = media.probe(path)
    assert (info.has_video, info.has_audio) == (True, False)
    assert faults == [f"{path}: nothing of its sound can be decoded"]


def test_a_sound_track_without_packets_leaves_the_picture(tmp_path):
    path = mux(tmp_path / "empty.mkv", [sound(np.zeros(0)), picture(coded_frames(10))])
    with media.collect_faults() as faults:
        info = media.probe(path)
    assert (info.has_video, info.has_audio) == (True, False)
    assert faults == [f"{path}: nothing of its sound can be decoded"]


def test_a_thumbnail_before_the_video(tmp_path):
    thumbnail = np.full((1, 24, 32, 3), 90, np.uint8)
    for name, flags in (("flag.mkv", (False, True)), ("none.mkv", (None, None))):
        path = mux(
            tmp_path / name,
            [
                picture(thumbnail, codec="mjpeg", default=flags[0]),
                picture(coded_frames(12), default=flags[1]),
            ],
        )
        assert media.probe(path).width == 64
        assert read_codes(media.read_video(path).frames) == list(range(12))


def test_the_track_that_sounds_is_heard(tmp_path):
    silence, noise = np.zeros(22050), knocks(1.0)
    path = mux(tmp_path / "two.mkv", [sound(silence), sound(noise)])
    assert np.abs(media.read_audio(path)).max() > 0.05
    path = mux(tmp_path / "silent.mkv", [sound(silence), sound(silence)])
    assert np.abs(media.read_audio(path)).max() == 0


def test_a_packet_a_year_late_is_no_year_of_silence(tmp_path):
    late = {20: 365 * 86400.0, 21: 365 * 86400.0 + 1024 / 22050}
    path = mux(
        tmp_path / "late.mka",
        [sound(knocks(1.0), codec="flac", starts=late)],
        "matroska",
    )
    assert media.probe(path).duration_s > 360 * 86400
    with media.collect_faults() as faults:
        heard = media.read_audio(path)
    assert len(heard) == pytest.approx(22050, abs=1024)
    assert faults == [
        f"{path}: the sound's clock jumps ahead (1 times), read on without a gap"
    ]


def test_a_gap_of_minutes_is_silence(tmp_path):
    late = {i: 120 + i * 1024 / 22050 for i in range(10, 22)}
    path = mux(
        tmp_path / "gap.mka",
        [sound(knocks(1.0), codec="flac", starts=late)],
        "matroska",
    )
    assert len(media.read_audio(path)) == pytest.approx(121 * 22050, rel=1e-3)


def test_silence_has_a_bound(monkeypatch, tmp_path):
    monkeypatch.setattr(audio, "MOST_SILENCE_S", 60.0)
    late = {i: 50.0 * (i // 7) + i * 1024 / 22050 for i in range(22)}
    path = mux(
        tmp_path / "gaps.mka",
        [sound(knocks(1.0), codec="flac", starts=late)],
        "matroska",
    )
    with media.collect_faults() as faults:
        heard = sum(map(len, audio.stream_audio(path)))
    assert heard < 60 * 22050 and len(faults) == 1


def test_two_recordings_joined_follow_each_other(tmp_path):
    parts = []
    for number, start in enumerate((0, 5 * 3600 * 25)):
        part = make_video(
            tmp_path / f"{number}.ts",
            coded_frames(50),
            pts=range(start, start + 50),
            sound=knocks(2.0, 16000),
            sound_delay_s=start / 25,
        )
        parts.append(part.read_bytes())
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    with media.collect_faults() as faults:
        video = media.read_video(path)
        heard = media.read_audio(path)
    assert read_codes(video.frames) == [*range(50), *range(50)]
    assert video.times_s[-1] == pytest.approx(99 / 25, abs=0.5)
    assert len(heard) / 22050 == pytest.approx(4.0, abs=0.5)
    assert any("the picture's clock jumps ahead" in fault for fault in faults)


def test_pictures_that_are_too_large(tmp_path, monkeypatch):
    path = make_video(tmp_path / "large.mp4", coded_frames(3))
    monkeypatch.setattr(container, "MOST_PIXELS", 3000)
    message = r"large\.mp4: its picture has 64 x 48 pixels, more than"
    with pytest.raises(media.MediaError, match=message):
        list(frame_io.stream_frames(path))


def test_a_folder_of_frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, pixels in enumerate(coded_frames(12)):
        PIL.Image.fromarray(pixels).save(folder / f"f{number}.png")
    assert media.find_media([folder]) == [folder]
    info = media.probe(folder)
    assert (info.frames, info.width) == (12, 64) and info.fps == pytest.approx(25)
    video = media.read_video(folder, start_s=0.12)
    assert read_codes(video.frames) == list(range(3, 12))
    (folder / "f5.png").write_bytes(b"nothing")
    with pytest.raises(media.MediaError, match=r"f5\.png: cannot be read"):
        media.read_video(folder)


def test_animated_webp(tmp_path):
    pictures = [PIL.Image.fromarray(pixels) for pixels in coded_frames(9)]
    path = tmp_path / "a.webp"
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=50, lossless=True
    )
    info = media.probe(path)
    assert (info.frames, info.has_audio) == (9, False)
    assert info.fps == pytest.approx(20)
    video = media.read_video(path)
    assert read_codes(video.frames) == list(range(9))
    assert video.times_s == pytest.approx(np.arange(9) / 20)


def test_what_is_no_media_among_media(tmp_path):
    make_wav(tmp_path / "a.wav", np.zeros(800), 8000)
    os.symlink(tmp_path / "round.mp4", tmp_path / "round.mp4")
    os.symlink(tmp_path, tmp_path / "again")
    os.mkfifo(tmp_path / "pipe.mp4")
    with media.collect_faults() as faults:
        assert media.find_media([tmp_path]) == [tmp_path / "a.wav"]
    assert sorted(faults) == [
        f"{tmp_path / 'pipe.mp4'}: is not a file",
        f"{tmp_path / 'round.mp4'}: Too many levels of symbolic links",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 300, r"a: File name too long"),
        ("-", "standard input is not supported"),
        ("nul\0l", "null"),
    ],
)
def test_names_that_cannot_be(name, message):
    with pytest.raises(media.MediaError, match=message):
        media.find_media([name])


def test_an_address_of_the_web(tmp_path):
    make_video(tmp_path / "a.mp4", coded_frames(10))
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/a.mp4"
        assert media.find_media([address]) == [address]
        source = FileSource(address, Needs(FrameNeeds(), None))
        frames = [chunk.frames for chunk in source.chunks()]
        with pytest.raises(media.MediaError, match=r"/none\.mp4: cannot be opened"):
            media.probe(address.replace("a.mp4", "none.mp4"))
        server.shutdown()
        thread.join()
    assert read_codes(np.concatenate(frames)) == list(range(10))


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format, *arguments):
        pass


def test_an_address_that_does_not_answer():
    with pytest.raises(media.MediaError, match=r"^http://127\.0\.0\.1:9/a\.mp4: "):
        media.probe("http://127.0.0.1:9/a.mp4")
