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
                _check_scores(path, name, scores, _metrics(report))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: is no measurement of a run") from error
    return report


def _metrics(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a measurement's scores: those of counts, or the ones that it lists."""
    return tuple(report.get("metrics", METRICS))


def _check_scores(
    path: pathlib.Path, name: str, scores: Mapping[str, Any], metrics: Sequence[str]
) -> None:
    """Checks the scores of one estimator.

    Raises:
      ValueError: naming the file and the score.
      TypeError: if they are no object.
    """
    for key in ("n", *metrics):
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
                for metric in _metrics(reports[0])
            }
            for name, scores in estimators.items()
        }
        for part, estimators in _parts(reports[0]).items()
    }


def scores_text(reports: Sequence[Mapping[str, Any]]) -> str:
    """Scores of every estimator, over all videos and by challenge.

    MAE is of counts as they are and of rounded ones; of several runs there is no OBO. What does
    not count is scored by the metrics that its measurement names.

    Args:
      reports: of one run, or of several that were measured on the same videos.

    Returns:
      A table; of several runs "mean ± standard deviation" over them.

    Raises:
      ValueError: if the runs have other estimators or challenges.
    """
    shapes = [
        {part: sorted(names) for part, names in _parts(report).items()}
        | {"metrics": _metrics(report)}
        for report in reports
    ]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            "the runs were not measured with the same estimators and parts"
        )
    scores = _scores(reports)
    names = list(reports[0]["estimators"])
    shown = _metrics(reports[0])
    kind = " / ".join(shown)
    # Of counts: the table that the papers have.
    if shown == METRICS:
        kind = "MAE / rounded" + (" / OBO" if len(reports) == 1 else "")
        shown = METRICS if len(reports) == 1 else MAES
    if len(reports) > 1:
        kind += f", {len(reports)} runs"
    width = 22 if len(reports) == 1 else 16 * len(shown)
    head = "".join(f"{name:>{width}}" for name in names)
    rows = [f"{kind:{NAME_WIDTH}} videos{head}"]
    for part, found in scores.items():
        cells = "".join(f"{_cell(found[name], shown):>{width}}" for name in names)
        number = max(score["n"] for score in found.values())
        rows.append(f"{part:{NAME_WIDTH}} {number:6}{cells}")
    return "\n".join(rows)


def _cell(score: Mapping[str, Any], metrics: Sequence[str]) -> str:
    """The scores of an estimator by these metrics, "-" where there are none."""
    if any(value is None for metric in metrics for value in score[metric]):
        return "-"
    cells = []
    for metric in metrics:
        each = score[metric]
        # Of a share of videos two places say it all.
        places = 2 if metric == "obo" else 3
        cell = f"{statistics.mean(each):.{places}f}"
        if len(each) > 1:
            cell += f" ± {statistics.stdev(each):.{places}f}"
        cells.append(cell)
    return " / ".join(cells)
