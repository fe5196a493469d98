"""The path through periods against brute force, and what is counted along it."""

import itertools

import numpy as np
import pytest

from rac_jax.models.compact import decoder
from rac_jax.models.compact.decoder import DecodingConfig
from rac_jax.models.compact.grid import absolute_log_periods

LOG_PERIODS = absolute_log_periods()


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
    monkeypatch.setattr(decoder, "NO_REPETITION", 4)
    rng = np.random.default_rng(0)
    for _ in range(20):
        masses = rng.dirichlet(np.ones(5) * 0.4, 5)
        gains = np.log(np.maximum(masses, decoder.FLOOR))

        def value(path, gains=gains):
            total = sum(gains[t, state] for t, state in enumerate(path))
            for a, b in itertools.pairwise(path):
                near = a != 4 and b != 4 and abs(a - b) <= decoder.NEIGHBOURS
                stays = a == b
                total -= 0 if stays else min(0.3 * abs(a - b), 2.0) if near else 2.0
            return total

        best = max(itertools.product(range(5), repeat=5), key=value)
        found = decoder.best_path(masses, 0.3, 2.0)
        assert value(found) == pytest.approx(value(best))


def test_a_steady_rhythm_is_the_length_over_the_period():
    found = decoder.decode(distribution([20.0] * 50), 200, DecodingConfig())
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
    plain, found = (decoder.decode(d, 200, DecodingConfig()) for d in (steady, doubt))
    assert found.count == pytest.approx(plain.count, rel=0.03)
    assert len(found.sets) == 1


def test_two_sets_have_their_own_counts():
    line = [10.0] * 25 + [None] * 30 + [20.0] * 45
    found = decoder.decode(distribution(line), 400, DecodingConfig())
    first, second = found.sets
    assert first.count == pytest.approx(10, rel=0.06)
    assert second.count == pytest.approx(9, rel=0.06)
    assert (first.first, first.end) == (0, 100)
    assert (second.first, second.end) == (220, 400)
    assert not found.rate[100:220].any()


def test_nothing_is_zero_and_says_how_sure():
    found = decoder.decode(distribution([None] * 30), 118, DecodingConfig())
    assert found.count == 0 and found.sets == () and len(found.rate) == 118
    assert found.score > 0.9


def test_too_few_and_too_unsure_is_nothing():
    short = distribution([None] * 20 + [40.0] * 12 + [None] * 20)
    assert decoder.decode(short, 208, DecodingConfig()).count == 0
    assert decoder.decode(short, 208, DecodingConfig(least_count=1.0)).count > 1
    unsure = 0.2 * distribution([20.0] * 40) + 0.8 / 55
    assert decoder.decode(unsure, 160, DecodingConfig(nothing=0.1)).count == 0
    assert decoder.decode(unsure, 160, DecodingConfig(nothing=0.1, score=0.0)).count > 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"least": 1.0}, "decoding.least: no such field, known: drift, gap, jump"),
        ({"jump": -1.0}, "decoding.jump: must be at least 0, not -1.0"),
        ({"gap": float("nan")}, "decoding.gap: must be at least 0, not nan"),
    ],
)
def test_wrong_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        DecodingConfig.from_fields(fields)
