"""The streaming assembler against index arithmetic on whole videos."""

import numpy as np
import pytest

from rac_jax.counting import frame_windows
from rac_jax.counting.frame_windows import WindowAssembler

STRIDES = (1, 2, 3, 4, 6, 8, 12)
LENGTH, HOP = 64, 40


def window_starts(frames: int) -> list[int]:
    """Where windows over so many strided frames start: by the hop, and one that ends at the end."""
    last = max(0, frames - LENGTH)
    starts = list(range(0, last + 1, HOP))
    return starts if starts[-1] == last else [*starts, last]


def _video(frames: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(frames)
    return (
        rng.integers(0, 256, (frames, 2, 3), np.uint8),
        np.cumsum(rng.uniform(0.02, 0.06, frames)),
    )


def _assemble(video, times, chunk: int, strides=STRIDES) -> list[frame_windows.Window]:
    assembler, done = WindowAssembler(strides, LENGTH, HOP), []
    for first in range(0, len(video), chunk):
        part = slice(first, first + chunk)
        done += assembler.feed(video[part], times[part])
    return done + assembler.finish()


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 103, 104, 105, 168, 300, 777])
def test_windows_are_those_of_the_whole_video(frames):
    video, times = _video(frames)
    done = _assemble(video, times, 32)
    for stride in STRIDES:
        strided, when = video[::stride], times[::stride]
        mine = [window for window in done if window.stride == stride]
        assert [w.start for w in mine] == window_starts(len(strided))
        for window in mine:
            index = window.start + np.arange(64)
            assert window.valid == min(64, len(strided))
            index = np.minimum(index, len(strided) - 1)
            np.testing.assert_array_equal(window.frames, strided[index])
            span = slice(window.start, window.start + window.valid)
            np.testing.assert_array_equal(window.times_s[: window.valid], when[span])
            assert (np.diff(window.times_s) > 0).all()


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_do_not_matter(chunk):
    video, times = _video(230)
    for got, want in zip(
        _assemble(video, times, chunk), _assemble(video, times, 32), strict=True
    ):
        assert (got.stride, got.start, got.valid) == (
            want.stride,
            want.start,
            want.valid,
        )
        np.testing.assert_array_equal(got.frames, want.frames)


@pytest.mark.parametrize("frames", range(1, 300, 7))
def test_every_frame_is_covered(frames):
    starts = window_starts(frames)
    covered = {i for s in starts for i in range(s, min(frames, s + 64))}
    assert covered == set(range(frames))
    assert starts == sorted(set(starts))
    assert starts[-1] + 64 == frames or starts == [0]


def test_memory_is_bounded():
    assembler = WindowAssembler([1, 3], LENGTH, HOP)
    for _ in range(100):
        video, times = _video(32)
        assembler.feed(video, times)
    held = [len(tail._times) for tail in assembler._tails.values()]
    assert max(held) <= 103


def test_end_of_the_video():
    assembler = WindowAssembler([1], LENGTH, HOP)
    assert assembler.end_s == 0.0 and assembler.finish() == []
    video, _ = _video(4)
    assembler.feed(video, np.array([0.0, 0.1, 0.2, 0.3]))
    assert assembler.end_s == pytest.approx(0.4)


def test_what_later_windows_need():
    """No window begins before the time that was said to be needed from."""
    video, times = _video(400)
    assembler = WindowAssembler([1, 3], LENGTH, HOP)
    assert assembler.needed_from_s() == -np.inf
    needed = -np.inf
    for first in range(0, 400, 16):
        part = slice(first, first + 16)
        for window in assembler.feed(video[part], times[part]):
            assert window.times_s[0] >= needed
        assert assembler.needed_from_s() >= needed
        needed = assembler.needed_from_s()
    # At stride 3, 134 strided frames: the second window began at the 40th of them.
    assert needed == times[120]
    assert all(window.times_s[0] >= needed for window in assembler.finish())


def test_a_copy_goes_on_by_itself():
    video, times = _video(200)
    assembler = WindowAssembler(STRIDES, LENGTH, HOP)
    assembler.feed(video[:90], times[:90])
    twin = assembler.copy()
    twin.feed(video[:50], times[90:140])
    done = assembler.feed(video[90:], times[90:]) + assembler.finish()
    want = _assemble(video, times, 90)[-len(done) :]
    for got, expected in zip(done, want, strict=True):
        np.testing.assert_array_equal(got.frames, expected.frames)
        np.testing.assert_array_equal(got.times_s, expected.times_s)


@pytest.mark.parametrize("strides", [(0,), (1, 1), (-2, 3)])
def test_wrong_strides_are_refused(strides):
    with pytest.raises(ValueError, match="at least 1 and different"):
        WindowAssembler(strides, LENGTH, HOP)
