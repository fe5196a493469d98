"""A paper's table from the evaluations of a sweep's runs.

A sweep is a dict: "title"; "runs", per run the fields of the config that it changes; "columns";
"rows", each {"name", "cells": {column: cell}}; and "note". A cell is {"run", "estimator", "metric",
"paper"}, with "optional": True where not every run has that estimator, and "counts": (least, most)
where it is about the videos with so many repetitions only, most None for any number, or "label"
where it is about those alone of which that is repeated. A run that has been
evaluated has left `<workdir>/<run>/evaluation.json`, which holds {"estimators": {estimator:
{"n": int, "mae": float or null, "mae_rounded": float or null, "obo": float or null}}, ...}. Papers
do not say which of the two MAEs theirs is: where a cell shows "mae", both are printed.
"""

import json
import math
import os
import pathlib
import re
import textwrap
from typing import Any

import numpy as np

from rac_jax.counting import scores
from rac_jax.train import class_scores

# Of counts, and of classes.
METRICS = ("mae", "obo", *class_scores.METRICS)
# The same of rounded counts, for the metrics for which it is something else.
ROUNDED = {"mae": "mae_rounded"}
KEYS = ("title", "runs", "columns", "rows", "note")
WIDTH = 100
GAP = "  "


def find_sweep(sweeps: dict[str, dict], name: str) -> dict:
    """The sweep of that name.

    Raises:
      ValueError: if there is none; lists those there are.
    """
    if name not in sweeps:
        raise ValueError(f"unknown sweep {name!r}; known: {', '.join(sweeps)}")
    return sweeps[name]


def check_sweep(sweep: dict) -> None:
    """Checks that a sweep's cells and runs fit together.

    Raises:
      ValueError: if a key is missing, a run's name can't be a folder's, a cell has an unknown
        column, run or metric, no estimator or no "paper", or no cell shows a run.
    """
    missing = [key for key in KEYS if key not in sweep]
    if missing:
        raise ValueError(f"sweep has no {', '.join(map(repr, missing))}")
    for run in sweep["runs"]:
        if not re.fullmatch(r"\w[\w.-]*", run, re.ASCII):
            raise ValueError(
                f"run {run!r}: use only letters, digits and _ . - in its name"
            )
    known = {"run": sweep["runs"], "metric": METRICS}
    shown = set()
    for row in sweep["rows"]:
        for column, cell in row["cells"].items():
            where = f"row {row['name']!r}, column {column!r}"
            if column not in sweep["columns"]:
                raise ValueError(
                    f"{where}: no such column; known: {', '.join(sweep['columns'])}"
                )
            for key, values in known.items():
                if cell.get(key) not in values:
                    raise ValueError(
                        f"{where}: unknown {key} {cell.get(key)!r}; known: {', '.join(values)}"
                    )
            # Which estimators there are is known once a run has been evaluated.
            if not cell.get("estimator"):
                raise ValueError(f"{where}: no 'estimator'")
            if "paper" not in cell:
                raise ValueError(f"{where}: no 'paper'; None where there is no number")
            shown.add(cell["run"])
    unused = [run for run in sweep["runs"] if run not in shown]
    if unused:
        raise ValueError(f"no cell shows the runs {', '.join(unused)}")


def read_evaluations(
    workdir: str | os.PathLike, sweep: dict
) -> dict[str, dict[str, Any] | None]:
    """Reads what the runs of a sweep scored.

    Args:
      workdir: the folder with a folder per run.
      sweep: the sweep.

    Returns:
      For each run the content of its `evaluation.json`, None if it has none yet.

    Raises:
      ValueError: if no run has one, or one is not as it should be; names the folder or file.
      OSError: if one can't be read.
    """
    evaluations = {
        run: _read_evaluation(_path(run, workdir), _needed(sweep, run))
        for run in sweep["runs"]
    }
    if not any(evaluations.values()):
        raise ValueError(
            f"{os.fspath(workdir)}: has no evaluation.json of any run of the sweep "
            f"({', '.join(sweep['runs'])})"
        )
    return evaluations


