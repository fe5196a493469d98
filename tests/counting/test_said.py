"""What is said of a stream: never taken back beyond the delay, sets for themselves."""

import itertools

import numpy as np
import pytest

from rac_jax.counting.rate import Rate
from rac_jax.counting.reading import Reading
from rac_jax.counting.said import QUIET_S, REST_S, Said, SaidSet


def _reading(until_s: float, *sets: tuple[float, float, float], since_s=0.0) -> Reading:
    """A reading with sets (start_s, end_s, period_s), as far as they are over by then."""
    times, done = [], [0.0]
    for start_s, end_s, period_s in sets:
        end_s = min(end_s, until_s)
        if end_s > start_s:
            times += [start_s, end_s]
            more = done[-1] + (end_s - start_s) / period_s
            done += [more] if len(done) == 1 else [done[-1], more]
    return Reading(Rate.from_knots(times, done), since_s, until_s)


def _heard(said: Said, readings) -> list[Said]:
    return list(itertools.accumulate(readings, Said.hear, initial=said))[1:]


def _follow(*sets, until_s: float, delay_s: float = 0.5) -> list[Said]:
    times = np.arange(0.25, until_s + 0.01, 0.25)
    return _heard(Said(delay_s), (_reading(t, *sets) for t in times))


def test_a_cycle_is_said_when_it_is_over():
    found = _follow((1.0, 5.0, 1.0), until_s=10.0)
    said_s = [
        next(one.until_s for one in found if one.count >= k) for k in (1, 2, 3, 4)
    ]
    np.testing.assert_allclose(said_s, [2.0, 3.0, 4.0, 5.0])
    assert found[-1].count == found[-1].settled == 4
    assert found[-1].sets == (SaidSet(1.0, 5.0, 4),)
    np.testing.assert_allclose(found[-1].durations_s, 1.0)
    assert found[-1].resting
    assert found[-1].open_set is None


def test_a_set_that_rests_is_rounded():
    found = _follow((1.0, 4.6, 1.0), until_s=4.6 + QUIET_S + 0.5)
    assert [one.count for one in found if one.until_s <= 4.6][-1] == 3
    assert found[-1].count == 4


def test_sets_stand_for_themselves():
    """3.4 and 3.4 are 3 and 3, and the second begins at nothing."""
    found = _follow((1.0, 4.4, 1.0), (10.0, 13.4, 1.0), until_s=16.0)
    assert [one.count for one in found[-1].sets] == [3, 3]
    assert found[-1].count == 6
    assert next(one.until_s for one in found if one.count == 4) == pytest.approx(11.0)


def test_an_increment_is_taken_back_within_the_delay_only():
    wrong = [_reading(t, (0.0, 9.0, 0.5)) for t in (1.0, 1.25, 1.5)]
    right = [_reading(t, (0.0, 9.0, 1.0)) for t in (1.75, 2.0)]
    assert [one.count for one in _heard(Said(0.0), wrong + right)] == [2, 2, 3, 3, 3]
    # The third is said at 1.5 s, and the first two are final half a second after 1 s.
    revised = _heard(Said(0.5), wrong + right)
    assert [one.count for one in revised] == [2, 2, 3, 2, 2]
    assert [one.settled for one in revised] == [0, 0, 2, 2, 2]
    assert [one.count for one in _heard(Said(9.0), wrong + right)][-1] == 2


@pytest.mark.parametrize("delay_s", [0.0, 0.3, 1.0])
def test_nothing_settled_is_taken_back_whatever_is_read(delay_s):
    rng = np.random.default_rng(0)
    said, now, said_at = Said(delay_s), 0.0, []
    for _ in range(400):
        now += rng.uniform(0.05, 0.5)
        start_s = max(0.0, now - rng.uniform(0, 6))
        end_s = start_s + rng.uniform(0, 8)
        reading = _reading(
            now, (start_s, end_s, rng.uniform(0.3, 3)), since_s=max(0, now - 5)
        )
        before, said = said, said.hear(reading)
        assert said.settled >= before.settled
        assert said.count >= said.settled
        # What was said longer ago than the delay is still said.
        del said_at[said.count :]
        assert said.count >= sum(at <= now - delay_s for at in said_at)
        said_at += [now] * (said.count - len(said_at))
        assert sum(one.count for one in said.sets) <= said.count


def test_a_set_that_was_none_does_not_swallow_the_next():
    false = [_reading(t, (0.0, 2.0, 1.0)) for t in (1.0, 1.5, 2.0)]
    gone = [_reading(t) for t in np.arange(2.25, 2.25 + REST_S + 0.5, 0.25)]
    later = [_reading(t, (6.0, 9.0, 1.0)) for t in (7.0, 8.0, 9.0)]
    found = _heard(Said(0.0), [*false, *gone, *later])
    assert [one.count for one in found[-3:]] == [3, 4, 5]


def test_a_long_set_is_carried_on_where_no_reading_reaches_back():
    times = np.arange(0.25, 120.25, 0.25)
    found = _heard(
        Said(0.5),
        (
            _reading(t, (max(1.0, t - 20), 200.0, 1.0), since_s=max(0.0, t - 20))
            for t in times
        ),
    )
    assert found[-1].count == 119


def test_at_the_end_what_the_whole_is_counted_is_said_but_for_what_is_final():
    last = _follow((1.0, 9.0, 1.0), until_s=4.75)[-1]
    assert (last.count, last.settled) == (3, 3)
    assert (last.conclude(5).count, last.conclude(5).settled) == (5, 5)
    assert (last.conclude(2).count, last.conclude(2).settled) == (3, 3)
    assert Said(0.5).conclude(0) == Said(0.5)


def test_a_delay_is_a_time():
    with pytest.raises(ValueError, match="delay_s: must be at least 0, not -1"):
        Said(-1)
