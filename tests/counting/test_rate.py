"""`Rate`: its integral is the count, and its running count never falls."""

import numpy as np
import pytest

from rac_jax.counting.rate import SHORTEST_S, Rate


def test_a_constant_rate():
    rate = Rate.constant(10.0, 14.0, 6.0)
    assert (rate.edges_s, rate.per_s) == ((10.0, 14.0), (1.5,))
    assert rate.integral == pytest.approx(6.0)
    np.testing.assert_allclose(rate.done([0, 10, 12, 14, 99]), [0, 0, 3, 6, 6])


def test_knots():
    rate = Rate.from_knots([0, 1, 3, 4], [0, 2, 2, 5])
    assert rate.per_s == pytest.approx((2.0, 0.0, 3.0))
    np.testing.assert_allclose(rate.done([0.5, 2.0, 3.5]), [1.0, 2.0, 3.5])


@pytest.mark.parametrize("done", [[0.0, 0.0], [0.0], []])
def test_nothing_counted_is_no_rate(done):
    rate = Rate.from_knots(list(range(len(done))), done)
    assert (rate.edges_s, rate.per_s, rate.integral) == ((), (), 0.0)
    np.testing.assert_array_equal(rate.done([0.0, 1.0]), [0.0, 0.0])


def test_a_jump_takes_a_millisecond():
    rate = Rate.from_knots([1.0, 1.0, 1.0], [0.0, 2.0, 3.0])
    assert rate.edges_s == pytest.approx((1.0, 1 + SHORTEST_S, 1 + 2 * SHORTEST_S))
    assert rate.integral == pytest.approx(3.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_running_count_never_falls(seed):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 9, 12))
    done = np.concatenate([[0.0], np.cumsum(rng.uniform(0, 2, 11))])
    rate = Rate.from_knots(times, done)
    counts = rate.done(np.linspace(-1, 10, 300))
    assert (np.diff(counts) >= -1e-12).all()
    assert counts[0] == 0
    assert counts[-1] == pytest.approx(done[-1])
    assert rate.integral == pytest.approx(done[-1])


@pytest.mark.parametrize(
    ("edges", "rates", "message"),
    [
        ((0.0, 1.0), (), "2 edges for 0 spans"),
        ((0.0, 1.0), (1.0, 1.0), "2 edges for 2 spans"),
        ((0.0, 1.0, 1.0), (1.0, 1.0), "do not rise"),
        ((0.0, float("nan")), (1.0,), "do not rise"),
        ((0.0, 1.0), (-0.1,), "-0.1 repetitions"),
        ((0.0, 1.0), (float("nan"),), "nan repetitions"),
        ((0.0, 1.0, 2.0), (1.0, float("nan")), "repetitions"),
        ((0.0, 1.0), (float("inf"),), "repetitions"),
        ((0.0, float("inf")), (1.0,), "do not rise"),
    ],
)
def test_what_is_no_rate(edges, rates, message):
    with pytest.raises(ValueError, match=message):
        Rate(edges, rates)


def test_knots_that_fall_are_refused():
    with pytest.raises(ValueError, match="repetitions per second"):
        Rate.from_knots([0, 1, 2], [0, 2, 1])
