"""Many results as one table, with pandas and without."""

import sys
import types

import pytest

import rac_jax
from rac_jax.counting.result import Stream
from tests.results import evenly, repetition_set, with_sets

RESULTS = (
    with_sets(
        repetition_set(1.0, 3, 0.5),
        repetition_set(4.0, 2, 1.0),
        file="a.mp4",
        confidence=0.9,
        streams=(Stream("sight", 5.1, 0.8), Stream("sound", 4.0, 0.2)),
    ),
    evenly(0.2, file="b.mp4", streams=(Stream("skeleton", 0.2),)),
)


@pytest.fixture
def no_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)


def test_a_row_per_result(no_pandas):
    first, second = rac_jax.to_table(RESULTS)
    assert first == {
        "file": "a.mp4",
        "start_s": 0.0,
        "duration_s": 10.0,
        "count": 5.0,
        "rounded": 5,
        "confidence": 0.9,
        "certainty": "sure",
        "period_s": pytest.approx(0.7),
        "sets": 2,
        "model": "toy",
        "seconds": 0.5,
        "sight": 5.1,
        "sight_weight": 0.8,
        "sound": 4.0,
        "sound_weight": 0.2,
        "skeleton": None,
        "skeleton_weight": None,
    }
    assert list(second) == list(first)
    assert (second["file"], second["rounded"], second["skeleton"]) == ("b.mp4", 0, 0.2)
    for name in ("confidence", "certainty", "period_s", "sets", "sight"):
        assert second[name] is None


def test_results_may_come_one_by_one(no_pandas):
    assert len(rac_jax.to_table(iter(RESULTS))) == 2
    assert rac_jax.to_table([]) == []


def test_with_pandas_it_is_a_data_frame(monkeypatch):
    pandas = types.ModuleType("pandas")
    pandas.DataFrame = lambda rows: ("frame", rows)
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    kind, rows = rac_jax.to_table(RESULTS)
    assert kind == "frame"
    assert [row["file"] for row in rows] == ["a.mp4", "b.mp4"]
