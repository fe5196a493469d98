"""The rows of I3D in paper 3's Table 4 as a sweep over `configs/pretrain.py:i3d`.

    rac train --config configs/pretrain.py:i3d --sweep table4 --workdir S \\
        --config.start.encoder=i3d-kinetics --config.data.cache=CACHE \\
        --config.data.train.path=qar_evd:FOLDER/train ...
    rac evaluate --sweep table4 --workdir S

The paper names neither the four layers of its second row nor where a layer ends: ours are the last
three Inception blocks and the last, dense layer. How a sweep is written:
`configs/sight_sound_sweeps.py`; SI-EN's rows: `configs/sien_sweeps.py`.
"""

PER_CLASS = (5, 10, 20, 50, 100)
BLOCKS = ("encoder/mixed_4f", "encoder/mixed_5b", "encoder/mixed_5c")
# Row to (its runs, what learns, the paper's top-1 in %).
TABLE4 = {
    "the head alone": ("head", ("head",), (12.2, 17.1, 22.5, 25.9, 28.4)),
    "the last 4": ("last4", (*BLOCKS, "head"), (18.9, 28.6, 39.8, 51.5, 56.1)),
    "all": ("all", (), (19.4, 28.7, 43.3, 53.9, 60.9)),
}


def get_sweeps() -> dict[str, dict]:
    """All sweeps by name."""
    runs, rows = {}, []
    for name, (short, trained, paper) in TABLE4.items():
        cells = {}
        for number, score in zip(PER_CLASS, paper, strict=True):
            run = f"{short}_{number}"
            runs[run] = {"classify.trained": trained, "data.train.per_class": number}
            cells[str(number)] = {
                "run": run,
                "estimator": "3x1 views",
                "metric": "top1",
                "paper": round(score / 100, 4),
            }
        rows.append({"name": name, "cells": cells})
    table4 = {
        "title": "I3D: top-1 by training videos per class",
        "runs": runs,
        "columns": list(map(str, PER_CLASS)),
        "rows": rows,
        "note": "The paper's numbers start from Kinetics and are on QAR-EVD's test videos.",
    }
    return {"table4": table4}
