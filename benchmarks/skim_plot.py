"""Draws what `benchmarks/skim.py --json` measured: spans and counts by the share looked at.

python -m benchmarks.skim_plot rows.json --out docs/skim.png
"""

import argparse
import json
import pathlib
from collections.abc import Callable

import numpy as np

COLOURS = {
    "skim": "#1b6ca8",
    "rhythm": "#d1495b",
    "loudness": "#8a8d91",
    "uniform": "#edae49",
}


def draw(rows: list[dict], out: pathlib.Path) -> None:
    """Two panels: the IoU of spans and the count's relative error, means over the scenes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in rows if row["truth"]]
    figure, panels = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    scores: tuple[tuple[str, Callable[[dict], float]], ...] = (
        ("IoU of the sets' spans", lambda row: row["overlap"]),
        (
            "error of the count",
            lambda row: abs(row["count"] - row["truth"]) / row["truth"],
        ),
    )
    for panel, (title, score) in zip(panels, scores, strict=True):
        for policy, colour in COLOURS.items():
            own = [row for row in rows if row["policy"] == policy]
            budgets = sorted({row["budget"] for row in own})
            means = [
                np.mean([score(row) for row in own if row["budget"] == budget])
                for budget in budgets
            ]
            shares = [100 * budget for budget in budgets]
            panel.plot(shares, means, "o-", color=colour, label=policy)
        whole = [score(row) for row in rows if row["policy"] == "everything"]
        # What is off the scale is said beside the line at the top.
        high = min(1.0, float(np.mean(whole)))
        panel.axhline(high, color="black", linestyle=":", linewidth=1)
        said = f"everything: {np.mean(whole):.2f}"
        panel.text(20.3, high - 0.03, said, fontsize=8, va="top", ha="right")
        panel.set(title=title, xlabel="looked at, %", ylim=(-0.03, 1.05))
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(
        lines, names, loc="outside lower center", ncols=4, fontsize=8, frameon=False
    )
    figure.savefig(out, dpi=110)


def main() -> None:
    """Draws."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="+", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    rows = [row for path in args.rows for row in json.loads(path.read_text())]
    draw(rows, args.out)


if __name__ == "__main__":
    main()