def table_record(
    name: str, sweep: dict, evaluations: dict[str, dict[str, Any] | None]
) -> dict[str, Any]:
    """The table as plain data for JSON.

    Args:
      name: the sweep's name.
      sweep: the sweep.
      evaluations: per run its evaluation, None if it has none yet.

    Returns:
      {"name", "title", "note", "runs": {run: {"changes", "finished"}}, "columns", "rows"}; a
      cell has "run", "estimator", "metric", "paper", and the measured "ours" and "n", which are
      None for a run without evaluation and where an optional estimator is not there. "ours" is
      also None where no video could be scored. A cell of a metric in `ROUNDED` has "rounded",
      too.

    Raises:
      ValueError: if an evaluation lacks an estimator or metric that a cell shows.
    """
    rows = []
    for row in sweep["rows"]:
        cells = {}
        for column, cell in row["cells"].items():
            evaluation = evaluations.get(cell["run"])
            found = {"ours": None, "n": None}
            if cell["metric"] in ROUNDED:
                found["rounded"] = None
            if evaluation is not None:
                found = _scores(evaluation, cell, _path(cell["run"]))
            cells[column] = cell | found
        rows.append({"name": row["name"], "cells": cells})
    return {
        "name": name,
        "title": sweep["title"],
        "note": sweep["note"],
        "runs": {
            run: {
                "changes": {
                    field: list(value) if isinstance(value, tuple) else value
                    for field, value in changes.items()
                },
                "finished": evaluations.get(run) is not None,
            }
            for run, changes in sweep["runs"].items()
        },
        "columns": list(sweep["columns"]),
        "rows": rows,
    }


def table_text(
    name: str, sweep: dict, evaluations: dict[str, dict[str, Any] | None]
) -> str:
    """The table as text in the paper's layout: our number, the paper's in brackets.

    An MAE is followed by that of rounded counts.

    A "-" stands for a number that isn't there (yet). Columns that do not fit side by side go
    below, under the row names again.

    Args:
      name: the sweep's name.
      sweep: the sweep.
      evaluations: per run its evaluation, None if it has none yet.

    Returns:
      Lines of at most 100 characters, unless a single column needs more.

    Raises:
      ValueError: if an evaluation lacks an estimator or metric that a cell shows.
    """
    record = table_record(name, sweep, evaluations)
    names = _same_width(["", *(row["name"] for row in record["rows"])])
    columns = [
        [column, *_column_text([row["cells"].get(column) for row in record["rows"]])]
        for column in record["columns"]
    ]
    blocks = [
        "\n".join(GAP.join(line).rstrip() for line in zip(names, *block, strict=True))
        for block in _blocks([_same_width(column) for column in columns], len(names[0]))
    ]
    title = f"{name}: {record['title']}, ours (paper), MAE as unrounded / rounded"
    parts = (_paragraph(title), *blocks, _paragraph(record["note"]))
    return "\n\n".join(part for part in parts if part)


def _path(run: str, workdir: str | os.PathLike = "") -> pathlib.Path:
    return pathlib.Path(workdir, run, "evaluation.json")


def _needed(sweep: dict, run: str) -> list[dict]:
    """The cells that show a run."""
    cells = [cell for row in sweep["rows"] for cell in row["cells"].values()]
    return [cell for cell in cells if cell["run"] == run]


def _read_evaluation(path: pathlib.Path, cells: list[dict]) -> dict[str, Any] | None:
    """Reads one evaluation and checks that it has the scores of these cells."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        evaluation = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON: {error}") from error
    if _part(evaluation, "estimators") is None:
        raise ValueError(f'{path}: has no object "estimators"')
    for cell in cells:
        _scores(evaluation, cell, path)
    return evaluation


def _part(value: Any, key: str) -> dict | None:
    """The object under a key of an object, None if there isn't one."""
    part = value.get(key) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else None


