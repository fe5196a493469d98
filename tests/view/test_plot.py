"""The plot of a result: what it says, and that it can always be drawn."""

import dataclasses
import itertools
import pathlib

import numpy as np
import pytest
from PIL import Image

from rac_jax.counting.rate import Rate
from rac_jax.counting.result import Curve, Stream, WindowCount
from rac_jax.media import encode
from rac_jax.view.plot import plot_result
from tests import own_process
from tests.results import evenly, repetition_set, with_sets

SIGHT = Stream("sight", 5.2, 0.75, (WindowCount(0, 5, 3.1), WindowCount(5, 10, 2.1)))
SOUND = Stream("sound", 6.0, 0.25, (WindowCount(0, 10, 6.0),))
SETS = (repetition_set(1.0, 3, 1.0), repetition_set(6.0, 2, 1.5))


def _texts(figure):
    found = [t.get_text() for t in figure.texts]
    for axes in figure.axes:
        found += [t.get_text() for t in axes.texts]
        found += [axes.get_title(), axes.get_ylabel()]
    return [t for t in found if t]


def _lane(figure, name):
    """The axes of the lane of that name."""
    return next(a for a in figure.axes if name in [t.get_text() for t in a.texts])


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


def test_it_says_the_sentence_and_each_share():
    result = evenly(5.4, streams=(SIGHT, SOUND), confidence=0.62)
    texts = _texts(plot_result(result))
    assert {"5", "by sight", "by sound", "3.1", "2.1", "6"} <= set(texts)
    assert {"5.2 alone", "weight 75 %", "6 alone", "weight 25 %"} <= set(texts)
    assert "repetitions in 10.0 s, one each 1.85 s (likely)" in texts
    about = "<array>  ·  10.0 s  ·  model toy  ·  62 % sure to be within one repetition"
    assert about in texts


def test_one_repetition_is_singular():
    assert "repetition in 10.0 s" in _texts(plot_result(evenly(1.2)))


def test_the_running_count_steps_at_the_ends_of_cycles():
    axes = _lane(plot_result(with_sets(*SETS)), "count so far")
    times, done = axes.lines[0].get_data()
    np.testing.assert_allclose(times, [0, 2, 3, 4, 7.5, 9, 10])
    np.testing.assert_allclose(done, [0, 1, 2, 3, 4, 5, 5])
    assert axes.lines[0].get_drawstyle() == "steps-post"


def test_without_cycles_it_follows_the_rate():
    rate = Rate.from_knots([0, 4, 10], [0, 4, 6])
    result = dataclasses.replace(evenly(6.0), rate=rate)
    line = _lane(plot_result(result), "count so far").lines[0]
    np.testing.assert_allclose(line.get_xdata()[1:-1], [0, 4, 10])
    np.testing.assert_allclose(line.get_ydata()[1:-1], [0, 4, 6])


def test_the_pace_is_the_length_of_each_cycle():
    axes = _lane(plot_result(with_sets(*SETS)), "seconds each")
    tops = [p.vertices[:, 1].max() for p in axes.collections[0].get_paths()]
    np.testing.assert_allclose(tops, [1.0, 1.0, 1.0, 1.5, 1.5])
    assert "mean 1.20 s" in _texts(axes.figure)


def test_there_is_no_pace_where_next_to_nothing_is_counted():
    """A repetition a second, then a hundredth of one in five."""
    rate = Rate.from_knots([0, 5, 10], [0, 5, 5.01])
    result = dataclasses.replace(evenly(5.01), rate=rate)
    axes = _lane(plot_result(result), "seconds each")
    (bar,) = axes.collections[0].get_paths()
    assert (bar.vertices.min(), bar.vertices.max()) == (0.0, 5.0)


def test_one_long_cycle_does_not_squash_the_others():
    sets = (repetition_set(0, 20, 0.5), repetition_set(20.0, 1, 60.0))
    result = with_sets(*sets, duration_s=80.0)
    axes = _lane(plot_result(result), "seconds each")
    assert axes.get_ylim()[1] < 5


def test_a_slow_moment_does_not_squash_the_pace():
    """Ten milliseconds at three seconds per repetition, after one per second."""
    rate = Rate.from_knots([0, 9.99, 10], [0, 9.99, 9.9933])
    result = dataclasses.replace(evenly(9.9933), rate=rate)
    assert _lane(plot_result(result), "seconds each").get_ylim()[1] < 1.5


def test_sets_are_brackets_with_their_counts():
    texts = [t.get_text() for t in _lane(plot_result(with_sets(*SETS)), "2 sets").texts]
    assert texts == ["3", "2", "2 sets"]


