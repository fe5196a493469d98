"""The ablations of paper 2 as sweeps over `configs/lmrl.py`.

    rac train --config configs/lmrl.py:small --sweep table3 --workdir W
    rac evaluate --sweep table3 --workdir W

    table2   how both branches are integrated, and each alone
    table3   terms of the loss
    table4   what stands in place of the multi-scale representation

The paper's numbers are on RepCount-A's test videos, under an evaluator whose truth is not the
labelled count (docs/results.md). How a sweep is written: `configs/sight_sound_sweeps.py`.
"""

# Row to (changed fields, MAE, OBO).
TABLE2 = {
    "RFL alone": ("rfl", {"model.integration": "rfl"}, 0.4783, 0.2895),
    "MPR alone": ("mpr", {"model.integration": "mpr"}, 0.5089, 0.3092),
    "weighted linear average": (
        "fc_concat",
        {"model.integration": "fc_concat"},
        0.4200,
        0.3816,
    ),
    "concatenation": ("concat", {"model.integration": "concat"}, 0.4982, 0.3552),
    "average with a learned weight": (
        "average",
        {"model.integration": "average"},
        None,
        None,
    ),
}
# Terms beside that of the count, which the text keeps in all.
TABLE3 = {
    ("density",): (0.457, 0.257),
    ("density", "triplet"): (0.442, 0.309),
    ("density", "localisation"): (0.477, 0.289),
    ("localisation", "triplet"): (0.4330, 0.3223),
    ("density", "localisation", "triplet"): (0.4200, 0.3816),
}
TABLE4 = {
    "TSM": ("tsm", 0.5393, 0.2697),
    "self-attention": ("attention", 0.4737, 0.2960),
    "MPR on a TSM": ("mpr_tsm", 0.4471, 0.3289),
    "MPR": ("mpr", 0.4200, 0.3816),
}


def get_sweeps() -> dict[str, dict]:
    """All sweeps by name."""
    return {
        "table2": _sweep(
            "Integration of the branches",
            [
                (name, f"integration_{run}", *row)
                for name, (run, *row) in TABLE2.items()
            ],
            "The text concatenates after a dense layer each, which the table calls a weighted "
            "linear average as far as one can tell; the last row is ours.",
        ),
        "table3": _sweep(
            "Terms of the loss",
            [
                (
                    " + ".join(terms),
                    "loss_" + "_".join(terms),
                    {"loss.terms": ("count", *terms)},
                    *paper,
                )
                for terms, paper in TABLE3.items()
            ],
            "The error of the count is learned in every row.",
        ),
        "table4": _sweep(
            "Representation of the period",
            [
                (name, f"representation_{kind}", {"model.representation": kind}, *paper)
                for name, (kind, *paper) in TABLE4.items()
            ],
            "TSM and self-attention replace the whole representation.",
        ),
    }


def _sweep(title: str, rows: list[tuple], note: str) -> dict:
    """A sweep of rows (name, run, changes, MAE, OBO)."""
    return {
        "title": title,
        "runs": {run: changes for _, run, changes, *_ in rows},
        "columns": ["MAE", "OBO"],
        "rows": [
            {
                "name": name,
                "cells": {
                    column: {
                        "run": run,
                        "estimator": "sight",
                        "metric": column.lower(),
                        "paper": paper,
                    }
                    for column, paper in (("MAE", mae), ("OBO", obo))
                },
            }
            for name, run, _, mae, obo in rows
        ],
        "note": f"The paper's numbers are on RepCount-A, by its own evaluator. {note}",
    }
