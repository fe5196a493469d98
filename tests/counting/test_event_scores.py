"""Rules of matching events against trying every matching, by hand, and blind."""

import itertools

import numpy as np
import pytest

from rac_jax.counting import event_scores
from rac_jax.counting.event_scores import MarkedVideo


def _best_matching(predicted, labels, tolerance):
    """(pairs, sum of distances) of the best of all matchings, each of which is tried."""
    best = (0, 0.0)
    for size in range(1, min(len(predicted), len(labels)) + 1):
        for ours in itertools.combinations(predicted, size):
            for theirs in itertools.permutations(labels, size):
                far = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
                if max(far) <= tolerance and (size, -sum(far)) > (best[0], -best[1]):
                    best = (size, sum(far))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_matching_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    predicted = np.sort(rng.choice(14, rng.integers(1, 6), replace=False)).astype(float)
    labels = np.sort(rng.choice(14, rng.integers(1, 6), replace=False)).astype(float)
    tolerance = float(rng.integers(0, 4))
    pairs = event_scores.matched(predicted, labels, tolerance)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    far = sum(abs(predicted[i] - labels[j]) for i, j in pairs)
    assert (len(pairs), far) == _best_matching(predicted, labels, tolerance)


@pytest.mark.parametrize("seed", range(6))
def test_released_and_paper_by_loops(seed):
    rng = np.random.default_rng(100 + seed)
    predicted = np.sort(rng.choice(40, 8, replace=False)).astype(float)
    labels = np.sort(rng.choice(40, 6, replace=False)).astype(float)
    for name, tolerance in (("released", 3), ("paper", 2)):
        right, false, distances = 0, 0, []
        for label in labels:
            nearest = min(abs(p - label) for p in predicted)
            if nearest <= tolerance:
                right += 1
                distances.append(nearest)
        for place in predicted:
            false += min(abs(place - label) for label in labels) > tolerance
        rule, own = event_scores.RULES[name]
        found = rule(predicted, labels, own)
        assert own == tolerance
        assert found.recall == right / 6
        assert found.precision == right / (right + false)
        assert found.pme == pytest.approx(np.mean(distances))
        assert found.nme == (6 - right if name == "released" else 2)


def test_one_event_is_no_five():
    """Five frames in a row are one event; the released rule calls all of them right."""
    predicted, labels = np.arange(10.0, 15.0), np.asarray([12.0, 40.0])
    found = event_scores.one_to_one(predicted, labels)
    assert (found.predicted, found.recall, found.precision) == (1, 0.5, 1.0)
    assert found.offsets == (0.0,)
    assert event_scores.released(predicted, labels).nme == 1
    # One prediction between two labels finds one of them here, and both there.
    between = np.asarray([20.0])
    assert event_scores.one_to_one(between, np.asarray([18.0, 22.0])).recall == 0.5
    assert event_scores.paper(between, np.asarray([18.0, 22.0])).recall == 1.0


def test_nothing_found():
    """The released rule has no errors where nothing is right."""
    labels = np.asarray([3.0, 9.0])
    for predicted in (np.zeros(0), np.asarray([30.0])):
        found = event_scores.released(predicted, labels)
        assert (found.f1, found.nme, found.pme) == (0, 0, 0)
        ours = event_scores.one_to_one(predicted, labels)
        assert (ours.f1, ours.pme) == (0, None)
        assert ours.nme == 2 - len(predicted)


def _videos(places, shift=0.0):
    return [
        MarkedVideo(np.asarray(one) + shift, np.asarray(one), 60, 25.0)
        for one in places
    ]


def test_summary():
    places = [[5.0, 20.0, 41.0], [11.0, 30.0]]
    exact = event_scores.summarise(_videos(places), "one-to-one")
    assert (exact["f1"], exact["nme"], exact["pme"], exact["mae"]) == (1, 0, 0, 0)
    late = event_scores.summarise(_videos(places, 1.5), "one-to-one")
    assert late["pme"] == 1.5
    assert late["bias_s"] == pytest.approx(0.06)
    assert late["spread_s"] == pytest.approx(0.0, abs=1e-9)
    # Within 40 ms of 25 frames a second is within a frame.
    strict = event_scores.summarise(_videos(places, 1.5), "one-to-one", 0.04)
    assert (strict["f1"], strict["pme"], strict["bias_s"]) == (0, None, None)
    assert strict["obo"] == 1
    with pytest.raises(ValueError, match="without a labelled one"):
        event_scores.summarise(
            [MarkedVideo(np.zeros(1), np.zeros(0), 9, 25.0)], "paper"
        )


def test_blind_grid_is_the_best_step():
    videos = _videos([[4.0, 18.0, 32.0, 46.0], [1.0, 23.0, 35.0]])
    for rule in event_scores.RULES:
        best = event_scores.blind_grid(videos, rule)
        for step in (1, 5, 7, 14, 33):
            marks = np.arange(step // 2, 60, step)
            other = [MarkedVideo(marks, v.labels, 60, 25.0) for v in videos]
            assert event_scores.summarise(other, rule)["f1"] <= best["f1"] + 1e-12
    assert event_scores.blind_grid(videos, "one-to-one")["f1"] < 0.9
