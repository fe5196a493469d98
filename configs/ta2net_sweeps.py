"""The ablations of paper 4 as sweeps over `configs/ta2net.py`.

    rac train --config configs/ta2net.py:small --sweep table4 --workdir W
    rac evaluate --sweep table4 --workdir W

    table4   the streams, their aggregation, both self-supervised terms, each added to those before
    table5   weights of the self-supervised terms

The paper's tables score events on Audible623; a sweep's table counts, so that no number of theirs
stands beside ours in it. `rac evaluate LABELS --model W/RUN/export --event-rules one-to-one` scores
the events of each run. How a sweep is written: `configs/sight_sound_sweeps.py`.
"""

ALL = ("motion", "inflection")
CONTRAST, SMOOTHNESS = "loss.weights.contrast", "loss.weights.smoothness"
_ALONE = {CONTRAST: 0.0, SMOOTHNESS: 0.0}
_STREAMS, _AGGREGATED = "model.streams", "model.aggregated"
# Row to (changed fields, the paper's F1).
TABLE4 = {
    "video only": (_ALONE | {_STREAMS: (), _AGGREGATED: False}, 0.406),
    "+ motion": (_ALONE | {_STREAMS: ("motion",), _AGGREGATED: False}, 0.501),
    "+ inflection": (_ALONE | {_STREAMS: ALL, _AGGREGATED: False}, 0.561),
    "+ aggregation": (_ALONE, 0.587),
    "+ contrast": ({SMOOTHNESS: 0.0}, 0.601),
    "+ smoothness": ({SMOOTHNESS: 0.002}, 0.616),
}
# (weight of contrast, of smoothness) to the paper's F1.
TABLE5 = {
    (0.0, 0.0): 0.587,
    (0.1, 0.0): 0.591,
    (0.01, 0.0): 0.601,
    (0.001, 0.0): 0.592,
    (0.01, 0.02): 0.596,
    (0.01, 0.0002): 0.607,
    (0.0, 0.002): 0.587,
    (0.1, 0.002): 0.597,
    (0.001, 0.002): 0.603,
    (0.01, 0.002): 0.616,
}


def get_sweeps() -> dict[str, dict]:
    """All sweeps by name."""
    return {
        "table4": _sweep(
            "Parts of the network, added in turn",
            [(name, *row) for name, row in TABLE4.items()],
        ),
        "table5": _sweep(
            "Weights of the self-supervised terms",
            [
                (
                    f"contrast {contrast:g}, smoothness {smoothness:g}",
                    {CONTRAST: contrast, SMOOTHNESS: smoothness},
                    f1,
                )
                for (contrast, smoothness), f1 in TABLE5.items()
            ],
        ),
    }


def _sweep(title: str, rows: list[tuple[str, dict, float]]) -> dict:
    """A sweep of rows (name, changes, the paper's F1)."""
    runs = {f"row{place}": changes for place, (_, changes, _) in enumerate(rows)}
    said = ", ".join(f"{f1:.3f}" for *_, f1 in rows)
    return {
        "title": title,
        "runs": runs,
        "columns": ["MAE", "OBO"],
        "rows": [
            {
                "name": name,
                "cells": {
                    column: {
                        "run": run,
                        "estimator": "sight",
                        "metric": column.lower(),
                        "paper": None,
                    }
                    for column in ("MAE", "OBO")
                },
            }
            for (name, *_), run in zip(rows, runs, strict=True)
        ],
        "note": f"The paper's F1 on Audible623, row by row: {said}.",
    }
