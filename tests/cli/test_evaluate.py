"""`rac evaluate`: the table, the JSON, broken files, and the arithmetic of its report."""

import functools
import json

import pytest

from rac_jax.cli.evaluate import build_report


@pytest.fixture
def evaluate(run_rac):
    """Runs `rac evaluate` with the tiny model; returns (exit code, stdout, stderr)."""
    return functools.partial(run_rac, "evaluate")


@pytest.fixture
def labels(tmp_path, clip, silent_clip):
    (tmp_path / "bad.mp4").write_text("not a video")
    path = tmp_path / "labels.csv"
    path.write_text(
        "file,start_s,end_s,count,alt_count,activity\n"
        f"{clip},0.0,4.0,8,4,knocking\n"
        f"{clip},1.0,3.0,4,,knocking\n"
        f"{silent_clip},,,0,,swinging\n"
        "bad.mp4,0.0,1.0,3,,knocking\n"
    )
    return path


def test_report(evaluate, labels, tmp_path):
    out = tmp_path / "report.json"
    code, text, err = evaluate(labels, "--group-by", "activity", "--out", out)
    assert code == 1  # a file failed
    assert len(err.strip().splitlines()) == 1
    assert "bad.mp4" in err
    assert "overall: 2 videos, MAE" in text
    assert ", of rounded counts " in text
    assert "failed: 1 videos" in text
    report = json.loads(out.read_text())
    assert report["overall"].keys() == {
        "n",
        "mae",
        "mae_rounded",
        "obo",
        "mae_interval",
        "mae_rounded_interval",
        "obo_interval",
    }
    assert report["overall"]["n"] == 2
    assert report["negatives"]["n"] == 1
    assert report["groups"]["knocking"]["n"] == 2
    assert report["groups"]["swinging"]["negatives"]["n"] == 1
    assert report["model"] == "tiny"
    assert {"jax", "python", "rac_jax"} <= report["versions"].keys()
    assert [video["count"] for video in report["videos"]] == [8, 4, 0, 3]
    assert "error" in report["videos"][3]


def test_unknown_group_and_broken_labels(evaluate, labels, tmp_path):
    code, _, err = evaluate(labels, "--group-by", "colour")
    assert code == 2
    assert (
        "has no column 'colour' to group by (it has: activity, challenges, label)"
        in err
    )
    labels.write_text("file,start_s,end_s,count\na.mp4,5.0,3.2,4\n")
    code, _, err = evaluate(labels)
    assert code == 2
    assert "labels.csv:2" in err
    code, _, err = evaluate(tmp_path / "missing.csv")
    assert code == 2
    assert "missing.csv" in err


def test_a_published_scorer_needs_cycles(evaluate, labels):
    """It is known before anything is counted."""
    code, _, err = evaluate(labels, "--scorer", "published")
    assert code == 2
    assert "TransRAC's scorer needs cycles, fps and num_frames" in err


def test_a_video_is_in_each_of_its_groups():
    both = {"challenges": ["low illumination", "fast motion"]}
    videos = [
        {"count": 4, "alt_count": None, "groups": both, "predicted": 4.0},
        {"count": 10, "alt_count": None, "groups": {"challenges": ["fast motion"]}, "predicted": 5.0},
    ]  # fmt: skip
    groups = build_report(videos, "challenges")["groups"]
    assert {name: part["n"] for name, part in groups.items()} == {
        "fast motion": 2,
        "low illumination": 1,
    }
    assert groups["low illumination"]["mae"] == 0
    assert groups["fast motion"]["mae"] == 0.25


def test_report_by_hand():
    videos = [
        {"count": 4, "alt_count": 8, "groups": {}, "predicted": 7.0},
        {"count": 10, "alt_count": None, "groups": {}, "predicted": 9.0},
        {"count": 0, "alt_count": None, "groups": {}, "predicted": 1.5},
        {"count": 3, "alt_count": None, "groups": {}, "error": "broken"},
    ]
    report = build_report(videos)
    assert report["overall"]["mae"] == pytest.approx((0.75 + 0.1) / 2)
    assert report["overall"]["obo"] == 0.5
    assert report["overall_alt"]["mae"] == pytest.approx((0.125 + 0.1) / 2)
    assert report["overall_alt"]["obo"] == 1.0
    assert report["negatives"] == {"n": 1, "mean_count": 1.5}
    assert report["failed"] == 1
