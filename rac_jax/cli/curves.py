"""The curves of training runs: a panel per stage, its loss and its validation error."""

import json
import pathlib
from collections.abc import Sequence

METRICS = "metrics.jsonl"
TRAIN, VALIDATION = "train", "validation"


def read_curve(path: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """A stage's metrics.

    Args:
      path: its `metrics.jsonl`.

    Returns:
      {"train": [(step, loss)], "validation": [(step, error)]}.

    Raises:
      ValueError: if a line is damaged.
    """
    curve = {TRAIN: [], VALIDATION: []}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            name = {TRAIN: "loss", VALIDATION: "error"}[row["kind"]]
            curve[row["kind"]].append((row["step"], row[name]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: is no line of metrics") from error
    return curve


def draw(runs: Sequence[pathlib.Path], target: pathlib.Path) -> None:
    """Draws the curves of runs over one another.

    Args:
      runs: their workdirs.
      target: a .png or .svg file.

    Raises:
      ValueError: if a run has no metrics.
    """
    from matplotlib.figure import Figure

    found = {run: sorted(run.glob(f"*/{METRICS}")) for run in runs}
    for run, paths in found.items():
        if not paths:
            raise ValueError(f"{run}: has no {METRICS} of any stage")
    first = next(iter(found.values()))
    stages = [
        path.parent.name for path in sorted(first, key=lambda p: p.stat().st_mtime)
    ]
    figure = Figure(figsize=(4.2 * len(stages), 3.2), layout="constrained")
    panels = figure.subplots(1, len(stages), squeeze=False)[0]
    for axes, stage in zip(panels, stages, strict=True):
        axes.set_title(stage)
        axes.set_xlabel("step")
        right = axes.twinx()
        for run in runs:
            curve = read_curve(run / stage / METRICS)
            axes.plot(*_columns(curve[TRAIN]), color="#0072B2", lw=1)
            right.plot(*_columns(curve[VALIDATION]), "o-", color="#D55E00", ms=4, lw=1)
        axes.set_ylabel("training loss", color="#0072B2")
        right.set_ylabel("validation error", color="#D55E00")
        for side in (axes, right):
            side.set_ylim(0, 1.05 * side.dataLim.ymax)
    figure.savefig(target, dpi=90)


def _columns(points: list[tuple[int, float]]) -> tuple[list, list]:
    return [step for step, _ in points], [value for _, value in points]
