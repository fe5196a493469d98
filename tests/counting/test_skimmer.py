"""Looking at a part of a video, by a model that knows what is in it."""

import dataclasses
import types

import numpy as np
import pytest

from rac_jax import media
from rac_jax.counting.needs import FrameNeeds, Needs, SoundNeeds
from rac_jax.counting.rate import Rate
from rac_jax.counting.result import (
    CountResult,
    RepetitionSet,
    Stream,
    WindowCount,
    rate_of_sets,
)
from rac_jax.counting.skim import (
    looks,
    policy,
    senses,
    skimmer,
)
from rac_jax.counting.skim.preview import preview
from rac_jax.media.encode import write_video
from tests.counting.test_hearing import cycles_of
from tests.counting.test_skim import LENGTH_S, SETS, film, made

__all__ = ["film"]  # a fixture


class Known:
    """Counts by heart: a repetition a second inside of the sets.

    `hears` is at how many a second it hears them by sound alone, or None where it cannot.
    """

    def __init__(
        self,
        confidence=0.96,
        probability=None,
        seen=1.0,
        hears=None,
        heard_probability=None,
    ):
        self.confidence, self.probability = confidence, probability
        self.heard_probability = heard_probability
        self.seen, self.hears = seen, hears
        self.config = {"name": "known"}
        self.family = types.SimpleNamespace(name="known", needs=self.needs)
        self.asked, self.listened = [], []

    def options(self, **values):
        """Without a picture where it hears, and without sound then."""
        if self.hears is None and values:
            raise ValueError(f"known: has no option {min(values)}")
        return values

    def needs(self, config, options):
        """As the options say."""
        frames = FrameNeeds((16, 16)) if options.get("sight", True) else None
        return Needs(frames, SoundNeeds(16_000) if options.get("sound", True) else None)

    def windows(self, sets):
        """What is seen of the sets."""
        told = ((one.start_s, one.end_s, self.seen * one.count) for one in sets)
        return tuple(WindowCount(*window) for window in told if window[2])

    def count(self, source, *, sight=True, sound=True):
        """A `FileSource` of a part."""
        if not (source.has_picture or source.has_sound):
            raise media.MediaError(f"{source.name}: has neither")
        end_s = LENGTH_S if source.end_s is None else source.end_s
        return self.part(source.start_s, end_s, sight, source.name, source.has_sound)

    def part(self, start_s=0.0, end_s=LENGTH_S, sight=True, path="x", sound=True):
        """What is counted between two times."""
        if sight and not self.asked:
            self.looked_first_after = len(self.listened)
        (self.asked if sight else self.listened).append((start_s, end_s))
        sets = []
        for first, last in SETS:
            begin, end = max(first, start_s), min(last, end_s)
            cycles = [(t, t + 1.0) for t in np.arange(np.ceil(begin), end - 0.99)]
            if cycles:
                span = (cycles[0][0], cycles[-1][1])
                number = len(cycles) * (1.0 if sight else self.hears)
                sure = self.probability if sight else self.heard_probability
                told = (number, tuple(cycles), sure)
                sets.append(RepetitionSet(*span, *told))
        count = sum(one.count for one in sets)
        streams = []
        if sight:
            seen = self.seen * count
            streams.append(Stream("sight", seen, 1.0, self.windows(sets)))
        if sound:
            streams.append(Stream("sound", count, None, ()))
        return CountResult(
            file=str(path),
            start_s=start_s,
            duration_s=end_s - start_s,
            count=count,
            rate=rate_of_sets(tuple(sets)),
            streams=tuple(streams),
            model="known",
            family="known",
            seconds=0.1,
            sets=tuple(sets),
            confidence=self.confidence,
        )