def test_a_stream_of_no_count_is_one_line_of_words():
    silent = Stream("sound", 0.1, 0.04, (WindowCount(0, 10, 0.1),))
    figure = plot_result(evenly(5.2, streams=(SIGHT, silent)))
    axes = _lane(figure, "by sound")
    assert "no repetition alone, weight 4 %" in [t.get_text() for t in axes.texts]
    assert (
        axes.get_position().height
        < 0.4 * _lane(figure, "by sight").get_position().height
    )


def test_a_discarded_stream_does_not_squash_the_others():
    huge = Stream("sound", 102.0, 0.001, (WindowCount(0, 10, 102.0),))
    figure = plot_result(evenly(5.2, streams=(SIGHT, huge)))
    texts = _texts(figure)
    assert {"102 alone", "weight under 1 %", "▲ higher than drawn"} <= set(texts)
    axes = _lane(figure, "by sight")
    tallest = max(p.vertices[:, 1].max() for p in axes.collections[0].get_paths())
    assert tallest > 0.8 * axes.get_ylim()[1]


def test_a_stream_that_alone_speaks_sets_its_scale():
    huge = Stream("sound", 102.0, 0.001, (WindowCount(0, 10, 102.0),))
    texts = _texts(plot_result(evenly(5.2, streams=(huge,))))
    assert "▲ higher than drawn" not in texts


def test_streams_of_any_name_and_number():
    streams = tuple(
        Stream(f"$s_{k}$ \u65e5", 4.0, None, (WindowCount(0, 10, 4.0),))
        for k in range(9)
    )
    texts = _texts(plot_result(evenly(4.0, streams=streams)))
    assert {f"by $s_{k}$ □" for k in range(9)} <= set(texts)
    assert not any("weight" in text for text in texts)


def test_events_and_curves_take_a_lane_where_there_are_any():
    result = evenly(
        4.0,
        events=(1.0, 2.0, 7.0),
        density=Curve((0.0, 5.0, 10.0), (0.0, 4.0, 0.0)),
        foreground=Curve((0.0, 10.0), (0.2, 0.9)),
    )
    names = {"3 events", "density", "foreground"}
    assert names <= set(_texts(plot_result(result)))
    assert not names & set(_texts(plot_result(evenly(4.0))))


def test_the_familys_panel_is_drawn_beside_the_lanes():
    seen = []

    def panel(axes, result):
        seen.append(result)
        axes.set_title("what only this family would say of a video")

    result = evenly(4.0, panel=panel)
    figure = plot_result(result)
    assert seen == [result]
    axes = figure.axes[-1]
    lane = _lane(figure, "count so far").get_position()
    assert axes.get_position().x0 > lane.x1
    figure.draw_without_rendering()
    title = axes.title.get_window_extent()
    assert title.x1 <= figure.bbox.width
    assert title.y1 <= figure.bbox.height
    assert _lane(plot_result(evenly(4.0)), "count so far").get_position().x1 > lane.x1


def test_no_repetition_is_a_calm_picture(clip):
    result = evenly(
        0.2,
        2.0,
        file=str(clip),
        confidence=0.3,
        streams=(SIGHT,),
        panel=lambda axes, result: axes.set_title("panel"),
    )
    texts = _texts(plot_result(result))
    assert "No repetition found in 2.0 s (unsure)" in texts
    assert any("30 % sure to be within one repetition" in t for t in texts)
    assert "5.2 alone, weight 75 %" in texts
    assert not {"count so far", "seconds each", "panel", "0"} & set(texts)


def test_frames_and_spectrogram_come_from_the_file(clip):
    sets = (repetition_set(0.5, 2, 0.5),)
    figure = plot_result(with_sets(*sets, file=str(clip), duration_s=2.0))
    images = [axes for axes in figure.axes if axes.images]
    assert [len(axes.images) for axes in images][1:] == [1]
    assert len(images[0].images) >= 5
    assert {axes.get_xlim() for axes in figure.axes} == {(0.0, 2.0)}
    marks = [line.get_xdata()[0] for line in images[1].lines]
    np.testing.assert_allclose(marks, [0.5, 1.0, 1.5])


def test_time_axis_covers_the_counted_part_only(clip):
    figure = plot_result(evenly(3.0, 0.8, file=str(clip), start_s=1.0))
    assert figure.axes[0].get_xlim() == (1.0, 1.8)
    assert any("0.80 s from 1 s on" in t for t in _texts(figure))


@pytest.mark.parametrize("amplitude", [None, 0.0])
def test_a_file_without_sound_takes_a_line(tmp_path, amplitude):
    path = tmp_path / "silent.mp4"
    frames = np.full((10, 32, 32, 3), 90, np.uint8)
    sound = [] if amplitude is None else [np.full(22050, amplitude, np.float32), 22050]
    encode.write_video(path, frames, 10, *sound)
    figure = plot_result(evenly(3.0, 1.0, file=str(path)))
    note = "the file has no sound" if amplitude is None else "the sound is silent"
    assert note in _texts(figure)
    assert _lane(figure, "sound").get_position().height < 0.05


