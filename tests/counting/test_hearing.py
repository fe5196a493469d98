"""What is heard of a set that was seen, and what is made of both."""

import itertools

import numpy as np
import pytest

from rac_jax.counting.rate import Rate
from rac_jax.counting.result import CountResult, RepetitionSet
from rac_jax.counting.skim import hearing


def cycles_of(first_s, last_s, period_s=1.0, probability=0.9):
    """A set of even cycles."""
    edges = np.arange(first_s, last_s + 1e-6, period_s)
    cycles = tuple(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    return RepetitionSet(first_s, last_s, float(len(cycles)), cycles, probability)


def heard(*sets):
    """A count by sound that found these sets."""
    return CountResult(
        "x", 0.0, 60.0, 0.0, Rate(), (), "known", "known", 0.1, sets=sets
    )


def test_what_is_heard_around_a_set_is_it_if_it_is_as_fast():
    seen = cycles_of(20, 26)
    ear = cycles_of(10.2, 40.2)
    assert hearing.heard_set(heard(cycles_of(0, 5), ear), seen) == ear
    assert hearing.heard_set(heard(cycles_of(10, 40, 0.8)), seen) is None
    assert hearing.heard_set(heard(cycles_of(23.5, 40.5)), seen) is None
    assert hearing.heard_set(heard(), seen) is None
    # After a short pause it goes on; after a long one, or faster, it is another set.
    after = cycles_of(42.2, 50.2, probability=0.8)
    both = hearing.heard_set(heard(ear, after), seen)
    assert (both.start_s, both.end_s, both.count) == (10.2, 50.2, 38)
    assert both.probability == 0.8
    assert hearing.heard_set(heard(ear, cycles_of(44, 50)), seen) == ear
    assert hearing.heard_set(heard(ear, cycles_of(42, 50, 0.5)), seen) == ear


@pytest.mark.parametrize(
    ("opened", "count", "span"),
    [
        ((True, True), 30.2, (10.2, 40.2)),
        ((False, True), 20.2, (20, 40.2)),
        ((True, False), 15.8, (10.2, 26)),
        ((False, False), 6, (20, 26)),
    ],
)
def test_a_set_is_filled_where_it_may_go_on(opened, count, span):
    seen = hearing.Seen(cycles_of(20, 26), *opened)
    # The ear's cycles end .2 s away from where those that are seen do.
    whole = hearing.filled([seen], cycles_of(10.2, 40.2, probability=0.7))
    assert whole.count == pytest.approx(count, abs=0.25)
    assert (whole.start_s, whole.end_s) == pytest.approx(span, abs=0.3)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(whole.cycles))


def test_two_looks_at_one_set_are_one_with_what_is_heard_between():
    ear = cycles_of(10, 40)
    parts = [
        hearing.Seen(cycles_of(12, 16), True, True),
        hearing.Seen(cycles_of(30, 34), True, True),
    ]
    whole = hearing.filled(parts, ear)
    assert (whole.start_s, whole.end_s) == (10, 40)
    assert whole.count == pytest.approx(30)
    assert len(whole.cycles) == 30