def test_a_part_of_the_video_gives_the_count_of_all_of_it(film):
    counter = Known()
    result = skimmer.skim(counter, film, 0.4)
    how = skimmer.skimmed(result)
    assert result.count == 30
    assert [(one.start_s, one.end_s) for one in result.sets] == list(SETS)
    assert result.rate.integral == pytest.approx(30)
    assert result.stream("sight").count == 30
    assert 0.2 < how.looked_share <= 0.4
    assert sum(b - a for a, b in how.spans) == pytest.approx(
        how.looked_share * result.duration_s
    )
    assert how.everything == ""
    assert result.confidence == pytest.approx(0.96 * (1 - how.missed_probability))
    # No second alone, and little is counted again.
    lengths = [last - first for first, last in counter.asked]
    assert min(lengths) >= policy.SHORTEST_S
    assert sum(lengths) < 2.2 * how.looked_share * LENGTH_S
    assert "never at" in how.sentence
    result.to_json()
    # Of what the model is not sure of nothing is believed; one that does not say is believed.
    assert skimmer.skim(Known(confidence=0.9), film, 0.4).count == 0
    assert skimmer.skim(Known(confidence=None), film, 0.4).count == 30
    # What it says of a set is what counts.
    assert skimmer.skim(Known(confidence=0.9, probability=0.9), film, 0.4).count == 30
    assert skimmer.skim(Known(probability=0.8), film, 0.4).count == 0
    # What is heard and hardly seen is a decoy.
    assert skimmer.skim(Known(seen=0.0), film, 0.4).count == 0
    assert skimmer.skim(Known(seen=0.4), film, 0.4).count == 0
    assert skimmer.skim(Known(seen=0.6), film, 0.4).count == 30
    # A budget that is too small for both sets: less is found, and more may have been missed.
    less = skimmer.skimmed(skimmer.skim(Known(), film, 0.1))
    assert less.looked_share <= 0.1
    assert less.missed_probability > how.missed_probability


def test_a_set_that_is_heard_as_it_is_seen_is_counted_beyond_the_budget(film):
    counter = Known(hears=1.0)
    result = skimmer.skim(counter, film, 0.09)
    how = skimmer.skimmed(result)
    # Two looks of some seconds are all that there is.
    assert how.looked_share <= 0.09
    assert result.count == pytest.approx(30, abs=0.01)
    assert how.heard == pytest.approx(30 - result.stream("sight").count, abs=0.01)
    assert 14 < how.heard < 24
    assert f"{how.heard:.0f} repetitions only heard; " in how.sentence
    assert [(one.start_s, one.end_s) for one in result.sets] == list(SETS)
    assert result.rate.integral == pytest.approx(result.count)
    # At each of two places before a look, and around it.
    assert len(counter.listened) == 4
    # With budget enough each is looked at as a whole, and once.
    whole = Known(hears=1.0)
    found = skimmer.skim(whole, film, 0.4)
    assert found.count == 30 and skimmer.skimmed(found).heard == 0
    for first_s, last_s in SETS:
        inside = [a <= first_s and last_s <= b for a, b in whole.asked]
        assert sum(inside) == 1
    # What is heard at another rate is something else's.
    other = skimmer.skimmed(skimmer.skim(Known(hears=2.0), film, 0.09))
    assert other.heard == 0


@pytest.mark.parametrize(
    "deaf", (Known(hears=1e-3), Known(hears=1.0, heard_probability=0.3))
)
def test_what_is_not_heard_is_looked_at_last(film, deaf):
    result = skimmer.skim(deaf, film, 0.4)
    # It listened at every place in which it believed, before it looked at the first.
    assert deaf.looked_first_after > 5
    assert max(end - first for first, end in deaf.listened[:5]) <= policy.PROBE_S
    assert result.count == 30
    hearing = Known(hears=1.0)
    skimmer.skim(hearing, film, 0.4)
    assert hearing.looked_first_after <= 2
    assert hearing.asked[0] == hearing.listened[0]


