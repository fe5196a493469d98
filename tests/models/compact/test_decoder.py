"""The path through periods against brute force, and what is counted along it."""

import itertools

import numpy as np
import pytest

from rac_jax.models.compact import decoder as sets
from rac_jax.models.compact import network as compact

LOG_PERIODS = compact.absolute_log_periods()


def distribution(periods):
    """[G, 55] sharp distributions at periods in frames; None for no repetition."""
    rows = np.full((len(periods), 55), 1e-4)
    for row, period in zip(rows, periods, strict=True):
        if period is None:
            row[-1] = 1
        else:
            row[np.argmin(np.abs(LOG_PERIODS - np.log(period)))] = 1
    return rows / rows.sum(1, keepdims=True)


def test_the_path_is_the_best_of_all(monkeypatch):
    monkeypatch.setattr(sets, "NOTHING", 4)
    rng = np.random.default_rng(0)
    for _ in range(20):
        masses = rng.dirichlet(np.ones(5) * 0.4, 5)
        gains = np.log(np.maximum(masses, sets.FLOOR))

        def value(path, gains=gains):
            total = sum(gains[t, state] for t, state in enumerate(path))
            for a, b in itertools.pairwise(path):
                near = a != 4 and b != 4 and abs(a - b) <= sets.NEIGHBOURS
                stays = a == b
                total -= 0 if stays else min(0.3 * abs(a - b), 2.0) if near else 2.0
            return total

        best = max(itertools.product(range(5), repeat=5), key=value)
        found = sets.best_path(masses, 0.3, 2.0)
        assert value(found) == pytest.approx(value(best))


def test_a_steady_rhythm_is_the_length_over_the_period():
    found = sets.tally(distribution([20.0] * 50), 200, sets.Rule())
    assert found.count == pytest.approx(10, rel=0.05)
    (one,) = found.sets
    assert (one.first, one.end) == (0, 200)
    assert len(one.edges) == 11
    np.testing.assert_allclose(np.diff(one.edges), 20, rtol=0.05)
    assert found.rate.sum() == pytest.approx(found.count)
    assert found.score > 0.9


def test_a_moments_doubt_neither_ends_a_set_nor_doubles_its_tempo():
    steady = distribution([20.0] * 50)
    doubt = steady.copy()
    doubt[20:22] = distribution([40.0, None])
    plain, found = (sets.tally(d, 200, sets.Rule()) for d in (steady, doubt))
    assert found.count == pytest.approx(plain.count, rel=0.03)
    assert len(found.sets) == 1


def test_two_sets_have_their_own_counts():
    line = [10.0] * 25 + [None] * 30 + [20.0] * 45
    found = sets.tally(distribution(line), 400, sets.Rule())
    first, second = found.sets
    assert first.count == pytest.approx(10, rel=0.06)
    assert second.count == pytest.approx(9, rel=0.06)
    assert (first.first, first.end) == (0, 100)
    assert (second.first, second.end) == (220, 400)
    assert not found.rate[100:220].any()


def test_nothing_is_zero_and_says_how_sure():
    found = sets.tally(distribution([None] * 30), 118, sets.Rule())
    assert found.count == 0 and found.sets == () and len(found.rate) == 118
    assert found.score > 0.9


def test_too_few_and_too_unsure_is_nothing():
    short = distribution([None] * 20 + [40.0] * 12 + [None] * 20)
    assert sets.tally(short, 208, sets.Rule()).count == 0
    assert sets.tally(short, 208, sets.Rule(least=1.0)).count > 1
    unsure = 0.2 * distribution([20.0] * 40) + 0.8 / 55
    assert sets.tally(unsure, 160, sets.Rule(nothing=0.1)).count == 0
    assert sets.tally(unsure, 160, sets.Rule(nothing=0.1, score=0.0)).count > 1
