"""Skimming: what a preview says, where the policy looks, and what the count says of the rest."""

import dataclasses
import types

import numpy as np
import pytest

from rac_jax import media
from rac_jax.counting.needs import Needs, SoundNeeds
from rac_jax.counting.rate import Rate
from rac_jax.counting.result import (
    CountResult,
    RepetitionSet,
    Stream,
    WindowCount,
    rate_of_sets,
)
from rac_jax.counting.skim import listener, policy, rhythm, skimmer
from rac_jax.counting.skim.preview import Preview, preview
from rac_jax.media.encode import write_video
from tests.counting.test_hearing import cycles_of

LENGTH_S = 150
SETS = ((40.0, 58.0), (100.0, 112.0))  # a repetition a second


def clicks(length_s, times_s, rate=rhythm.RATE):
    """Faint noise, and short bursts at times."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.003, round(length_s * rate))
    for time_s in times_s:
        first = round(time_s * rate)
        burst = rng.normal(0, 0.3, rate // 20) * np.exp(-np.arange(rate // 20) / 80)
        samples[first : first + len(burst)] += burst[: len(samples) - first]
    return samples.astype(np.float32)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Two and a half minutes in which clicks go with two sets; the picture is a still."""
    times = np.concatenate([np.arange(a, b) for a, b in SETS])
    path = tmp_path_factory.mktemp("films") / "long.mp4"
    frames = np.full((LENGTH_S * 5, 16, 16, 3), 90, np.uint8)
    write_video(path, frames, 5, clicks(LENGTH_S, times, 16_000), 16_000)
    return path


def test_rhythm_tells_clicks_from_noise_and_silence():
    rng = np.random.default_rng(1)
    steady = clicks(20, np.arange(0.3, 20, 0.7))
    erratic = clicks(20, np.sort(rng.uniform(0, 19, 28)))
    found = []
    for samples in (steady, erratic, np.zeros(20 * rhythm.RATE, np.float32)):
        blocks = np.array_split(samples, 7)
        powers = rhythm.listen(blocks)
        # However the samples are cut.
        np.testing.assert_allclose(powers, rhythm.listen([samples]), rtol=1e-4)
        assert len(powers) == 20 * rhythm.RATE // rhythm.HOP
        found.append(rhythm.rhythm(rhythm.onset_envelope(powers), 20)[4:16])
    assert found[0].min() > 0.6
    assert found[1].mean() < 0.45
    assert not found[2].any()
    assert rhythm.listen(()).shape == (0, 7)


def test_the_listener_hears_what_repeats_loud_or_soft():
    rng = np.random.default_rng(2)
    hits = np.arange(0.3, 40, 0.8)
    steady = clicks(40, hits + rng.normal(0, 0.03, len(hits)))
    erratic = clicks(40, np.sort(rng.uniform(0, 39, 50)))
    odds = []
    for samples in (steady, erratic, 0.05 * steady):
        heard = listener.features(rhythm.listen([samples]), 40)
        assert heard.shape == (40, 59) and np.isfinite(heard).all()
        odds.append(listener.log_odds(listener.shipped(), heard)[5:35])
    assert odds[0].mean() > odds[1].mean() + 2
    assert odds[2].mean() > odds[1].mean() + 1
    # Without sound, and with less of it than seconds, there are features, too.
    assert np.isfinite(listener.features(rhythm.listen(()), 3)).all()
    assert np.isfinite(listener.features(rhythm.listen([steady[:99]]), 3)).all()


def test_likeness_is_highest_at_the_period_and_seen_through_jitter():
    rng = np.random.default_rng(3)
    period = 1.0
    envelope = np.zeros((round(30 * listener.PER_S), 1))
    hits = np.arange(1, 29, period) + rng.normal(0, 0.05, 28)
    envelope[np.round(hits * listener.PER_S).astype(int)] = 1
    found = listener.likeness(envelope, 30, listener.LONG_S)[8:22].mean(0)
    # Up to the next multiple; between them there is little.
    below = listener.PERIODS_S < 1.6 * period
    best = listener.PERIODS_S[below][4 + np.argmax(found[below][4:])]
    assert best == pytest.approx(period, rel=0.15)
    between = np.argmin(np.abs(listener.PERIODS_S - 1.5 * period))
    assert found[below][4:].max() > 0.5
    assert found[between] < 0.2


