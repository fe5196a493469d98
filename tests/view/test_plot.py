"""The plot of a result: what it says, and that it can always be drawn."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from rac_jax.counting.result import CountResult, SightCount, SoundCount, WindowCount
from rac_jax.media import encode
from rac_jax.view.plot import plot_result
from tests import own_process


def _result(file="<array>", duration_s=10.0, start_s=0.0, **changes):
    half = start_s + duration_s / 2
    end = start_s + duration_s
    sight = SightCount(
        5.2,
        2,
        {1: -0.3, 2: 0.9, 3: 0.4},
        (WindowCount(start_s, half, 3.1), WindowCount(half, end, 2.1)),
    )
    sound = SoundCount(6.0, (WindowCount(start_s, end, 6.0),))
    result = CountResult(
        file, duration_s, 5.4, sight, sound, 0.25, "default", "paper", 1.0, start_s
    )
    return dataclasses.replace(result, **changes)


def _texts(figure):
    found = [t.get_text() for t in figure.texts]
    for axes in figure.axes:
        found += [t.get_text() for t in axes.texts]
        found += [axes.get_title(loc="left"), axes.get_ylabel()]
    return [t for t in found if t]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two seconds of a moving bar with clicks."""
    path = tmp_path_factory.mktemp("plot") / "clip.mp4"
    frames = np.full((20, 48, 64, 3), 60, np.uint8)
    for t, frame in enumerate(frames):
        frame[:, 3 * t : 3 * t + 6] = 220
    waveform = np.zeros(2 * 22050, np.float32)
    waveform[::5000] = 0.9
    encode.write_video(path, frames, 10, waveform, 22050)
    return path


def test_it_says_the_count_and_each_share():
    texts = _texts(plot_result(_result()))
    assert {"5", "repetitions", "<array>", "5.2", "6.0", "3.1", "2.1"} <= set(texts)
    assert {"= 5.2", "= 6.0", "stride 2 scored best"} <= set(texts)
    assert any("γ = 0.25" in t for t in texts)


def test_one_repetition_is_singular():
    assert "repetition" in _texts(plot_result(_result(count=1.2)))


def test_frames_and_spectrogram_come_from_the_file(clip):
    figure = plot_result(_result(str(clip), 2.0))
    images = [len(axes.images) for axes in figure.axes[:3]]
    assert images[0] == 0  # the gauge
    assert images[1] >= 5  # frames
    assert images[2] == 1  # the spectrogram
    time_axes = [axes.get_xlim() for axes in figure.axes[1:5]]
    assert time_axes == [(0.0, 2.0)] * 4


def test_time_axis_covers_the_counted_part_only(clip):
    figure = plot_result(_result(str(clip), 0.8, start_s=1.0))
    assert figure.axes[2].get_xlim() == (1.0, 1.8)
    assert any("from 1 s" in t for t in _texts(figure))


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"sound": None, "reliability": None}, "no sound"),
        ({"sight": None, "reliability": None}, "no picture"),
    ],
)
def test_missing_streams_say_so(changes, note):
    assert note in _texts(plot_result(_result(**changes)))


def test_a_stream_left_out_on_purpose_says_so(clip):
    result = _result(str(clip), 2.0, sound=None, reliability=None)
    texts = _texts(plot_result(result))
    assert "sound was not counted" in texts
    assert "no sound" not in texts


def test_a_given_stride_has_no_scores():
    sight = dataclasses.replace(_result().sight, stride_scores={})
    assert "stride 2 was given" in _texts(plot_result(_result(sight=sight)))


def test_the_best_score_covers_no_other():
    strides = (1, 2, 3, 4, 6, 8, 12)
    scores = dict(zip(strides, (0.24, 0.28, 0.28, 0.25, 0.2, 0.1, 0.0), strict=True))
    sight = dataclasses.replace(_result().sight, stride_scores=scores)
    figure = plot_result(_result(sight=sight))
    figure.draw_without_rendering()
    label = next(
        t for axes in figure.axes for t in axes.texts if t.get_text() == "0.28"
    )
    extent = label.get_window_extent()
    dots = [line for line in label.axes.lines if line.get_marker() == "o"]
    assert len(dots) == len(strides)
    assert not any(extent.overlaps(dot.get_window_extent()) for dot in dots)
    assert extent.x1 <= label.axes.get_window_extent().x1


@pytest.mark.parametrize("content", [None, b"not a video"])
def test_file_that_went_away_is_a_note(tmp_path, content):
    path = tmp_path / "gone.mp4"
    if content is not None:
        path.write_bytes(content)
    texts = _texts(plot_result(_result(str(path))))
    assert "the file cannot be read any more" in texts


def test_odd_names_are_drawn_literally(tmp_path):
    name = "$x_1$ \u65e5\u672c " + "long" * 40 + ".mp4"
    texts = _texts(plot_result(_result(name), tmp_path / "odd.png"))
    assert any(t.startswith("$x_1$ \u25a1\u25a1 ") and len(t) <= 64 for t in texts)


@pytest.mark.parametrize("seconds", [0.04, 1.0, 100.0, 900.0, 30_000.0])
def test_any_length_can_be_drawn(tmp_path, seconds):
    windows = tuple(
        WindowCount(i * seconds / 500, (i + 1) * seconds / 500, i % 4 - 0.2)
        for i in range(500)
    )
    sound = SoundCount(sum(w.count for w in windows), windows)
    plot_result(_result(duration_s=seconds, sound=sound), tmp_path / "any.png")
    with Image.open(tmp_path / "any.png") as image:
        assert image.size[0] > 1000


def test_no_windows_at_all(tmp_path):
    empty = SightCount(0.0, 1, {1: 0.0, 2: 0.0}, ())
    result = _result(duration_s=0.0, sight=empty, sound=None, reliability=None)
    plot_result(result, tmp_path / "empty.png")


def test_png_and_svg_are_written_whole(tmp_path):
    result = _result()
    result.plot(tmp_path / "a.png")
    result.plot(tmp_path / "a.SVG")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
    assert (tmp_path / "a.SVG").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.SVG", "a.png"]


@pytest.mark.parametrize("name", ["plot.gif", "plot", "plot.mp4"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        plot_result(_result(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        plot_result(_result(), tmp_path / "no" / "folder.png")
    assert not list(tmp_path.iterdir())


def test_pyplot_stays_out():
    code = "import sys, rac_jax.view.plot as p; assert 'matplotlib.pyplot' not in sys.modules"
    own_process.output(code)