@pytest.mark.parametrize("content", [None, b"not a video"])
def test_file_that_went_away_is_a_note(tmp_path, content):
    path = tmp_path / "gone.mp4"
    if content is not None:
        path.write_bytes(content)
    texts = _texts(plot_result(evenly(3.0, file=str(path))))
    assert texts.count("the file cannot be read any more") == 1
    assert "count so far" in texts


def test_a_fault_is_shown():
    result = evenly(3.0, file="a.mp4", faults=("a.mp4: broken at 3 s",))
    assert "read in part: broken at 3 s" in _texts(plot_result(result))


def test_odd_names_are_drawn_literally(tmp_path):
    name = "$x_1$ \u65e5\u672c " + "long" * 40 + ".mp4"
    texts = _texts(plot_result(evenly(3.0, file=name), tmp_path / "odd.png"))
    about = next(t for t in texts if t.startswith("$x_1$ □□ "))
    assert len(about.split("  ·  ")[0]) <= 48


@pytest.mark.parametrize("seconds", [0.04, 1.0, 100.0, 900.0, 30_000.0])
def test_any_length_can_be_drawn(tmp_path, seconds):
    """Hundreds of cycles and windows, however long they are."""
    windows = tuple(
        WindowCount(i * seconds / 500, (i + 1) * seconds / 500, i % 4 - 0.2)
        for i in range(500)
    )
    streams = (Stream("sound", sum(w.count for w in windows), 1.0, windows),)
    sets = [repetition_set(k * seconds / 40, 9, seconds / 400) for k in range(40)]
    events = tuple(np.linspace(0, seconds, 900).tolist())
    result = with_sets(*sets, duration_s=seconds, streams=streams, events=events)
    plot_result(result, tmp_path / "any.png")
    with Image.open(tmp_path / "any.png") as image:
        assert image.size[0] > 1000


@pytest.mark.parametrize("seconds", [0.04, 7.0, 119.0, 900.0, 3700.0, 30_000.0])
def test_times_at_the_axis_do_not_overlap(seconds):
    figure = plot_result(evenly(4.0, seconds))
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.axes[-1].get_xticklabels()]
    assert len(boxes) > 3
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_lanes_and_header_do_not_overlap():
    """Names at the left end before the numbers of their lane, and lanes follow each other."""
    result = with_sets(*SETS, streams=(SIGHT, SOUND), events=(1.0,), confidence=0.9)
    figure = plot_result(result)
    figure.draw_without_rendering()
    for axes in figure.axes:
        names = [t for t in axes.texts if t.get_position()[0] < 0]
        numbers = [t for t in axes.get_yticklabels() if t.get_text()]
        for name, number in itertools.product(names, numbers):
            assert not name.get_window_extent().overlaps(number.get_window_extent())
    places = [axes.get_position() for axes in figure.axes]
    assert all(above.y0 >= below.y1 for above, below in itertools.pairwise(places))
    assert min(t.get_window_extent().y0 for t in figure.texts) > (
        places[0].y1 * figure.bbox.height
    )


def test_no_length_at_all(tmp_path):
    plot_result(evenly(0.0, 0.0), tmp_path / "empty.png")


def test_one_frame(tmp_path):
    path = tmp_path / "one.mp4"
    encode.write_video(path, np.full((1, 32, 320, 3), 90, np.uint8), 25)
    figure = plot_result(evenly(0.0, 0.04, file=str(path)), tmp_path / "one.png")
    assert len(figure.axes[0].images) >= 1


def test_png_and_svg_are_written_whole(tmp_path):
    result = evenly(3.0)
    result.plot(tmp_path / "a.png")
    result.plot(tmp_path / "a.SVG")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
    assert (tmp_path / "a.SVG").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.SVG", "a.png"]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_result_gives_the_same_file(tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        plot_result(with_sets(*SETS, streams=(SIGHT,)), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_sample_picture_is_small():
    path = pathlib.Path(__file__).parents[2] / "docs" / "sample.png"
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("name", ["plot.gif", "plot", "plot.mp4"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        plot_result(evenly(3.0), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        plot_result(evenly(3.0), tmp_path / "no" / "folder.png")
    assert not list(tmp_path.iterdir())


def test_pyplot_stays_out():
    code = "import sys, rac_jax.view.plot as p; assert 'matplotlib.pyplot' not in sys.modules"
    own_process.output(code)


def test_no_setting_is_left_behind(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plot_result(evenly(3.0), tmp_path / "a.svg")
    assert dict(matplotlib.rcParams) == before
