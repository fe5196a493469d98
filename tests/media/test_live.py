"""A source at its own pace: the newest frames, late ones dropped and counted, one line if it fails."""

import time
from fractions import Fraction

import numpy as np
import pytest

from rac_jax.media import MediaError, isolation
from rac_jax.media.live import LiveSource, RateMeter
from tests.media.media_factory import coded_frames, make_video, read_codes

SOON_S = 60.0  # on a busy machine


def _all(source: LiveSource) -> tuple[np.ndarray, np.ndarray]:
    frames, times = [], []
    while not source.over:
        new, times_s = source.take()
        if len(new):
            frames.append(new)
            times.append(times_s)
    return np.concatenate(frames), np.concatenate(times)


@pytest.fixture
def video(tmp_path):
    return make_video(
        tmp_path / "a.mp4", coded_frames(30, 48, 64), rate=30, time_base=Fraction(1, 30)
    )


def test_a_file_comes_at_its_own_pace_and_whole(video):
    began = time.monotonic()
    with LiveSource(str(video), late_s=SOON_S, picture=True) as source:
        assert (source.height, source.width, source.fps) == (48, 64, 30.0)
        frames, times_s = _all(source)
        assert time.monotonic() - began > 29 / 30
        assert read_codes(frames) == list(range(30))
        np.testing.assert_allclose(times_s, np.arange(30) / 30, atol=1e-3)
        assert (source.frames, source.dropped, source.drop_rate) == (30, 0, 0.0)
        assert source.picture.jpeg.startswith(b"\xff\xd8")
        assert source.picture.number <= 15


def test_frames_that_nobody_takes_are_dropped(video):
    with LiveSource(str(video), late_s=0.2, size=(16, 16)) as source:
        time.sleep(1.5)
        frames, _ = source.take(0.0)
        assert source.frames == 30
        # The last ones are late, too, once a second has passed.
        assert not len(frames)
        assert (source.dropped, source.drop_rate) == (30, 1.0)
        assert source.over


def test_a_source_of_ffmpegs_as_a_camera_would_be():
    graph = "lavfi:testsrc2=size=64x48:rate=20:duration=1"
    wanted = {"short_side": 24, "most_fps": 10.0, "late_s": SOON_S}
    with LiveSource(graph, **wanted) as source:
        frames, times_s = _all(source)
    assert frames.shape == (10, 24, 32, 3)
    assert np.diff(times_s).min() > 0.09


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nothing.mp4", "nothing.mp4: no such file"),
        ("camera 93", "camera 93: "),
        ("lavfi:nonsense", "lavfi:nonsense: cannot be opened"),
        ("rtsp://127.0.0.1:9/x", "rtsp://127.0.0.1:9/x: cannot be opened"),
    ],
)
def test_what_cannot_be_opened_is_one_line(source, reason):
    with pytest.raises(MediaError, match=reason) as error:
        LiveSource(source)
    assert "\n" not in str(error.value)


def test_a_decoder_that_dies_is_one_line_after_its_last_frames(monkeypatch):
    """The worker is killed in the middle."""
    fresh = isolation._Pool()
    monkeypatch.setattr(isolation, "_pool", fresh)
    worker = fresh.take()
    fresh.give(worker)
    with LiveSource("lavfi:testsrc2=size=64x48:rate=20", late_s=SOON_S) as source:
        assert len(source.take(SOON_S)[0])
        worker._process.kill()
        with pytest.raises(MediaError, match=r"its decoder crashed \(signal 9\)"):
            while True:
                source.take()
        assert source.over


def test_a_source_that_is_left_ends():
    source = LiveSource("lavfi:testsrc2=size=64x48:rate=20")
    source.close()
    assert not source._thread.is_alive()


def test_rates_are_of_now():
    meter = RateMeter()
    assert meter.per_s == 0
    for _ in range(5):
        meter.count()
        time.sleep(0.02)
    assert 0 < meter.per_s <= 65
