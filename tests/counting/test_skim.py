"""Skimming: what a preview says, where the policy looks, and what the count says of the rest."""

import dataclasses

import numpy as np
import pytest

from rac_jax import media
from rac_jax.counting.skim import (
    listener,
    policy,
    rhythm,
)
from rac_jax.counting.skim.preview import Preview, preview
from rac_jax.media.encode import write_video

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
    # Nothing there, which says nothing of what lies near.
    chosen.found(away, False, False, False)
    assert chosen.beliefs[away[1] + 3] == 0.1
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
    spans = []
    while (span := chosen.next()) is not None:
        spans.append(span)
        inside = span[0] < 60 and span[1] > 20
        chosen.found(span, inside, inside and span[0] >= 20, inside and span[1] <= 60)
    # It grows threefold at most, until the belief fades, and a bit beyond.
    assert len(spans) <= 4
    [(first, end)] = chosen.sets
    assert 14 <= first <= 17 and 62 <= end <= 66
    assert sum(end - first for first, end in spans) <= 2 * 46


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


def test_what_was_believed_in_by_much_is_looked_at_in_the_end_though_not_heard():
    beliefs = np.full(100, 0.001)
    beliefs[20:26], beliefs[70:76] = 0.6, 0.05
    chosen = policy.Policy(beliefs, 20)
    before = chosen.missed()
    assert chosen.next() == (20, 26)
    assert chosen.is_unknown((20, 26))
    chosen.left_out((20, 26))
    # It costs nothing, and less is missed.
    assert not chosen.looked.any()
    assert chosen.missed() < before
    assert chosen.next() == (70, 76)
    chosen.left_out((70, 76))
    # Not listened to again; what was believed in less is left.
    assert chosen.next() == (20, 26)
    assert not chosen.is_unknown((20, 26))
    chosen.found((20, 26), True, False, False)
    assert chosen.next() is None
    assert chosen.looked.sum() == 6 and chosen.sets == [(20, 26)]


def test_a_set_that_is_heard_waits_until_less_is_believed_in():
    beliefs = np.full(600, 0.003)
    beliefs[60:66], beliefs[120:126], beliefs[160:166] = 0.8, 0.5, 0.03
    chosen = policy.Policy(beliefs, 60)
    assert chosen.next() == (60, 66)
    chosen.found((60, 66), True, True, True, (50, 90))
    # What is likely comes first, then the set; what is not is left.
    assert chosen.next() == (120, 126)
    chosen.found((120, 126), False, False, False)
    assert chosen.next() == (50, 90)
    chosen.found((50, 90), True, False, False)
    assert chosen.sets == [(50, 90)]
    assert chosen.next() is None
    # Whoever lets more of it be looked at has it listened to where less is believed in.
    chosen = policy.Policy(beliefs, 120)
    assert [chosen.next() for _ in range(3)] == [(60, 66), (120, 126), (160, 166)]
    # Where the budget is not enough for all of it, it is left to the ear.
    chosen = policy.Policy(np.maximum(beliefs, 0.05), 30)
    span = chosen.next()
    before = chosen.missed()
    chosen.found(span, True, True, True, (50, 90))
    assert chosen.missed() < before
    spans = [span]
    while (span := chosen.next()) is not None:
        assert span[1] <= 50 or span[0] >= 90
        chosen.found(span, False, False, False)
        spans.append(span)
    assert sum(end - first for first, end in spans) > 30 - policy.SHORTEST_S
    # It is seen to go on where it is heard to end: the preview says how far.
    chosen = policy.Policy(beliefs, 60)
    span = chosen.next()
    chosen.found(span, True, False, True, (50, 66))
    assert chosen.next()[1] > 66