def test_a_preview_hears_and_sees(film):
    seen = preview(film)
    assert seen.seconds == LENGTH_S
    assert seen.heard
    # At five frames per second its keyframes are 50 s apart, too far to tell anything.
    assert seen.seen == 0 and seen.keyframes == 3
    inside = np.zeros(LENGTH_S, bool)
    for start_s, end_s in SETS:
        inside[int(start_s) + 3 : int(end_s) - 3] = True
    assert seen.rhythm[inside].min() > np.nanmax(seen.rhythm[3:37])
    assert np.median(seen.heard_odds[inside]) > np.median(seen.heard_odds[3:37]) + 1
    part = preview(film, start_s=40.0, end_s=52.5)
    assert (part.start_s, part.end_s, part.seconds) == (40.0, 52.5, 13)
    assert part.rhythm[4:9].min() > 0.6
    with pytest.raises(media.MediaError, match="nothing in the part"):
        preview(film, start_s=500.0)


def test_keyframes_that_change_are_motion(tmp_path):
    frames = np.zeros((500, 32, 32, 3), np.uint8)
    for number in range(500):
        frames[number, :, (number // 3) % 28 :][:, :4] = 120
    write_video(tmp_path / "a.mp4", frames, 25)
    seen = preview(tmp_path / "a.mp4")
    assert not seen.heard
    assert np.isnan(seen.rhythm).all()
    assert 1 < np.nanmax(seen.motion) < 40
    assert seen.keyframes < 30


def made(beliefs) -> Preview:
    nothing = np.full(len(beliefs), np.nan, np.float32)
    return Preview(0.0, float(len(beliefs)), nothing, nothing, nothing, nothing, 0)


def test_the_policy_looks_where_it_believes_and_goes_on_beside_a_set():
    beliefs = np.full(100, 0.1)
    beliefs[60:66] = 0.8
    chosen = policy.Policy(beliefs, 20)
    before = chosen.missed()
    assert chosen.next() == (60, 66)
    chosen.found((60, 66), True, False, True)
    # The preview tells of nothing beyond: a bit of it is looked at in any case.
    grown = chosen.next()
    assert grown[0] == 60 and 69 <= grown[1] <= 72
    chosen.found(grown, True, False, False)
    assert chosen.sets == [grown]
    away = chosen.next()
    assert away[1] - away[0] == 6
    # Nothing there: what is near is believed in less, what is far is not.
    chosen.found(away, False, False, False)
    assert chosen.beliefs[away[1] + 3] < 0.05
    assert chosen.beliefs[40] == 0.1
    while chosen.next() is not None:
        pass
    # Less than a look may be left.
    assert 20 - policy.SHORTEST_S < chosen.looked.sum() <= 20
    assert chosen.missed() < before
    # What is believed in is looked at, and not what lies beside it.
    narrow = np.full(60, 0.01)
    narrow[20:25] = 0.5
    choosy = policy.Policy(narrow, 20)
    assert choosy.next() == (20, 25)
    # Where a set goes on for as long as its sound tells.
    narrow[25:28] = 0.4
    choosy = policy.Policy(narrow, 20)
    assert choosy.next() == (20, 26)
    choosy.found((20, 26), True, False, True)
    grown = choosy.next()
    assert grown[0] == 20 and 29 <= grown[1] <= 34
    # A second that is left over is not worth a look.
    everything = policy.Policy(np.full(7, 0.5), 7)
    assert [everything.next(), everything.next()] == [(0, 6), None]
    assert 0 < everything.missed() < 0.1
    assert policy.Policy(np.full(50, 0.001), 50).next() is None


@pytest.mark.parametrize("start", (20, 40, 53))
def test_a_long_set_is_looked_at_in_few_steps(start):
    beliefs = np.full(100, 0.001)
    beliefs[20:60] = 0.4
    beliefs[start : start + 6] = 0.6
    chosen = policy.Policy(beliefs, 60)
    looks = []
    while (span := chosen.next()) is not None:
        looks.append(span)
        inside = span[0] < 60 and span[1] > 20
        chosen.found(span, inside, inside and span[0] >= 20, inside and span[1] <= 60)
    # It grows threefold at most, until the belief fades, and a bit beyond.
    assert len(looks) <= 4
    [(first, end)] = chosen.sets
    assert 14 <= first <= 17 and 62 <= end <= 66
    assert sum(end - first for first, end in looks) <= 2 * 46


def test_looks_that_are_not_answered_yet_are_apart():
    beliefs = np.full(200, 0.05)
    beliefs[50:80], beliefs[150:156] = 0.5, 0.4
    chosen = policy.Policy(beliefs, 60)
    first, second = chosen.next(), chosen.next()
    assert 50 <= first[0] < first[1] <= 80 and second == (150, 156)
    chosen.found(first, True, True, True)
    grown = chosen.next()
    assert grown[0] <= first[0] and grown[1] >= first[1] and grown != first
    chosen.found(second, False, False, False)
    # There is a place for one more; in a shorter video there would be none.
    assert chosen.next() is not None
    short = policy.Policy(np.full(36, 0.5), 36)
    span = short.next()
    assert short.next() is None
    short.found(span, False, False, False)
    assert short.next() is not None


def test_sets_that_touch_become_one_and_the_budget_holds():
    beliefs = np.full(40, 0.2)
    beliefs[10:16], beliefs[18:24] = 0.85, 0.8
    chosen = policy.Policy(beliefs, 14)
    assert chosen.next() == (10, 16)
    chosen.found((10, 16), True, False, False)
    assert chosen.next() == (18, 24)
    chosen.found((18, 24), True, True, True)
    # Two seconds are left: they go to what is between, or beyond.
    grown = chosen.next()
    assert chosen.looked.sum() == 14
    chosen.found(grown, True, True, True)
    assert all(
        a <= grown[0] and b <= grown[0] or (a, b) == grown for a, b in chosen.sets
    )
    assert chosen.next() is None
    wide = policy.Policy(beliefs, 30)
    assert [wide.next(), wide.found((10, 16), True, False, False)][0] == (10, 16)
    assert wide.next() == (18, 24)
    wide.found((18, 24), True, True, False)
    assert wide.next() == (10, 24)
    # Where it is not a set together, what was found apart is left.
    wide.found((10, 24), False, False, False)
    assert sorted(wide.sets) == [(10, 16), (18, 24)]


def test_beliefs_and_a_preview_that_says_nothing():
    seen = made(np.zeros(30))
    assert policy.says_nothing(seen, policy.believe(seen))
    odds = np.linspace(-5, 5, 30, dtype=np.float32)
    heard = dataclasses.replace(seen, heard_odds=odds)
    beliefs = policy.believe(heard)
    assert (np.diff(beliefs) > 0).all()
    # As under music: here it tells a bit more than there, and nowhere much.
    assert policy.says_nothing(heard, beliefs)
    odds = np.where(np.arange(30) // 6 == 3, 5, -4).astype(np.float32)
    heard = dataclasses.replace(seen, heard_odds=odds)
    assert not policy.says_nothing(heard, policy.believe(heard))


class Known:
    """Counts by heart: a repetition a second inside of the sets.

    `hears` is at how many a second it hears them by sound alone, or None where it cannot.
    """

    def __init__(self, confidence=0.96, probability=None, seen=1.0, hears=None):
        self.confidence, self.probability = confidence, probability
        self.seen, self.hears = seen, hears
        self.config = {"name": "known"}
        needs = Needs(None, SoundNeeds(16_000))
        self.family = types.SimpleNamespace(name="known", needs=lambda *_: needs)
        self.asked, self.listened = [], []

    def options(self, **values):
        """Without a picture where it hears."""
        if self.hears is None:
            raise ValueError("known: has no option sight")
        return values

    def windows(self, sets):
        """What is seen of the sets."""
        told = ((one.start_s, one.end_s, self.seen * one.count) for one in sets)
        return tuple(WindowCount(*window) for window in told if window[2])

    def count(self, path, *, start_s=0.0, end_s=None, sight=True):
        end_s = LENGTH_S if end_s is None else end_s
        (self.asked if sight else self.listened).append((start_s, end_s))
        sets = []
        for first, last in SETS:
            begin, end = max(first, start_s), min(last, end_s)
            cycles = [(t, t + 1.0) for t in np.arange(np.ceil(begin), end - 0.99)]
            if cycles:
                span = (cycles[0][0], cycles[-1][1])
                number = len(cycles) * (1.0 if sight else self.hears)
                told = (number, tuple(cycles), self.probability)
                sets.append(RepetitionSet(*span, *told))
        count = sum(one.count for one in sets)
        return CountResult(
            file=str(path),
            start_s=start_s,
            duration_s=end_s - start_s,
            count=count,
            rate=rate_of_sets(tuple(sets)),
            streams=(Stream("sight", self.seen * count, 1.0, self.windows(sets)),),
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
    assert len(counter.listened) == 2
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
    # Without sound, or where sound is not wanted, nothing is heard.
    assert not skimmer.can_hear(Known(), {})
    assert skimmer.can_hear(Known(hears=1.0), {})


def test_a_long_set_is_heard_again_where_it_goes_on_beyond_what_was_heard():
    asked = []
    whole = cycles_of(0, 300)

    def part(first_s, last_s):
        cycles = tuple(c for c in whole.cycles if first_s <= c[0] and c[1] <= last_s)
        span = (cycles[0][0], cycles[-1][1])
        one = RepetitionSet(*span, float(len(cycles)), cycles, 0.9)
        return dataclasses.replace(Known().count("x"), streams=(), sets=(one,))

    def hear(first_s, last_s):
        asked.append((first_s, last_s))
        return part(first_s, last_s)

    looks = skimmer.Looks(made(np.zeros(300)), hear)
    assert looks.take((100, 106), part(100, 106)) == (True, True, True, (58, 148))
    # Within what was heard nothing is asked again; beyond it is.
    assert looks.take((120, 126), part(120, 126))[3] == (58, 148)
    assert looks.take((58, 148), part(58, 148)) == (True, True, True, (16, 190))
    assert asked == [(60, 146), (18, 188)]
    [[kept], heard] = looks.counts([(58, 148)])
    assert kept.count == 170 and heard == 80


def test_what_is_not_believed_in_beside_a_set_is_not_counted():
    result = Known().count("x", start_s=30.0, end_s=120.0)
    sure, unsure = (
        dataclasses.replace(one, probability=p)
        for one, p in zip(result.sets, (0.9, 0.6), strict=True)
    )
    looks = skimmer.Looks(made(np.zeros(LENGTH_S)), None)
    told = looks.take((30, 120), dataclasses.replace(result, sets=(sure, unsure)))
    assert told == (True, False, False, None)
    [[kept], heard] = looks.counts([(30, 120)])
    assert (kept.sets, kept.count, heard) == ((sure,), 18, 0)
    assert kept.rate.integral == pytest.approx(18)


def test_a_set_that_is_heard_waits_until_less_is_believed_in():
    beliefs = np.full(200, 0.03)
    beliefs[60:66], beliefs[120:126], beliefs[160:166] = 0.8, 0.5, 0.038
    chosen = policy.Policy(beliefs, 60)
    assert chosen.next() == (60, 66)
    chosen.found((60, 66), True, True, True, (50, 90))
    # What is likely comes first, then the set, and then the rest; never what is known of.
    assert chosen.next() == (120, 126)
    chosen.found((120, 126), False, False, False)
    assert chosen.next() == (50, 90)
    chosen.found((50, 90), True, False, False)
    assert chosen.sets == [(50, 90)]
    assert chosen.next() == (160, 166)
    # Where the budget is not enough for all of it, it is left to the ear.
    chosen = policy.Policy(beliefs, 30)
    span = chosen.next()
    before = chosen.missed()
    chosen.found(span, True, True, True, (50, 90))
    assert chosen.missed() < before
    looks = [span]
    while (span := chosen.next()) is not None:
        assert span[1] <= 50 or span[0] >= 90
        chosen.found(span, False, False, False)
        looks.append(span)
    assert sum(end - first for first, end in looks) > 30 - policy.SHORTEST_S
    # It is seen to go on where it is heard to end: the preview says how far.
    chosen = policy.Policy(beliefs, 60)
    span = chosen.next()
    chosen.found(span, True, False, True, (50, 66))
    assert chosen.next()[1] > 66


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
    result = Known().count("x")
    rate = Rate((0.0, 2.0, 5.0, 8.0), (1.0, 0.0, 2.0))
    told = dataclasses.replace(result, sets=None, rate=rate, count=8.0)
    found = skimmer.sets_of(told)
    assert [(one.start_s, one.end_s, one.count) for one in found] == [
        (0.0, 2.0, 2.0),
        (5.0, 8.0, 6.0),
    ]
