"""Clips recorded from a source that is none, with keys that nobody presses."""

import numpy as np
import pytest

from rac_jax import media
from rac_jax.data.phase_tags import read_tags, write_tags
from rac_jax.train.recording import BREAK, END, MARK, NEXT, cycles_of, record


class FakeSource:
    """Ten frames a second, one at a time; now and then nothing has come."""

    def __init__(self, frames):
        self.now, self.asked, self.end = 0, 0, frames

    @property
    def over(self):
        return self.now >= self.end

    def take(self, wait_s):
        self.asked += 1
        if self.asked % 7 == 3:
            return np.zeros((0, 0, 0, 3), np.uint8), np.zeros(0)
        self.now += 1
        frame = np.full((1, 16, 20, 3), self.now, np.uint8)
        return frame, np.array([(self.now - 1) / 10])


class FakeKeys:
    """Keys by the frame after which they are pressed."""

    def __init__(self, source, keys):
        self.source, self.keys = source, list(keys)

    def __call__(self):
        if self.keys and self.source.now > self.keys[0][0]:
            return self.keys.pop(0)[1]
        return None


def test_clips_and_their_marks(tmp_path):
    source = FakeSource(200)
    keys = [(5, MARK), (15, MARK), (16, MARK), (30, MARK), (32, BREAK)]
    keys += [(50, MARK), (60, MARK), (70, NEXT), (90, MARK), (100, END), (110, MARK)]
    told = []
    (tmp_path / "clip01.mp4").touch()
    clips = list(record(source, FakeKeys(source, keys), tmp_path, told.append))
    assert [clip.path.rsplit("/", 1)[1] for clip in clips] == [
        "clip02.mp4",
        "clip03.mp4",
    ]
    # A key that is pressed twice is one; the break is no repetition.
    expected = [(0.5, 1.0, 1.5), (1.5, 2.25, 3.0), (5.0, 5.5, 6.0)]
    np.testing.assert_allclose(clips[0].cycles, expected, atol=0.041)
    assert clips[1].cycles == ()
    assert told[-1] == "clip03.mp4: 0 repetitions, 9.0 s"
    assert told[-2] == "clip02.mp4: 3 repetitions, 6.0 s"
    # The file has the pace of what was recorded.
    video = media.read_video(clips[0].path)
    assert video.fps == 25 and len(video.frames) == pytest.approx(7.1 * 25, abs=2)
    assert source.now < 120

    write_tags(tmp_path / "tags.csv", clips)
    again = read_tags(tmp_path / "tags.csv", None)
    assert [clip.path for clip in again] == [clip.path for clip in clips]
    np.testing.assert_allclose(again[0].cycles, clips[0].cycles, atol=1e-3)


def test_a_source_that_ends(tmp_path):
    source = FakeSource(12)
    keys = FakeKeys(source, [(2, MARK), (8, MARK)])
    (clip,) = record(source, keys, tmp_path, lambda text: None)
    np.testing.assert_allclose(clip.cycles, [(0.2, 0.5, 0.8)], atol=0.041)
    nothing = FakeSource(0)
    assert not list(record(nothing, FakeKeys(nothing, []), tmp_path, print))


def test_frames_that_were_left_out_are_not_in_the_clip():
    ticks_s = [0.0, 0.04, 0.08, 5.0, 5.04, 5.08, 5.12, 5.16, 5.2]
    found = cycles_of([0.04, 5.2], ticks_s)
    np.testing.assert_allclose(found, [(0.04, 0.18, 0.32)])
