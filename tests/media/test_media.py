"""What a file says of itself, how files are found, and what is said of bad ones."""

import av
import numpy as np
import pytest

from rac_jax import media
from tests.media.media_factory import coded_frames, make_video, make_wav, real_clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="module")
def film(folder):
    return make_video(
        folder / "film.mp4",
        coded_frames(50, 48, 80),
        sound=np.zeros(2 * 22050),
        sound_rate=22050,
    )


def test_probe(film):
    info = media.probe(film)
    assert info.path == str(film)
    assert info.duration_s == pytest.approx(2.0, abs=0.05)
    assert (info.has_video, info.has_audio) == (True, True)
    assert (info.width, info.height) == (80, 48)
    assert (info.fps, info.frames, info.audio_rate) == (25.0, 50, 22050)


def test_probe_silent_and_blind(folder):
    silent = media.probe(make_video(folder / "silent.mkv", coded_frames(10)))
    assert (silent.has_audio, silent.audio_rate, silent.frames) == (False, 0, 10)
    blind = media.probe(make_wav(folder / "tone.wav", np.zeros(16000), 16000))
    assert blind == media.MediaInfo(
        path=str(folder / "tone.wav"),
        duration_s=1.0,
        has_video=False,
        has_audio=True,
        width=0,
        height=0,
        fps=0.0,
        frames=None,
        audio_rate=16000,
        start_s=None,
    )
    with pytest.raises(media.MediaError, match=r"tone\.wav: has no picture$"):
        media.read_video(folder / "tone.wav")


def test_cover_picture_is_no_video(tmp_path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=22050, layout="mono")
        cover = out.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(coded_frames(1, 32, 32)[0], "rgb24")
        picture.pts = 0
        out.mux(cover.encode(picture))
        out.mux(cover.encode(None))
        samples = av.AudioFrame.from_ndarray(
            np.zeros((1, 22050), np.float32), "fltp", "mono"
        )
        samples.sample_rate = 22050
        samples.pts = 0
        out.mux(sound.encode(samples))
        out.mux(sound.encode(None))
    info = media.probe(path)
    assert (info.has_video, info.has_audio) == (False, True)


def _text(folder):
    (folder / "text.mp4").write_text("There is no video in here.\n" * 50)
    return folder / "text.mp4"


def _notes(folder):
    (folder / "notes.txt").write_text("FFmpeg would draw this as a picture.\n" * 50)
    return folder / "notes.txt"


def _empty(folder):
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _truncated(folder):
    path = make_video(folder / "truncated.mp4", coded_frames(50))
    path.write_bytes(path.read_bytes()[:-600])
    return path


def _nothing_inside(folder):
    """An mp4 without a single stream."""
    ftyp = b"\0\0\0\x14ftypisom\0\0\2\0isom"
    mvhd = b"\0\0\0\x6cmvhd" + bytes(12) + b"\0\0\3\xe8" + bytes(84)
    moov = (8 + len(mvhd)).to_bytes(4, "big") + b"moov" + mvhd
    (folder / "nothing.mp4").write_bytes(ftyp + moov)
    return folder / "nothing.mp4"


def _no_frame(folder):
    """A complete mp4 whose frames are all overwritten."""
    path = make_video(folder / "blank.mp4", coded_frames(20))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    return path


def _missing(folder):
    return folder / "missing.mp4"


def _folder(folder):
    (folder / "folder.mp4").mkdir()
    return folder / "folder.mp4"


@pytest.mark.parametrize(
    "make,reason",
    [
        (_text, "is not a media file"),
        (_notes, "is not a media file"),
        (_empty, "is empty"),
        (_truncated, "or its beginning or index is missing"),
        (_nothing_inside, "has neither picture nor sound"),
        (_no_frame, "no frame of its picture can be decoded"),
        (_missing, "no such file"),
        (_folder, "is not a file"),
    ],
)
def test_bad_files(tmp_path, make, reason):
    path = make(tmp_path)
    with pytest.raises(media.MediaError) as caught:
        media.probe(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    for read in (media.read_video, media.read_audio):
        with pytest.raises(media.MediaError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "name", ["a: b.mp4", "concat:x.mp4", "50%d.mp4", "ünï ćode.mp4", "-dash.mp4"]
)
def test_strange_names(tmp_path, monkeypatch, name):
    make_video(tmp_path / "plain.mp4", coded_frames(3)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert media.probe(name).frames == 3
    assert len(media.read_video(name).frames) == 3


def test_sibling_sound(tmp_path):
    video = tmp_path / "clip.one.mp4"
    assert media.sibling_sound(video) is None
    (tmp_path / "clip.wav").touch()
    (tmp_path / "clip.one.ogg").touch()
    assert media.sibling_sound(video) == tmp_path / "clip.one.ogg"
    (tmp_path / "clip.one.wav").touch()
    assert media.sibling_sound(video) == tmp_path / "clip.one.wav"
    assert media.sibling_sound(tmp_path / "clip.wav") is None


def test_find_media(tmp_path):
    names = [
        "b.mp4", "a.MOV", "a.wav", "alone.wav", "notes.txt", ".hidden.mp4",
        "deep/er/c.webm", "deep/b.wav", ".cache/d.mp4",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = media.find_media([tmp_path])
    assert [p.relative_to(tmp_path).as_posix() for p in found] == [
        "a.MOV",
        "alone.wav",
        "b.mp4",
        "deep/b.wav",
        "deep/er/c.webm",
    ]
    given = [tmp_path / "notes.txt", str(tmp_path / "a.wav")]
    assert media.find_media(given) == [tmp_path / "notes.txt", tmp_path / "a.wav"]
    twice = media.find_media([tmp_path / "b.mp4", tmp_path])
    assert twice[0] == tmp_path / "b.mp4"
    assert len(twice) == 5


def test_find_media_fails(tmp_path):
    with pytest.raises(media.MediaError, match=r"gone: no such file or folder$"):
        media.find_media([tmp_path / "gone"])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(media.MediaError, match=r": no media files in this folder$"):
        media.find_media([tmp_path])


def test_labels_of_real_clips_name_files_that_are_there():
    clips = sorted(real_clips().glob("*.mp4"))
    if not clips:
        pytest.skip("needs real clips, set RAC_REAL_CLIPS")
    assert media.find_media([real_clips()]) == clips
