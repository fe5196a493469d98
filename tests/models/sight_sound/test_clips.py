"""Clip and segment arithmetic against brute-force loops."""

import tracemalloc

import numpy as np
import pytest

from rac_jax.models.sight_sound import clips

LENGTHS = [1, 2, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 100]
FRAMES = 8  # in a clip, to keep the loops short


@pytest.mark.parametrize("stride", range(1, 9))
@pytest.mark.parametrize("frames", LENGTHS)
def test_tiling_covers_every_frame_once(frames, stride):
    windows = clips.tile_clips(frames, stride, FRAMES)
    spans = np.zeros(frames, int)
    for number, window in enumerate(windows):
        start = number * stride * FRAMES
        spans[start : start + stride * FRAMES] += 1
        for place, index in enumerate(window):
            wanted = start + place * stride
            assert index == (wanted if wanted < frames else -1)
    assert (spans == 1).all()
    real = windows[windows >= 0]
    assert sorted(real) == list(range(0, frames, stride))


@pytest.mark.parametrize(
    "frames,stride,start", [(0, 1, 0), (5, 0, 0), (5, 1, 5), (5, 1, -1)]
)
def test_bad_arguments(frames, stride, start):
    with pytest.raises(ValueError, match="must be"):
        clips.clip_indices(frames, stride, start)


def released_windows_by_loop(frames, stride):
    """The release's loop, one window at a time."""
    span, windows, extra, start = 64 * stride, [], None, 0
    while start < frames:
        windows.append(
            [i if i < frames else -1 for i in range(start, start + span, stride)]
        )
        if start + span > frames >= span:
            back = max(0, start - span)
            wide = stride + 2
            extra = [
                i if i < frames else -1 for i in range(back, back + 64 * wide, wide)
            ]
        start += span
    return windows, extra


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "frames", [1, 63, 64, 65, 127, 128, 129, 192, 200, 320, 321, 700]
)
def test_released_sight_windows(frames, stride):
    windows, extra = clips.released_sight_windows(frames, stride)
    expected, expected_extra = released_windows_by_loop(frames, stride)
    np.testing.assert_array_equal(windows, expected)
    assert (extra is None) == (expected_extra is None)
    if extra is not None:
        np.testing.assert_array_equal(extra, expected_extra)


def test_released_sight_count():
    assert clips.released_sight_count([3.0, 4.0], None) == 7.0
    assert clips.released_sight_count([3.0, 4.0], 5.0) == 6.0
    assert clips.released_sight_count([3.0], 5.0) == 4.0
    assert (
        clips.released_sight_count([1.0, 2.0, 3.0, 4.0], 5.0) == 3.0 + (5.0 + 7.0) / 2
    )


@pytest.mark.parametrize(
    "frames,stride,number",
    [(10, 1, 1), (64, 1, 1), (65, 1, 1), (128, 1, 1), (129, 1, 2)],
)
def test_released_reliability_windows(frames, stride, number):
    assert clips.released_reliability_windows(frames, stride) == number


@pytest.mark.parametrize(
    "columns,number", [(1, 1), (499, 1), (500, 1), (501, 2), (1000, 2)]
)
def test_segments_cover_every_column_once(columns, number):
    positions = clips.segment_columns(columns)
    assert positions.shape == (number, 500)
    assert sorted(positions[positions >= 0]) == list(range(columns))
    assert (positions[0] != -1).any()


@pytest.mark.parametrize("first,last", [(0, 1), (0, 500), (0, 1361), (30, 700)])
def test_resized_columns(first, last):
    ours = clips.resized_columns(first, last)
    for i in range(500):
        x = (i + 0.5) * (last - first) / 500 - 0.5
        assert ours[i] == pytest.approx(first + min(max(x, 0), last - first - 1))


def pad_then_fit(columns, first, last):
    """Positions by padding a ramp of column numbers, slicing it and resizing it."""
    ramp = np.concatenate([np.arange(columns), np.full(max(0, last - columns), -1)])
    span = ramp[first:last]
    if len(span) < 500:
        return np.concatenate([span, np.full(500 - len(span), -1)])
    return None


@pytest.mark.parametrize(
    "first,last,columns", [(0, 100, 300), (250, 400, 300), (0, 499, 10)]
)
def test_short_spans_are_padded(first, last, columns):
    ours = clips.span_columns(first, last, columns)
    np.testing.assert_array_equal(ours, pad_then_fit(columns, first, last))


