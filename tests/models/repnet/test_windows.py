"""Windows of the released procedure, against indices that are clamped."""

import numpy as np
import pytest

from rac_jax.models.repnet.windows import ConsecutiveWindows

STRIDES, LENGTH = (1, 2, 3), 8


def cut(video, chunk):
    windows, done = ConsecutiveWindows(STRIDES, LENGTH), []
    for first in range(0, len(video), chunk):
        done += windows.feed(video[first : first + chunk])
    twin = windows.copy()
    twin.feed(video[:5])
    return done + windows.finish()


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 15, 16, 17, 22, 23, 24, 25, 49])
@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_indices_are_clamped_to_the_last_frame(frames, chunk):
    video = np.arange(frames, dtype=np.uint8).reshape(-1, 1, 1, 1)
    found = cut(video, chunk)
    for stride in STRIDES:
        mine = [window.ravel().tolist() for s, window in found if s == stride]
        number = -(-frames // (LENGTH * stride))
        index = np.arange(number * LENGTH) * stride
        want = np.minimum(index, frames - 1).reshape(number, LENGTH)
        assert mine == want.tolist()


def test_without_frames_there_is_no_window():
    windows = ConsecutiveWindows(STRIDES, LENGTH)
    assert windows.feed(np.zeros((0, 2, 2, 3), np.uint8)) == []
    assert windows.finish() == []
