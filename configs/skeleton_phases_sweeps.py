"""The schemes of phases on the joints of scenes, as a sweep over `configs/skeleton_phases.py`.

    rac train --config configs/skeleton_phases.py:st-gcn --sweep schemes --workdir S
    rac train --config configs/skeleton_phases.py:ms-g3d --sweep schemes --workdir G
    rac evaluate --sweep schemes --workdir S

Its test scenes are those of the sweep of the same name in `configs/sien_sweeps.py`, of which SI-EN
sees the pictures. How a sweep is written: `configs/sight_sound_sweeps.py`.
"""

PHASES = {"ends": 3, "middles": 4, "halves": 3}
COLUMNS = {
    f"{metric.upper()}, seed {seed}": (seed, metric)
    for seed in (0, 1, 2)
    for metric in ("mae", "obo")
}


def get_sweeps() -> dict[str, dict]:
    """All sweeps by name."""
    runs = {
        f"{scheme}_{seed}": {
            "counting.scheme": scheme,
            "model.phases": phases,
            "seed": seed,
        }
        for scheme, phases in PHASES.items()
        for seed, _ in COLUMNS.values()
    }

    def cell(scheme: str, seed: int, metric: str) -> dict:
        run = f"{scheme}_{seed}"
        return {"run": run, "estimator": "sight", "metric": metric, "paper": None}

    rows = [
        {
            "name": scheme,
            "cells": {name: cell(scheme, *place) for name, place in COLUMNS.items()},
        }
        for scheme in PHASES
    ]
    schemes = {
        "title": "Schemes of phases on the joints of scenes",
        "runs": runs,
        "columns": list(COLUMNS),
        "rows": rows,
        "note": "The test scenes are the same for all seeds.",
    }
    return {"schemes": schemes}
