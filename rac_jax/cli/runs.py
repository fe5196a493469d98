"""Measurements of training runs as tables: one run, the mean of several, a sweep."""

import argparse
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rac_jax.cli import curves
from rac_jax.cli.output import complain, json_text, write_text
from rac_jax.counting.scores import MAES, METRICS

EVALUATION = "evaluation.json"
NAME_WIDTH = 24


def evaluate(args: argparse.Namespace) -> int:
    """`rac evaluate` with --runs or --sweep; returns the exit code."""
    try:
        if args.sweep:
            if not args.workdir:
                complain("evaluate: --sweep needs --workdir")
                return 2
            text, record = _sweep(pathlib.Path(args.workdir), args.sweep)
        else:
            reports = [read_report(pathlib.Path(folder)) for folder in args.runs]
            text = scores_text(reports)
            record = {"runs": list(args.runs), "scores": _scores(reports)}
            if args.curves:
                curves.draw([pathlib.Path(r) for r in args.runs], args.curves)
        print(text)
        if args.out:
            write_text(args.out, json_text(record))
    except (ValueError, OSError) as error:
        complain(error)
        return 1
    return 0


def read_report(folder: pathlib.Path) -> dict[str, Any]:
    """The measurement of a finished run.

    Raises:
      ValueError: if there is none, or it is damaged.
    """
    path = folder / EVALUATION
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; is the run finished?") from error
    except ValueError as error:
        raise ValueError(f"{path}: is no measurement of a run") from error
    try:
        names = set(report["estimators"])
        for part, estimators in _parts(report).items():
            if set(estimators) != names:
                raise ValueError(
                    f"{path}: {part!r} has other estimators than all videos"
                )
            for name, scores in estimators.items():
                _check_scores(path, name, scores)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: is no measurement of a run") from error
    return report


def _check_scores(path: pathlib.Path, name: str, scores: Mapping[str, Any]) -> None:
    """Checks the scores of one estimator.

    Raises:
      ValueError: naming the file and the score.
      TypeError: if they are no object.
    """
    for key in ("n", *METRICS):
        if key not in scores:
            raise ValueError(
                f"{path}: {name} has no {key!r}, as from an earlier version; delete the file "
                "and run `rac train` again"
            )
        value = scores[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number and (key == "n" or value is not None):
            raise ValueError(f"{path}: {name} has {value!r:.40} as {key}, not a number")


def write_sweep(workdir: pathlib.Path, name: str, sweep: Mapping[str, Any]) -> None:
    """Keeps the definition of a sweep with its runs, for their table."""
    write_text(_sweep_file(workdir, name), json.dumps(sweep, indent=1))


def _sweep_file(workdir: pathlib.Path, name: str) -> pathlib.Path:
    return workdir / f"sweep_{name}.json"


def _sweep(workdir: pathlib.Path, name: str) -> tuple[str, dict[str, Any]]:
    from rac_jax.train import sweep_table

    path = _sweep_file(workdir, name)
    if not path.exists():
        known = sorted(
            file.stem.removeprefix("sweep_") for file in workdir.glob("sweep_*.json")
        )
        raise ValueError(
            f"{workdir}: holds no runs of a sweep {name!r} (it has: {', '.join(known)})"
        )
    sweep = json.loads(path.read_text(encoding="utf-8"))
    evaluations = sweep_table.read_evaluations(workdir, sweep)
    text = sweep_table.table_text(name, sweep, evaluations)
    return text, sweep_table.table_record(name, sweep, evaluations)


def _parts(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Part of the videos, all or a challenge, to estimator to scores."""
    return {"all": report["estimators"]} | report.get("challenges", {})


def _scores(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Part to estimator to {"n"} and each of the metrics: [each run]."""
    return {
        part: {
            name: {"n": scores["n"]}
            | {
                metric: [_parts(report)[part][name][metric] for report in reports]
                for metric in METRICS
            }
            for name, scores in estimators.items()
        }
        for part, estimators in _parts(reports[0]).items()
    }


def scores_text(reports: Sequence[Mapping[str, Any]]) -> str:
    """Scores of every estimator, over all videos and by challenge.

    MAE is of counts as they are and of rounded ones; of several runs there is no OBO.

    Args:
      reports: of one run, or of several that were measured on the same videos.

    Returns:
      A table; of several runs "mean ± standard deviation" over them.

    Raises:
      ValueError: if the runs have other estimators or challenges.
    """
    shapes = [
        {part: sorted(names) for part, names in _parts(report).items()}
        for report in reports
    ]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            "the runs were not measured with the same estimators and parts"
        )
    scores = _scores(reports)
    names = list(reports[0]["estimators"])
    width = 22 if len(reports) == 1 else 32
    kind = "MAE / rounded"
    kind += " / OBO" if len(reports) == 1 else f", {len(reports)} runs"
    head = "".join(f"{name:>{width}}" for name in names)
    rows = [f"{kind:{NAME_WIDTH}} videos{head}"]
    for part, found in scores.items():
        cells = "".join(f"{_cell(found[name]):>{width}}" for name in names)
        number = max(score["n"] for score in found.values())
        rows.append(f"{part:{NAME_WIDTH}} {number:6}{cells}")
    return "\n".join(rows)


def _cell(score: Mapping[str, Any]) -> str:
    """The scores of an estimator, "-" where there are none."""
    if any(value is None for value in score["mae"]):
        return "-"
    errors = [score[metric] for metric in MAES]
    if len(score["mae"]) == 1:
        cells = [*(f"{each[0]:.3f}" for each in errors), f"{score['obo'][0]:.2f}"]
    else:
        cells = [
            f"{statistics.mean(each):.3f} ± {statistics.stdev(each):.3f}"
            for each in errors
        ]
    return " / ".join(cells)
