"""Counting by phases, by hand."""

import numpy as np
import pytest

from rac_jax.models.sien.phases import SCHEMES, PhaseCounter, PhaseState


def cycles(counter, phases):
    """What is counted of one class after the other, a quarter of a second each."""
    state = PhaseState()
    for place, phase in enumerate(phases):
        row = np.full(len(SCHEMES[counter.scheme]), 0.01)
        row[phase] = 1 - row.sum() + row[phase]
        state = counter.feed(state, row, place / 4)
    return state.cycles


@pytest.mark.parametrize(
    ("scheme", "phases", "ends"),
    [
        # Two repetitions, and a third that is not over.
        ("halves", [0, 1, 1, 2, 2, 1, 2, 2, 0, 0, 1, 2], [5, 8]),
        # A second half without a first one, and flicker to the background.
        ("halves", [2, 2, 0, 1, 0, 0, 2, 1], []),
        ("halves", [1, 2, 0, 2, 0, 1], [2]),
        ("middles", [1, 2, 1, 3, 3, 1, 2, 2, 3, 0], [3, 8]),
        # Two ends without a middle between them.
        ("middles", [1, 2, 3, 1, 3, 1, 2], [2]),
        ("ends", [0, 1, 1, 2, 2, 1, 2, 1], [3, 6]),
        ("ends", [2, 2, 0, 2], []),
    ],
)
def test_the_likeliest(scheme, phases, ends):
    found = cycles(PhaseCounter(scheme), phases)
    assert [end for _, end in found] == [place / 4 for place in ends]
    for (begin, end), (other, _) in zip(found, [*found[1:], (99, 99)], strict=False):
        assert begin < end <= other


def test_thresholds():
    counter = PhaseCounter("halves", "thresholds", far=0.6, home=0.5)
    rows = [(0.1, 0.8, 0.1), (0.1, 0.4, 0.5), (0.1, 0.2, 0.7), (0.1, 0.4, 0.5)]
    state = PhaseState()
    counts = []
    for place, row in enumerate([*rows, (0.3, 0.3, 0.4), (0.9, 0.1, 0.0)]):
        state = counter.feed(state, np.array(row), float(place))
        counts.append(len(state.cycles))
    # .5 is no more than .5: it is on its way back first at .6.
    assert counts == [0, 0, 0, 0, 1, 1]
    assert state.cycles == ((0.0, 4.0),)


def test_the_mean_of_several_predictions_flickers_less():
    phases = [1, 2, 2, 1, 2, 2, 1, 1, 1]
    assert len(cycles(PhaseCounter("halves"), phases)) == 2
    assert len(cycles(PhaseCounter("halves", average=3), phases)) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scheme": "x"}, "scheme: 'x' is not one of ends, middles, halves"),
        ({"decoder": "x"}, "decoder: 'x' is not one of argmax, thresholds"),
        ({"far": 1.0}, "far: 1.0 is not between 0 and 1"),
        ({"average": 0}, "average: 0 is not 1 or more"),
    ],
)
def test_wrong_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        PhaseCounter(**({"scheme": "halves"} | fields))
