"""`rac evaluate --event-rules`: what is kept of a result, its scores, and what is refused."""

import functools

import numpy as np
import pytest

from rac_jax.cli import event_report
from rac_jax.counting import event_scores
from rac_jax.counting.instants import instants
from rac_jax.data.annotations import Annotation
from tests.results import evenly, repetition_set, with_sets


def _record(events_s, **fields):
    return Annotation("a", "a.mp4", 3.0, events_s=np.asarray(events_s), **fields)


def test_rules_are_those_of_the_scores():
    assert event_report.RULES == tuple(event_scores.RULES)


def test_instants_of_a_result():
    result = with_sets(repetition_set(1.0, 3, 2.0))
    assert instants(result) is None
    assert instants(result, "starts") == (1.0, 3.0, 5.0)
    assert instants(result, "ends") == (3.0, 5.0, 7.0)
    assert instants(evenly(2.0, events=(3.0, 1.0))) == (1.0, 3.0)
    with pytest.raises(ValueError, match="not one of events, starts, ends"):
        instants(result, "middles")


def test_report(capsys):
    of = functools.partial(event_report.of_result, kind="events")
    right = evenly(3.0, start_s=1.0, events=(2.04, 4.0, 6.5))
    part = _record([0.5, 2.0, 4.0, 9.0], fps=25.0)
    videos = [
        of(part, right),
        of(_record([], fps=25.0), evenly(2.0, events=(1.0, 2.0))),
        of(Annotation("b", "b.mp4", 1.0), right),
    ]
    # The first label lies before the part that was counted.
    assert videos[0]["events"]["labelled_s"] == [2.0, 4.0, 9.0]
    assert videos[2] == {}
    found = event_report.build(videos, ["one-to-one", "released"], None)
    ours = found["rules"]["one-to-one"]["model"]
    assert ours["recall"] == ours["precision"] == pytest.approx(2 / 3)
    assert ours["pme"] == pytest.approx(0.5)
    assert ours["bias_s"] == pytest.approx(0.02)
    assert found["silent"] == {"n": 1, "false_per_minute": 12.0}
    assert found["rules"]["released"]["blind grid"]["step"] >= 1
    strict = event_report.build(videos, ["one-to-one"], 0.02)["rules"]["one-to-one"]
    assert strict["model"]["recall"] == pytest.approx(1 / 3)
    event_report.show(found)
    text = capsys.readouterr().out
    assert "events, released: 1 videos" in text
    assert "12.00 false events per minute" in text


def test_refusals(run_rac, tmp_path, clip):
    path = tmp_path / "labels.csv"
    path.write_text(f"file,start_s,end_s,count\n{clip},,,8\n")
    rules = ("--event-rules", "one-to-one")
    code, _, err = run_rac("evaluate", path, *rules)
    assert (code, "none of its rows has events_s" in err) == (2, True)
    path.write_text(f"file,start_s,end_s,count,events_s\n{clip},,,8,0.5;1.0\n")
    # A model that is quick to load.
    code, _, err = run_rac("evaluate", path, "--model", "self-similarity", *rules)
    assert (code, err.count("gives no events")) == (2, 1)
    path.write_text(f"file,start_s,end_s,count,events_s\n{clip},,,8,0.5;soon\n")
    code, _, err = run_rac("evaluate", path, *rules)
    assert (code, "labels.csv:2: events_s 'soon' is not a number" in err) == (2, True)
