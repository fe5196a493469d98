"""The panel of the plot: scores of temporal strides in plain words."""

import types

import pytest

figures = pytest.importorskip("matplotlib.figure", reason="needs matplotlib")

from rac_jax.models.sight_sound import panel


def drawn(scores, stride):
    axes = figures.Figure(figsize=(2, 2)).subplots()
    details = {"stride": stride, "stride_scores": scores}
    panel.draw(axes, types.SimpleNamespace(details=details))
    axes.figure.canvas.draw()
    return axes


def test_dots_and_words():
    axes = drawn({"1": 0.5, "2": 3.0, "3": -1.0}, 2)
    assert "every 2nd frame" in axes.get_title(loc="left")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2", "3"]
    dots = {(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines[1::2]}
    assert dots == {(0.5, 1), (3.0, 2), (-1.0, 3)}
    low, high = axes.get_xlim()
    assert low < -1 < 3 < high


@pytest.mark.parametrize(
    "stride,words",
    [(1, "at every frame"), (3, "3rd"), (11, "11th"), (22, "22nd"), (40, "40th")],
)
def test_the_chosen_stride_in_words(stride, words):
    scores = {str(s): -abs(s - stride) for s in range(1, 41)}
    axes = drawn(scores, stride)
    assert words in axes.get_title(loc="left")
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert str(stride) in labels
    assert len(labels) <= 10


def test_equal_scores():
    low, high = drawn({"1": 2.0, "2": 2.0}, 1).get_xlim()
    assert low < 2 < high
