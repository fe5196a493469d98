"""The decision over strides, on lines made by hand."""

import numpy as np
import pytest

from rac_jax.counting import sets
from rac_jax.counting.periods import Periods

RULE = sets.Rule()
FPS = 25.0


def _line(stride, period, periodicity, mass=0.9) -> Periods:
    """A line from values per frame of the video."""
    frames = len(np.asarray(periodicity)[::stride])
    return Periods(
        stride,
        np.broadcast_to(np.log(period), len(periodicity))[::stride].astype(np.float32),
        np.full(frames, mass, np.float32),
        np.asarray(periodicity, np.float32)[::stride],
    )


def test_a_steady_repetition():
    reading = sets.read([_line(1, 20.0, np.ones(200))], 200, FPS, RULE)
    assert reading.count == pytest.approx(10, rel=1e-4)
    assert reading.confidence == pytest.approx(0.9, rel=1e-4)
    assert [(s.first, s.end) for s in reading.sets] == [(0, 200)]


def test_nothing_repeats():
    reading = sets.read([_line(1, 20.0, np.full(200, 0.1))], 200, FPS, RULE)
    assert (reading.count, reading.sets, reading.confidence) == (0, (), 0)


def test_the_surer_stride_is_trusted():
    lines = [
        _line(1, 10.0, np.full(240, 0.6)),
        _line(2, 20.0, np.full(240, 0.9)),
        _line(4, 12.0, np.full(240, 0.7)),
    ]
    reading = sets.read(lines, 240, FPS, RULE)
    assert reading.stride == 2
    assert reading.count == pytest.approx(12, rel=1e-4)
    assert max(reading.stride_scores, key=reading.stride_scores.get) == 2


def test_strides_that_agree_speak_for_each_other():
    lines = [
        _line(1, 10.0, np.full(240, 0.84)),
        _line(2, 20.0, np.full(240, 0.83)),
        _line(3, 20.5, np.full(240, 0.83)),
    ]
    assert sets.read(lines, 240, FPS, RULE).stride in (2, 3)
    alone = sets.Rule(agreement=0.0)
    assert sets.read(lines, 240, FPS, alone).stride == 1


def test_two_sets_of_different_tempo():
    """Each part is counted at the stride that sees it, and the pause is no part of a set."""
    fast = np.concatenate([np.ones(400), np.zeros(600)])
    slow = np.concatenate([np.zeros(600), np.ones(400)])
    lines = [_line(1, 8.0, fast), _line(8, 100.0, slow)]
    reading = sets.read(lines, 1000, FPS, RULE)
    assert [round(s.count, 2) for s in reading.sets] == [50.0, 4.0]
    assert reading.sets[0].end <= 400 and reading.sets[1].first >= 600


def test_a_short_break_does_not_end_a_set():
    periodicity = np.ones(300)
    periodicity[100:115] = 0
    assert len(sets.read([_line(1, 20.0, periodicity)], 300, FPS, RULE).sets) == 1
    periodicity[100:140] = 0
    assert len(sets.read([_line(1, 20.0, periodicity)], 300, FPS, RULE).sets) == 2


def test_too_short_or_unsure_sets_are_left_out():
    periodicity = np.zeros(300)
    periodicity[100:125] = 1
    assert sets.read([_line(1, 20.0, periodicity)], 300, FPS, RULE).count == 0
    unsure = _line(1, 20.0, np.ones(300), mass=0.3)
    assert sets.read([unsure], 300, FPS, RULE).count == 0


@pytest.mark.parametrize("frames", [1, 2, 11])
def test_short_videos(frames):
    assert sets.read([_line(1, 20.0, np.ones(frames))], frames, FPS, RULE).count == 0