def _scores(
    evaluation: dict[str, Any], cell: dict, path: pathlib.Path
) -> dict[str, float | int | None]:
    """A cell's scores and the number of videos they are over; None where it is optional."""
    name, known = cell["estimator"], evaluation["estimators"]
    shown = {"ours": cell["metric"]}
    if cell["metric"] in ROUNDED:
        shown["rounded"] = ROUNDED[cell["metric"]]
    if cell.get("optional", False) and name not in known:
        return dict.fromkeys((*shown, "n"))
    found = _part(known, name)
    if found is None:
        raise ValueError(
            f"{path}: has no estimator {name!r} (it has: {', '.join(known)})"
        )
    if "counts" in cell or "label" in cell:
        found = _scores_of_some(evaluation, name, cell, path)
    values = {key: _score(found, name, metric, path) for key, metric in shown.items()}
    return values | {"n": found.get("n")}


def _scores_of_some(
    evaluation: dict[str, Any],
    name: str,
    cell: dict,
    path: pathlib.Path,
) -> dict[str, float | int | None]:
    """An estimator's scores over the videos whose count is in a range, or of one label.

    Raises:
      ValueError: if the evaluation does not have every video's count by this estimator, or its
        label.
    """
    least, most = cell.get("counts", (0, None))
    try:
        rows = [
            (float(video["count"]), float(video[name]))
            for video in evaluation["videos"]
            if "label" not in cell or video["label"] == cell["label"]
        ]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: does not have every video's {name!r}") from None
    inside = [
        (label, count)
        for label, count in rows
        if label > 0 and least <= label <= (math.inf if most is None else most)
    ]
    if not inside:
        return dict.fromkeys(scores.METRICS) | {"n": 0}
    labels, found = np.array(inside).T
    each = scores.per_video(found, labels)
    return {metric: float(values.mean()) for metric, values in each.items()} | {
        "n": len(inside)
    }


def _score(
    scores: dict[str, Any], name: str, metric: str, path: pathlib.Path
) -> float | None:
    """One score of the estimator of that name; None where it has no number."""
    if metric not in scores:
        raise ValueError(f"{path}: estimator {name!r} has no {metric!r}")
    value = scores[metric]
    number = type(value) in (int, float) and math.isfinite(value)
    if not number and value is not None:
        raise ValueError(
            f"{path}: {metric} of estimator {name!r} is {value!r}, not a number"
        )
    return value


def _column_text(cells: list[dict | None]) -> list[str]:
    """The cells of a column, our numbers flush right."""
    ours = ["" if cell is None else _measured(cell) for cell in cells]
    width = max(map(len, ours))
    papers = [
        f" ({cell['paper']:.3f})" if cell and _has_both(cell) else "" for cell in cells
    ]
    return [our.rjust(width) + paper for our, paper in zip(ours, papers, strict=True)]


def _measured(cell: dict) -> str:
    """Our number, with that of rounded counts where there is one."""
    text = _number(cell["ours"])
    rounded = cell.get("rounded")
    return text if rounded is None else f"{text} / {_number(rounded)}"


def _has_both(cell: dict) -> bool:
    return cell["ours"] is not None and cell["paper"] is not None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def _same_width(texts: list[str]) -> list[str]:
    width = max(map(len, texts))
    return [text.ljust(width) for text in texts]


def _blocks(columns: list[list[str]], used: int) -> list[list[list[str]]]:
    """Splits columns into groups that fit beside row names of width `used`."""
    blocks, width = [], WIDTH + 1
    for column in columns:
        width += len(GAP) + len(column[0])
        if width > WIDTH:
            blocks.append([])
            width = used + len(GAP) + len(column[0])
        blocks[-1].append(column)
    return blocks
