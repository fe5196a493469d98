"""One count and its rate from two streams, by hand."""

import dataclasses

import numpy as np
import pytest

from rac_jax.counting.result import WindowCount
from rac_jax.models.sight_sound.fusion import (
    Decision,
    StreamCount,
    mean_classes,
    rate_of,
)
from rac_jax.models.sight_sound.network import fuse

DETAILS = {"stride_scores": {}}
SIGHT = StreamCount(6.0, (WindowCount(0, 2, 4.0), WindowCount(2, 4, 2.0)))
SOUND = StreamCount(9.0, (WindowCount(0, 3, 3.0), WindowCount(3, 6, 6.0)))


def decide(**changes):
    found = {
        "sight": SIGHT,
        "sound": SOUND,
        "reliability": 0.25,
        "joined": None,
        "end_s": 4.0,
        "heard_s": 6.0,
        "class_names": {},
        "details": DETAILS,
    }
    return Decision(**(found | changes)).measurement(0.0)


def test_fusion_is_equation_10():
    assert float(fuse(4.0, 8.0, 0.25)) == pytest.approx(4 * 0.75 + 8 * 0.25)
    assert decide().count == pytest.approx(6 * 0.75 + 9 * 0.25)


def test_the_rate_is_equation_10_over_time():
    found = decide()
    assert found.rate.integral == pytest.approx(found.count)
    rates = {0.5: (2, 1), 2.5: (1, 1), 3.5: (1, 2), 5.0: (0, 2)}
    for time_s, (sight, sound) in rates.items():
        width = found.rate.done([time_s + 0.1])[0] - found.rate.done([time_s - 0.1])[0]
        assert width / 0.2 == pytest.approx(0.75 * sight + 0.25 * sound)


def test_windows_that_do_not_add_up_are_scaled():
    """Those of the released protocol overlap."""
    sight = StreamCount(3.0, SIGHT.windows)
    rate = rate_of([(sight, 1.0)], 0.0, 4.0, 3.0)
    assert rate.integral == pytest.approx(3.0)
    np.testing.assert_allclose(rate.done([2.0]), [2.0])


def test_windows_outside_of_the_part_do_not_count():
    """Rounded times of windows may lie past the end by a little."""
    sight = StreamCount(6.0, (*SIGHT.windows, WindowCount(4.0, 4.5, 1.0)))
    rate = rate_of([(sight, 1.0)], 0.0, 4.0, 6.0)
    assert rate.edges_s == (0.0, 2.0, 4.0)
    assert rate.integral == pytest.approx(6.0)


@pytest.mark.parametrize("counts", [(), (0.0,), (-1.0,)])
def test_where_no_window_tells_the_rate_is_constant(counts):
    windows = tuple(WindowCount(0, 1, count) for count in counts)
    rate = rate_of([(StreamCount(5.0, windows), 1.0)], 1.0, 3.0, 5.0)
    assert (rate.edges_s, rate.per_s) == ((1.0, 3.0), (2.5,))


def test_negative_counts_become_zero():
    sight = StreamCount(-2.0, (WindowCount(0, 4, -2.0),))
    found = decide(sight=sight, sound=None, reliability=None, heard_s=0.0)
    assert (found.count, found.rate.per_s) == (0.0, ())
    assert found.streams[0].count == -2.0
    mixed = decide(sight=sight)
    assert mixed.count == pytest.approx(max(0, -2 * 0.75 + 9 * 0.25))
    assert mixed.rate.integral == pytest.approx(mixed.count)


@pytest.mark.parametrize("name", ["sight", "sound"])
def test_one_stream_alone(name):
    other = {"sight": "sound", "sound": "sight"}[name]
    found = decide(**{other: None, "reliability": None})
    (stream,) = found.streams
    assert (stream.name, stream.weight) == (name, 1.0)
    assert found.count == stream.count == found.rate.integral


def test_classes_are_a_mean_over_time():
    windows = (WindowCount(0, 3, 4.0), WindowCount(3, 4, 2.0))
    found = mean_classes(windows, np.array([[0.8, 0.2], [0.4, 0.6]]))
    assert found == pytest.approx((0.7, 0.3))
    still = (WindowCount(2, 2, 4.0), WindowCount(2, 2, 2.0))
    found = mean_classes(still, np.array([[0.8, 0.2], [0.4, 0.6]]))
    assert found == pytest.approx((0.6, 0.4))


def test_classes_go_by_their_names_or_numbers():
    sight = dataclasses.replace(SIGHT, classes=(0.75, 0.25))
    sound = dataclasses.replace(SOUND, classes=(0.5, 0.5))
    names = {"sight": ["jump", "saw"]}
    found = decide(sight=sight, sound=sound, class_names=names).details
    assert found == DETAILS | {
        "classes": {
            "sight": {"jump": 0.75, "saw": 0.25},
            "sound": {"0": 0.5, "1": 0.5},
        }
    }
    assert decide(sight=sight, sound=None).details["classes"].keys() == {"sight"}
    # A stream whose windows were not looked at.
    assert decide().details["classes"] == {}


def test_a_head_that_fuses_by_itself():
    joined = StreamCount(5.0, (WindowCount(0, 2, 1.0), WindowCount(2, 4, 4.0)))
    found = decide(joined=joined, reliability=None)
    assert found.count == 5.0
    assert [one.weight for one in found.streams] == [None, None]
    np.testing.assert_allclose(found.rate.done([2.0, 4.0]), [1.0, 5.0])


def test_nothing():
    found = decide(sight=None, sound=None, reliability=None, end_s=0.0, heard_s=0.0)
    assert (found.count, found.streams, found.rate.per_s) == (0.0, (), ())


def test_the_panel_needs_scores():
    assert decide().panel is None
    scores = {"stride_scores": {"1": 0.5, "2": 0.7}, "stride": 2}
    assert decide(details=scores).panel is not None
