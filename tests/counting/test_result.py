"""`CountResult`: its words, its JSON and what it refuses."""

import dataclasses
import json
import math

import pytest

import rac_jax
from rac_jax.counting.rate import Rate
from rac_jax.counting.result import (
    SCHEMA,
    CountResult,
    Curve,
    RepetitionSet,
    Stream,
    WindowCount,
    rate_of_sets,
)
from tests import own_process
from tests.results import evenly, repetition_set, with_sets

NUMBER = (int, float)


def test_the_line_that_people_read():
    result = with_sets(repetition_set(1.0, 7, 5.9 / 7), file="clip.mp4", confidence=0.9)
    assert str(result) == "clip.mp4: 7 repetitions in 5.9 s, one each 0.84 s (sure)"


@pytest.mark.parametrize(
    ("confidence", "word"),
    [(0.02, "unsure"), (0.5, "likely"), (0.79, "likely"), (0.8, "sure"), (None, "")],
)
@pytest.mark.parametrize("count", [0.0, 4.0])
def test_confidence_is_a_word(confidence, word, count):
    result = evenly(count, confidence=confidence)
    assert result.certainty == word
    assert str(result).endswith(f"({word})") == bool(word)
    assert "confidence" not in str(result)


def test_no_repetition_is_said():
    result = evenly(0.3, 5.6, file="a.mp4", confidence=0.02)
    assert str(result) == "a.mp4: no repetition found in 5.6 s (unsure)"
    assert result.period_s is None


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (evenly(1.2, 3.0), "1 repetition in 3.0 s"),
        (evenly(6.0, 9.0), "6 repetitions in 9.0 s, one each 1.50 s"),
        (evenly(30.0, 900.0), "30 repetitions in 15 min 0 s, one each 30.0 s"),
        (evenly(2000.0, 4000.0), "2000 repetitions in 1 h 6 min, one each 2.00 s"),
        (evenly(0.0, 0.04), "no repetition found in 0.04 s"),
        (
            with_sets(repetition_set(0, 3, 0.5), repetition_set(4, 2, 1.0)),
            "5 repetitions in 3.5 s, one each 0.70 s, in 2 sets",
        ),
    ],
)
def test_sentences(result, sentence):
    assert result.sentence == sentence


def test_the_period_is_that_of_the_cycles():
    """A count of 6.9 over 7 cycles: what is said of one is how long the cycles are."""
    result = with_sets(repetition_set(1.0, 7, 0.8, count=6.9))
    assert result.rounded == 7
    assert result.period_s == pytest.approx(0.8)
    assert result.active_s == pytest.approx(5.6)


def test_where_nothing_is_counted_no_time_passes():
    rate = Rate.from_knots([0, 2, 8, 10], [0, 2, 2, 4])
    result = dataclasses.replace(evenly(4.0, 10.0), rate=rate)
    assert result.active_s == pytest.approx(4.0)
    assert result.period_s == pytest.approx(1.0)


def test_the_rest_is_explained():
    result = with_sets(
        repetition_set(1.0, 4, 1.0),
        confidence=0.93,
        faults=("a.mp4: broken at 3 s",),
        streams=(Stream("sight", 4.2, 0.9), Stream("skeleton", 3.0)),
    )
    assert result.explain().splitlines() == [
        "  set: 4.0 from 1.0 to 5.0 s",
        "  sight alone: 4.2, weight 0.90",
        "  skeleton alone: 3.0",
        "  93 % sure to be within one repetition",
        "  read in part: a.mp4: broken at 3 s",
        "  counted 4.00 with toy in 0.50 s",
    ]


@pytest.mark.parametrize(
    ("count", "rounded"), [(0.49, 0), (0.5, 1), (6.5, 7), (7.5, 8)]
)
def test_halves_round_up(count, rounded):
    assert evenly(count).rounded == rounded


@pytest.mark.parametrize("count", [-0.1, math.nan, math.inf])
def test_a_count_is_a_number_of_at_least_0(count):
    with pytest.raises(ValueError, match=r"a\.mp4: the count is"):
        dataclasses.replace(evenly(2.0, file="a.mp4"), count=count)


def test_the_count_is_the_integral_of_the_rate():
    with pytest.raises(ValueError, match=r"adds up to 2\.0.*not to the count 2\.1"):
        dataclasses.replace(evenly(2.0), count=2.1)


def test_a_curve_has_a_value_per_time():
    with pytest.raises(ValueError, match="2 times, 1 values"):
        Curve((0.0, 1.0), (0.5,))


def test_the_rate_of_sets_steps_through_their_cycles():
    sets = (repetition_set(1.0, 2, 0.5), repetition_set(5.0, 4, 1.0, count=3.0))
    rate = rate_of_sets(sets)
    assert rate.integral == pytest.approx(5.0)
    assert rate.done([1.0, 1.5, 2.0, 5.0, 6.0, 9.0]) == pytest.approx(
        [0, 1, 2, 2, 2.75, 5]
    )
    assert rate_of_sets(()) == Rate()


