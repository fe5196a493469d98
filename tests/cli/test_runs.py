"""Measurements of runs are printed side by side, and sweeps beside the paper."""

import json
import types

import pytest

from rac_jax.cli import curves
from rac_jax.cli.main import main

REPORT = {
    "estimators": {"sight": {"n": 2, "mae": 0.25, "mae_rounded": 0.24, "obo": 0.5}},
    "challenges": {
        "dark picture": {"sight": {"n": 1, "mae": 0.5, "mae_rounded": 0.4, "obo": 0.0}},
        "still": {"sight": {"n": 0, "mae": None, "mae_rounded": None, "obo": None}},
    },
    "videos": [],
}


@pytest.fixture
def rac(capsys):
    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return types.SimpleNamespace(
            returncode=code, stdout=captured.out, stderr=captured.err
        )

    return run


def write(folder, mae=0.25):
    folder.mkdir(parents=True)
    report = json.loads(json.dumps(REPORT))
    report["estimators"]["sight"]["mae"] = mae
    (folder / "evaluation.json").write_text(json.dumps(report))
    return folder


def test_one_run(tmp_path, rac):
    done = rac("evaluate", "--runs", write(tmp_path / "a"))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "MAE / rounded / OBO      videos                 sight",
        "all                           2  0.250 / 0.240 / 0.50",
        "dark picture                  1  0.500 / 0.400 / 0.00",
        "still                         0                     -",
    ]


def test_several_runs_have_a_mean_and_a_deviation(tmp_path, rac):
    folders = [write(tmp_path / str(mae), mae) for mae in (0.1, 0.2, 0.3)]
    out = tmp_path / "scores.json"
    done = rac("evaluate", "--runs", *folders, "--out", out)
    assert "0.200 ± 0.100 / 0.240 ± 0.000" in done.stdout and done.returncode == 0
    scores = json.loads(out.read_text())["scores"]
    assert scores["all"]["sight"] == {
        "n": 2,
        "mae": [0.1, 0.2, 0.3],
        "mae_rounded": [0.24] * 3,
        "obo": [0.5] * 3,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is the run finished?"),
        ("{", "is no measurement"),
        ("{}", "is no meas"),
        ('{"estimators": {"sight": 3}}', "is no measurement"),
        (
            '{"estimators": {"sight": {"n": 2, "mae": 0.1, "obo": 0.5}}}',
            "sight has no 'mae_rounded', as from an earlier version",
        ),
        (
            '{"estimators": {"a": {"n": null, "mae": 0, "mae_rounded": 0, "obo": 1}}}',
            "a has None as n, not a number",
        ),
        (
            '{"estimators": {"a": {"n": 1, "mae": "x", "mae_rounded": 0, "obo": 1}}}',
            "a has 'x' as mae, not a number",
        ),
        (
            '{"estimators": {}, "challenges": {"dark": {"a": {}}}}',
            "'dark' has other estimators than all videos",
        ),
    ],
)
def test_runs_without_a_measurement_are_named(tmp_path, rac, text, message):
    (tmp_path / "a").mkdir()
    if text is not None:
        (tmp_path / "a" / "evaluation.json").write_text(text)
    done = rac("evaluate", "--runs", tmp_path / "a")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "evaluation.json" in done.stderr and message in done.stderr


def test_what_does_not_count_has_metrics_of_its_own(tmp_path, rac):
    score = {"n": 8, "top1": 0.5, "top5": 0.75, "map": 0.625}
    report = {"metrics": ["top1", "top5", "map"], "estimators": {"views_3": score}}
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        (folder / "evaluation.json").write_text(json.dumps(report))
    assert rac("evaluate", "--runs", folders[0]).stdout.splitlines() == [
        "top1 / top5 / map        videos               views_3",
        "all                           8 0.500 / 0.750 / 0.625",
    ]
    several = rac("evaluate", "--runs", *folders).stdout
    assert "top1 / top5 / map, 2 runs" in several
    assert "0.500 ± 0.000 / 0.750 ± 0.000 / 0.625 ± 0.000" in several
    del score["top5"]
    (folders[0] / "evaluation.json").write_text(json.dumps(report))
    assert "views_3 has no 'top5'" in rac("evaluate", "--runs", folders[0]).stderr


def test_different_measurements_are_not_mixed(tmp_path, rac):
    one, two = write(tmp_path / "a"), write(tmp_path / "b")
    report = json.loads((two / "evaluation.json").read_text())
    for part in (report["estimators"], *report["challenges"].values()):
        part["sound"] = part["sight"]
    (two / "evaluation.json").write_text(json.dumps(report))
    done = rac("evaluate", "--runs", one, two)
    assert (
        done.returncode == 1 and "not measured with the same estimators" in done.stderr
    )


@pytest.mark.parametrize(
    "arguments", [[], ["labels.csv", "--runs", "a"], ["--sweep", "table2"]]
)
def test_what_to_evaluate_must_be_said_once(rac, arguments):
    done = rac("evaluate", *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_a_sweep_prints_beside_the_paper(tmp_path, rac):
    cell = {"run": "base", "estimator": "sight", "metric": "mae", "paper": 0.331}
    sweep = {
        "title": "Benefit of model components",
        "runs": {"base": {}},
        "columns": ["MAE"],
        "rows": [{"name": "Sight stream", "cells": {"MAE": cell}}],
        "note": "",
    }
    write(tmp_path / "base")
    (tmp_path / "sweep_table2.json").write_text(json.dumps(sweep))
    done = rac("evaluate", "--sweep", "table2", "--workdir", tmp_path)
    assert done.returncode == 0 and "0.250 / 0.240 (0.331)" in done.stdout
    done = rac("evaluate", "--sweep", "table3", "--workdir", tmp_path)
    assert done.returncode == 1 and "it has: table2" in done.stderr


def test_curves_are_drawn_and_damage_is_named(tmp_path, rac):
    run = write(tmp_path / "a")
    out = tmp_path / "curves.png"
    done = rac("evaluate", "--runs", run, "--curves", out)
    assert done.returncode == 1 and "has no metrics.jsonl" in done.stderr
    (run / "sight").mkdir()
    rows = [
        {"kind": "train", "step": 5, "loss": 2.0},
        {"kind": "train", "step": 10, "loss": 1.0},
        {"kind": "validation", "step": 10, "error": 0.5},
    ]
    metrics = run / "sight" / "metrics.jsonl"
    metrics.write_text("\n".join(map(json.dumps, rows)))
    assert curves.read_curve(metrics) == {
        "train": [(5, 2.0), (10, 1.0)],
        "validation": [(10, 0.5)],
    }
    assert rac("evaluate", "--runs", run, "--curves", out).returncode == 0
    assert out.stat().st_size > 5000
    metrics.write_text('{"kind": "train"}')
    done = rac("evaluate", "--runs", run, "--curves", out)
    assert done.returncode == 1 and "metrics.jsonl:1" in done.stderr
