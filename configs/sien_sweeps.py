"""Tables 4 and 5 of paper 3 as sweeps over `configs/sien.py`, and its schemes on scenes.

    rac train --config configs/sien.py:exercises --sweep table4 --workdir S \\
        --config.start.encoder=MODEL --config.data.cache=CACHE --config.data.train.path=... ...
    rac train --config configs/sien.py:tagged --sweep table5 --workdir S ...
    rac train --config configs/sien.py:people --sweep schemes --workdir S
    rac evaluate --sweep schemes --workdir S

    table4   videos per class, and how much of the encoder learns
    table5   the three schemes on labelled videos, by exercise
    schemes  the three schemes on scenes, with three seeds

With `data.cache` named all runs of a sweep read one cache. How a sweep is written:
`configs/sight_sound_sweeps.py`.
"""

PER_CLASS = (5, 10, 20, 50, 100)
# Row to (its runs, `clips.layers`, the paper's top-1 in % from BigFitness, which is not public).
TABLE4 = {
    "the head alone": ("head", 0, (38.1, 44.4, 49.5, 56.0, 58.9)),
    "the last 4": ("last4", 4, (None,) * 5),
    "the last 10": ("last10", 10, (45.2, 50.7, 56.0, 63.5, 66.8)),
    "all": ("all", -1, (36.2, 43.6, 51.5, 60.8, 63.6)),
}
IMAGENET = (8.9, 15.5, 23.9, 33.5, 38.1)
# Scheme to (classes of phases, the paper's errors in % by exercise).
TABLE5 = {
    "ends": (3, (25.9, 39.3, 33.3, 109.0)),
    "middles": (4, (17.1, 22.3, 13.4, 49.2)),
    "halves": (3, (4.6, 7.2, 2.2, 21.5)),
}
EXERCISES = ("pushup", "dead bug", "lateral lunges", "inchworm")
SEEDS = (0, 1, 2)


def get_sweeps() -> dict[str, dict]:
    """All sweeps by name."""
    return {"table4": _table4(), "table5": _table5(), "schemes": _schemes()}


def _cell(run: str, estimator: str, metric: str, paper: float | None) -> dict:
    share = None if paper is None else round(paper / 100, 4)
    return {"run": run, "estimator": estimator, "metric": metric, "paper": share}


def _table4() -> dict:
    runs, rows = {}, []
    for name, (short, layers, paper) in TABLE4.items():
        cells = {}
        for number, score in zip(PER_CLASS, paper, strict=True):
            run = f"{short}_{number}"
            runs[run] = {"clips.layers": layers, "data.train.per_class": number}
            cells[str(number)] = _cell(run, "whole videos", "top1", score)
        rows.append({"name": name, "cells": cells})
    imagenet = ", ".join(f"{score:.1f}" for score in IMAGENET)
    return {
        "title": "Top-1 by training videos per class",
        "runs": runs,
        "columns": list(map(str, PER_CLASS)),
        "rows": rows,
        "note": "The paper's numbers start from BigFitness, which nobody else has; from ImageNet "
        f"its best are {imagenet} %.",
    }


def _table5() -> dict:
    runs, rows = {}, []
    for scheme, (phases, paper) in TABLE5.items():
        runs[scheme] = {"counting.scheme": scheme, "model.phases": phases}
        cells = {
            exercise: _cell(scheme, "sight", "mae", error) | {"label": exercise}
            for exercise, error in zip(EXERCISES, paper, strict=True)
        }
        rows.append({"name": scheme, "cells": cells})
    return {
        "title": "Error by scheme of phases and exercise",
        "runs": runs,
        "columns": list(EXERCISES),
        "rows": rows,
        "note": "Columns are the labels of the test videos. One network counts all exercises; "
        "the paper does not say whether it had one for each.",
    }


def _schemes() -> dict:
    runs, rows = {}, []
    for scheme, (phases, _) in TABLE5.items():
        cells = {}
        for seed in SEEDS:
            run = f"{scheme}_{seed}"
            fields = {"counting.scheme": scheme, "model.phases": phases, "seed": seed}
            runs[run] = fields
            for metric in ("mae", "obo"):
                column = f"{metric.upper()}, seed {seed}"
                cells[column] = _cell(run, "sight", metric, None)
        rows.append({"name": scheme, "cells": cells})
    return {
        "title": "Schemes of phases on scenes",
        "runs": runs,
        "columns": [f"{m}, seed {seed}" for seed in SEEDS for m in ("MAE", "OBO")],
        "rows": rows,
        "note": "The test scenes are the same for all seeds.",
    }
