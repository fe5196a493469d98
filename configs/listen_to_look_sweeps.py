"""The ablations of paper 5's supplement as sweeps over `configs/listen_to_look.py:skimming`.

    rac train --config listen_to_look:skimming --sweep tableG --workdir W ...
    rac evaluate --sweep tableG --workdir W
    rac train --config listen_to_look:quick --sweep senses --workdir W --config.teacher=T/export

    tableG   how moments are indexed (section G, 1 to 3)
    senses   students of `quick` that look and listen, only look, or only listen; three seeds
    figureF  keys of every so many moments, and fewer steps (section F; the figure has no numbers)

Section G.2's single query is asked of fused features; here both banks are laid side by side, so
that features need not be stored again. The paper's numbers are top-1 on ActivityNet.
How a sweep is written: `configs/sight_sound_sweeps.py`.
"""

_HARD = {"skim.indexing": "hard", "evaluation.indexing": "hard"}
_VISUAL = {"skim.indexing": "visual", "evaluation.indexing": "visual"}
_SINGLE = {"model.banks": 1, "model.features": 1024, "skim.joined": True}
# Row to (changed fields, the paper's accuracy in %).
TABLE_G = {
    "visual indexing": (_VISUAL, 70.0),
    "single query": (_SINGLE, 70.5),
    "single query, hard": (_SINGLE | _HARD, 70.1),
    "separate queries": ({}, 71.1),
}
# A student of `quick` to its width: one network at a greater width does as many multiplications as
# two, within a tenth.
WIDTHS = {"both": 0.125, "image": 0.3125, "audio": 0.15}
SEEDS = (0, 1, 2)
EVERY, STEPS = (1, 2, 4, 8, 16), (1, 2, 3, 5, 10)


def get_sweeps() -> dict[str, dict]:
    """All sweeps by name."""
    rows = [(name, *row) for name, row in TABLE_G.items()]
    sparse = [
        (f"keys of every {one}", {"evaluation.every": one}, None) for one in EVERY
    ]
    stops = [(f"{one} steps", {"evaluation.steps": one}, None) for one in STEPS]
    return {
        "tableG": _sweep("How moments are indexed", rows),
        "senses": _senses(),
        "figureF": _sweep("Sparse indexing and early stops", sparse + stops),
    }


def _sweep(title: str, rows: list[tuple[str, dict, float | None]]) -> dict:
    """A sweep of rows (name, changes, the paper's accuracy)."""
    runs = {f"row{place}": changes for place, (_, changes, _) in enumerate(rows)}
    said = [f"{accuracy:.1f}" for *_, accuracy in rows if accuracy is not None]
    return {
        "title": title,
        "runs": runs,
        "columns": ["top-1", "mAP"],
        "rows": [
            {
                "name": name,
                "cells": {
                    column: {
                        "run": run,
                        "estimator": "skimming",
                        "metric": metric,
                        "paper": None,
                    }
                    for column, metric in (("top-1", "top1"), ("mAP", "map"))
                },
            }
            for (name, *_), run in zip(rows, runs, strict=True)
        ],
        "note": f"The paper's top-1 in %, row by row: {', '.join(said)}."
        if said
        else "Trained once: rows differ in how a trained network reads.",
    }


def _senses() -> dict:
    """Equal cost, by senses and seed."""
    return {
        "title": "Distilled students of a frame and its sound, of one alone at equal cost",
        "runs": {
            f"{senses}{seed}": {
                "model.senses": senses,
                "model.width": width,
                "seed": seed,
            }
            for senses, width in WIDTHS.items()
            for seed in SEEDS
        },
        "columns": [f"top-1, seed {seed}" for seed in SEEDS],
        "rows": [
            {
                "name": senses,
                "cells": {
                    f"top-1, seed {seed}": {
                        "run": f"{senses}{seed}",
                        "estimator": "student",
                        "metric": "top1",
                        "paper": None,
                    }
                    for seed in SEEDS
                },
            }
            for senses in WIDTHS
        ],
        "note": "The teacher sees clips; classes of test scenes are their kinds of motion.",
    }