def test_long_spans_run_into_the_padding():
    ours = clips.span_columns(0, 1000, 600)
    assert (ours < 600).sum() == 300
    assert ours.max() > 990


@pytest.mark.parametrize(
    "frames,columns,stride,last",
    [(200, 1000, 1, 320), (128, 500, 2, 500), (100, 333, 2, 426), (64, 401, 3, 1203)],
)
def test_released_stride_columns(frames, columns, stride, last):
    ours = clips.released_stride_columns(frames, columns, stride)
    np.testing.assert_array_equal(ours, clips.span_columns(0, last, columns))


def read_columns(spectrogram: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """What positions mean, one by one."""

    def column(k):
        return spectrogram[k] if 0 <= k < len(spectrogram) else 0.0

    result = []
    for x in positions:
        low = int(np.floor(x))
        f = x - low
        upper = f * column(low + 1) if f else 0.0
        result.append((1 - f) * column(low) + upper)
    return np.array(result)


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("columns", [1, 333, 499, 500, 501, 1387])
@pytest.mark.parametrize("frames", [1, 40, 64, 200, 320, 1000])
def test_released_stride_columns_by_padding_and_resizing(frames, columns, stride):
    """As the release does it: pad or cut the spectrogram, then pad or resize to 500."""
    spectrogram = np.random.default_rng(frames).normal(size=columns)
    share = 64 * stride / frames
    if share > 1:
        part = np.pad(spectrogram, (0, int(np.round((share - 1) * columns))))
    else:
        part = spectrogram[: int(np.round(share * columns))]
    if len(part) < 500:
        expected = np.pad(part, (0, 500 - len(part)))
    else:
        x = (np.arange(500) + 0.5) * len(part) / 500 - 0.5
        expected = np.interp(x, np.arange(len(part)), part)  # clamps at the ends
    positions = clips.released_stride_columns(frames, columns, stride)
    np.testing.assert_allclose(
        read_columns(spectrogram, positions), expected, atol=1e-9
    )


def test_released_reliability_segments():
    assert clips.released_reliability_segments(400, 30.0).shape == (1, 500)
    np.testing.assert_array_equal(
        clips.released_reliability_segments(900, 5.0)[0], clips.resized_columns(0, 900)
    )
    assert len(clips.released_reliability_segments(1000, 11.5)) == 1  # strictly inside
    assert len(clips.released_reliability_segments(1001, 11.5)) == 2
    assert len(clips.released_reliability_segments(600, 11.0)) == 1


@pytest.mark.parametrize("sight,sound", [(1, 1), (3, 1), (2, 7)])
def test_pairs(sight, sound):
    a, b = clips.pair_windows(sight, sound, np.random.default_rng(0))
    assert len(a) == len(b) == max(sight, sound)
    assert list(a[:sight]) == list(range(sight))
    assert list(b[:sound]) == list(range(sound))
    assert a.max() < sight
    assert b.max() < sound


def stream(frames, size):
    """Chunks of numbered frames with uneven times."""
    times = np.cumsum(0.04 + 0.01 * (np.arange(frames) % 3)) - 0.04
    pixels = np.arange(frames, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (1, 2, 2, 3), np.uint8
    )
    for first in range(0, frames, size):
        part = slice(first, first + size)
        yield pixels[part], times[part]


def assemble(assembler, chunks):
    """All clips of a stream, in the order in which they are done."""
    found = []
    for frames, times_s in chunks:
        assembler, done = assembler.feed(frames, times_s)
        found += done
    return found + assembler.finish()


@pytest.mark.parametrize("size", [1, 7, 32, 1000])
@pytest.mark.parametrize("frames", [1, 7, 8, 9, 64, 65, 200, 250])
def test_assembler_equals_tiling(frames, size):
    strides = tuple(range(1, 9))
    found = assemble(clips.ClipAssembler(strides, FRAMES), stream(frames, size))
    times = np.concatenate([times_s for _, times_s in stream(frames, size)])
    for stride in strides:
        expected = clips.tile_clips(frames, stride, FRAMES)
        ours = [clip for clip in found if clip.stride == stride]
        assert [clip.index for clip in ours] == list(range(len(expected)))
        for clip, index in zip(ours, expected, strict=True):
            real = index[index >= 0]
            assert clip.valid == len(real)
            np.testing.assert_array_equal(clip.frames[: clip.valid, 0, 0, 0], real)
            assert (clip.frames[clip.valid :] == 0).all()
            assert clip.first_frame == index[0]
            assert clip.end_frame == min(frames, index[0] + stride * FRAMES)
            assert clip.start_s == times[clip.first_frame]
            if clip.end_frame < frames:
                assert clip.end_s == times[clip.end_frame]
            else:
                assert clip.end_s >= times[-1]


@pytest.mark.parametrize("size", [1, 7, 32])
def test_order_of_clips_does_not_depend_on_the_chunks(size):
    strides = (3, 1, 2)
    ours, whole = (
        assemble(clips.ClipAssembler(strides, FRAMES), stream(200, one))
        for one in (size, 200)
    )
    assert [(c.stride, c.index) for c in ours] == [(c.stride, c.index) for c in whole]


def test_assembler_is_a_value():
    """Feeding one does not change it, nor do frames that change after they were fed."""
    assembler = clips.ClipAssembler((1, 3), FRAMES)
    frames = np.full((11, 2, 2, 3), 7, np.uint8)
    times = np.arange(11) / 25
    after, _ = assembler.feed(frames, times)
    expected = [clip.frames.copy() for clip in after.finish()]
    after.feed(frames + 1, times + 11 / 25)
    assert assembler.finish() == []
    frames[:] = 9
    for clip, wanted in zip(after.finish(), expected, strict=True):
        np.testing.assert_array_equal(clip.frames, wanted)


def test_assembler_of_any_length():
    """The clips of a stream are those gathered from the whole, for every length to 700."""
    strides = tuple(range(1, 9))
    video = np.zeros((700, 1, 1, 3), np.uint8)
    video[:, 0, 0, 0], video[:, 0, 0, 1] = np.divmod(np.arange(700), 256)
    video[:, 0, 0, 2] = 1  # a frame of padding has 0 here
    times = np.arange(700) / 25
    for frames in range(1, 701):
        parts = (
            slice(first, min(first + 150, frames)) for first in range(0, frames, 150)
        )
        chunks = ((video[part], times[part]) for part in parts)
        found = assemble(clips.ClipAssembler(strides), chunks)
        for stride in strides:
            index = clips.tile_clips(frames, stride)
            gathered = video[index] * (index >= 0)[..., None, None, None]
            ours = np.stack([clip.frames for clip in found if clip.stride == stride])
            np.testing.assert_array_equal(ours, gathered)


def test_the_last_clip_ends_where_the_last_frame_does():
    def last_end(frames, **options):
        times = np.arange(frames) / 10
        pixels = np.zeros((frames, 1, 1, 3), np.uint8)
        assembler, _ = clips.ClipAssembler((1,)).feed(pixels, times)
        return assembler.finish(**options)[-1].end_s

    assert last_end(5) == pytest.approx(0.5)
    assert last_end(5, fps=5) == pytest.approx(0.6)
    assert last_end(1, fps=5) == pytest.approx(0.2)
    assert last_end(1) == pytest.approx(0.04)


def test_assembler_holds_one_clip_per_stride():
    assembler = clips.ClipAssembler((1, 2, 3))
    frames = np.ones((32, 50, 50, 3), np.uint8)
    clip_bytes = 64 * 50 * 50 * 3
    tracemalloc.start()
    for first in range(0, 3200, 32):
        times_s = np.arange(first, first + 32) / 25
        assembler, _ = assembler.feed(frames, times_s)
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 3.5 * clip_bytes
    assert peak < 7 * clip_bytes  # as a clip is handed over the next one is begun


@pytest.mark.parametrize("strides", [(0,), (1, 1), (2, -1)])
def test_bad_strides(strides):
    with pytest.raises(ValueError, match="must be at least 1 and different"):
        clips.ClipAssembler(strides)


def test_assembler_without_frames():
    assembler = clips.ClipAssembler((1, 2))
    assert assembler.finish() == []
    nothing = np.zeros((0, 2, 2, 3), np.uint8)
    after, done = assembler.feed(nothing, np.zeros(0))
    assert (after, done) == (assembler, [])