def test_a_set_has_cycles():
    with pytest.raises(ValueError, match="set at 1.0 s: has no cycles"):
        RepetitionSet(1.0, 2.0, 1.0, ())


def test_streams_are_found_by_name():
    result = evenly(2.0, streams=(Stream("sight", 2.0),))
    assert result.stream("sight").count == 2.0
    assert result.stream("sound") is None


def _full() -> CountResult:
    """A result in which every field says something."""
    return with_sets(
        repetition_set(1.0, 2, 0.5),
        start_s=0.5,
        confidence=0.9,
        streams=(
            Stream("sight", 2.0, 0.75, (WindowCount(0.5, 5.0, 2.0),)),
            Stream("sound", 3.0),
        ),
        events=(1.0, 1.5),
        density=Curve((0.5, 1.0), (0.0, 2.0)),
        foreground=Curve((0.5, 1.0), (0.0, 1.0)),
        details={"stride": 2, "scores": {"1": 0.5}},
        faults=("a.mp4: broken",),
        panel=print,
    )


def test_the_json_has_a_documented_shape():
    """Names, order, types and nesting; a change of them wants a new schema number."""
    record = json.loads(_full().to_json())
    assert SCHEMA == record["schema"] == 2
    kinds = {
        "schema": int,
        "file": str,
        "start_s": NUMBER,
        "duration_s": NUMBER,
        "count": NUMBER,
        "rate": dict,
        "streams": list,
        "model": str,
        "family": str,
        "seconds": NUMBER,
        "sets": list,
        "confidence": NUMBER,
        "events": list,
        "density": dict,
        "foreground": dict,
        "details": dict,
        "faults": list,
    }
    assert list(record) == list(kinds)
    for name, kind in kinds.items():
        assert isinstance(record[name], kind), name
    assert record["rate"] == {"edges_s": [1.0, 1.5, 2.0], "per_s": [2.0, 2.0]}
    window = {"start_s": 0.5, "end_s": 5.0, "count": 2.0}
    sight = {"name": "sight", "count": 2.0, "weight": 0.75, "windows": [window]}
    sound = {"name": "sound", "count": 3.0, "weight": None, "windows": []}
    assert record["streams"] == [sight, sound]
    assert record["sets"] == [
        {
            "start_s": 1.0,
            "end_s": 2.0,
            "count": 2.0,
            "cycles": [[1.0, 1.5], [1.5, 2.0]],
            "probability": None,
        }
    ]
    assert record["events"] == [1.0, 1.5]
    assert record["density"] == {"times_s": [0.5, 1.0], "values": [0.0, 2.0]}
    assert record["foreground"] == {"times_s": [0.5, 1.0], "values": [0.0, 1.0]}
    assert record["details"] == {"stride": 2, "scores": {"1": 0.5}}
    assert record["faults"] == ["a.mp4: broken"]


def test_what_a_model_does_not_say_is_null():
    record = json.loads(evenly(2.0).to_json())
    for name in ("sets", "confidence", "events", "density", "foreground"):
        assert record[name] is None
    assert (record["streams"], record["details"], record["faults"]) == ([], {}, [])


def test_found_nothing_is_not_the_same_as_does_not_say():
    result = evenly(0.0, sets=(), events=(), density=Curve((), ()))
    record = json.loads(result.to_json())
    assert (record["sets"], record["events"]) == ([], [])
    assert record["density"] == {"times_s": [], "values": []}
    assert record["rate"] == {"edges_s": [], "per_s": []}


def test_the_dictionary_is_what_the_json_holds():
    """Lists, not tuples, all the way down: writing and reading changes nothing."""
    record = _full().to_dict()
    assert json.loads(json.dumps(record)) == record


def test_numbers_that_json_does_not_have_are_refused():
    result = evenly(2.0, details={"score": math.nan})
    with pytest.raises(ValueError, match="JSON"):
        result.to_json()


def test_the_panel_is_no_part_of_a_result():
    assert dataclasses.replace(_full(), panel=None) == _full()
    assert "panel" not in repr(_full())


def test_a_result_needs_no_matplotlib():
    code = (
        "import sys, rac_jax.counting.result; "
        "assert 'matplotlib' not in sys.modules and 'jax' not in sys.modules"
    )
    own_process.output(code)


def test_it_is_public():
    assert rac_jax.CountResult is CountResult


def test_a_set_is_a_value():
    assert repetition_set(0, 2, 1.0) == RepetitionSet(
        0.0, 2.0, 2.0, ((0.0, 1.0), (1.0, 2.0))
    )