def test_it_looks_by_sight_alone_where_it_hears_apart(film):
    seen = preview(film)
    known = Known(hears=1.0)
    count = senses.counting_parts(known, film, seen)
    see, hear = senses.senses(known, seen, count, {})
    assert [one.name for one in see(40.0, 46.0).streams] == ["sight"]
    assert [one.name for one in hear(40.0, 46.0).streams] == ["sound"]
    # Without a picture there, by what there is.
    blind = dataclasses.replace(seen.info, has_video=False)
    blind = dataclasses.replace(seen, info=blind)
    count = senses.counting_parts(known, film, blind)
    see, hear = senses.senses(known, blind, count, {})
    assert see(40.0, 46.0).count == 6
    # A model that does neither without the other looks and listens at once.
    both = Known()
    count = senses.counting_parts(both, film, seen)
    see, hear = senses.senses(both, seen, count, {})
    assert see is count and hear is None


def test_a_long_set_is_heard_again_where_it_goes_on_beyond_what_was_heard():
    asked = []
    whole = cycles_of(0, 300)

    def part(first_s, last_s):
        cycles = tuple(c for c in whole.cycles if first_s <= c[0] and c[1] <= last_s)
        span = (cycles[0][0], cycles[-1][1])
        one = RepetitionSet(*span, float(len(cycles)), cycles, 0.9)
        return dataclasses.replace(Known().part(), streams=(), sets=(one,))

    def hear(first_s, last_s):
        asked.append((first_s, last_s))
        return part(first_s, last_s)

    taken = looks.Looks(made(np.zeros(300)), hear)
    assert taken.take((100, 106), part(100, 106)) == (True, True, True, (56, 150))
    # Within what was heard nothing is asked again; beyond it is.
    assert taken.take((120, 126), part(120, 126))[3] == (56, 150)
    assert taken.take((56, 150), part(56, 150)) == (True, True, True, (12, 194))
    # First near by, and further away where it is heard as far as that.
    assert asked == [(85, 121), (60, 146), (41, 165), (16, 190)]
    [[kept], heard] = taken.counts([(56, 150)])
    assert kept.count == 174 and heard == 80


def test_what_is_not_believed_in_beside_a_set_is_not_counted():
    result = Known().part(30.0, 120.0)
    sure, unsure = (
        dataclasses.replace(one, probability=p)
        for one, p in zip(result.sets, (0.9, 0.6), strict=True)
    )
    taken = looks.Looks(made(np.zeros(LENGTH_S)), None)
    told = taken.take((30, 120), dataclasses.replace(result, sets=(sure, unsure)))
    assert told == (True, False, False, None)
    [[kept], heard] = taken.counts([(30, 120)])
    assert (kept.sets, kept.count, heard) == ((sure,), 18, 0)
    assert kept.rate.integral == pytest.approx(18)


def test_all_of_it_is_looked_at_where_there_is_no_reason_not_to(film, tmp_path):
    for path, budget, reason in (
        (film, 1.0, "the budget is all of it"),
        (film, 0.05, "5 % of it would be 7 s"),
    ):
        counter = Known()
        result = skimmer.skim(counter, path, budget)
        how = skimmer.skimmed(result)
        assert how.everything == reason
        assert how.looked_share == 1 and how.missed_probability == 0
        assert counter.asked == [(0.0, LENGTH_S)]
        assert result.confidence == 0.96
    write_video(tmp_path / "still.mp4", np.zeros((300, 16, 16, 3), np.uint8), 5)
    how = skimmer.skimmed(skimmer.skim(Known(), tmp_path / "still.mp4", 0.5))
    assert how.everything == "its sound and keyframes say nothing"
    with pytest.raises(ValueError, match="budget: must be a share above 0"):
        skimmer.skim(Known(), film, 0.0)


def test_a_model_without_sets_has_runs_of_its_rate():
    result = Known().part()
    rate = Rate((0.0, 2.0, 5.0, 8.0), (1.0, 0.0, 2.0))
    told = dataclasses.replace(result, sets=None, rate=rate, count=8.0)
    found = looks.sets_of(told)
    assert [(one.start_s, one.end_s, one.count) for one in found] == [
        (0.0, 2.0, 2.0),
        (5.0, 8.0, 6.0),
    ]
