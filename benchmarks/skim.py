"""Counting long scenes at a part of their cost: how well, beside other ways to choose the part.

    python -m benchmarks.skim --folder FOLDER --json results.json
    python -m benchmarks.skim --folder FOLDER --fit
    python -m benchmarks.skim --folder FOLDER --clips LABELS.csv

The scenes are those of `benchmarks/skim_scenes.py`. Policies at the same budget: ours
(`rac_jax/counting/skim`); `rhythm`, `loudness` and `uniform` look at the spans that are most
rhythmic, loudest, or evenly apart, whatever they find there. Everything else is the same, what is
believed of a look, too; beliefs that are all alike are followed, where `rac count` would look at
everything (`fallback` in the rows). `everything` is the model's count of the whole file,
`believed` what is left of it without the sets of which it is not sure. Time is processor time.
`--fit` fits what our policy believes of a preview, on other seeds. `--clips` measures on real
clips that `benchmarks/skim_splice.py` splices, at 10 % alone. `--baselines N` measures the other
policies on the first N files of each kind alone.
"""

import argparse
import fnmatch
import functools
import json
import pathlib
import threading
from collections.abc import Callable

import numpy as np

import rac_jax
from benchmarks.cpu_time import cpu_seconds
from benchmarks.skim_scenes import Truth, scenes
from benchmarks.skim_splice import spliced
from rac_jax.counting.result import CountResult, RepetitionSet
from rac_jax.counting.skim import looks, policy, senses
from rac_jax.counting.skim.preview import Preview, preview

BASELINES = ("rhythm", "loudness", "uniform")
BUDGETS = (0.02, 0.05, 0.10, 0.20)


def overlap(found: list[tuple[float, float]], truth: Truth) -> float:
    """Intersection over union of the found and the true sets; 1 where there are none of either."""
    ends = [end for _, end in (*found, *truth.spans)]
    if not ends:
        return 1.0
    times = np.arange(0, max(ends), 0.05)
    ours, theirs = (
        np.any([(a <= times) & (times < b) for a, b in spans], axis=0)
        if spans
        else np.zeros(len(times), bool)
        for spans in (found, list(truth.spans))
    )
    return float((ours & theirs).sum() / (ours | theirs).sum())


def scores(seen: Preview, name: str) -> np.ndarray:
    """What a policy that takes no feedback looks at first, as beliefs of its ranks."""
    if name == "uniform":
        # Bit-reversed places: any first so many of them lie about evenly.
        places = range(0, seen.seconds, policy.PROBE_S)
        order = sorted(range(len(places)), key=lambda n: f"{n:012b}"[::-1])
        values = np.zeros(seen.seconds)
        for rank, block in enumerate(order):
            values[places[block] :][: policy.PROBE_S] = len(places) - rank
        return 0.05 + 0.9 * values / len(places)
    values = np.nan_to_num(getattr(seen, name))
    kernel = np.ones(policy.PROBE_S) / policy.PROBE_S
    values = np.convolve(values, kernel, mode="same")
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return 0.05 + 0.9 * ranks / max(1, len(ranks) - 1)


class Deaf(policy.Policy):
    """A policy that takes no feedback: it has chosen before it looks."""

    def __init__(self, beliefs: np.ndarray, budget_s: int):
        super().__init__(beliefs, budget_s)
        while super().next() is not None:
            self._open.clear()
        self._spans = policy.spans_of(self.looked)

    def next(self) -> tuple[int, int] | None:
        """The next span, in order."""
        return self._spans.pop(0) if self._spans else None

    def is_unknown(self, span) -> bool:
        """False: it looks everywhere, whatever is heard."""
        return False

    def found(self, span, repeats, open_start, open_end, heard=None) -> None:
        """Keeps a set where there is one."""
        if repeats:
            self.sets.append(span)


def measure(
    counter,
    path: pathlib.Path,
    truth: Truth,
    budgets: tuple[float, ...] = BUDGETS,
    baselines: tuple[str, ...] = BASELINES,
) -> list[dict]:
    """A row per policy and budget."""
    began = cpu_seconds()
    seen = preview(path)
    previewed_s = cpu_seconds() - began
    parts = senses.counting_parts(counter, path, seen)
    known: dict[tuple, tuple[CountResult, float]] = {}
    used: list[float] = []
    lock = threading.Lock()

    def count(start_s: float, end_s: float | None, **options: bool) -> CountResult:
        # One at a time, so that it is known what each costs. Spans come again at the next budget;
        # the time of the first time counts.
        with lock:
            asked = (start_s, end_s, *options)
            if asked not in known:
                began = cpu_seconds()
                found = parts(start_s, end_s, **options)
                known[asked] = found, cpu_seconds() - began
            found, spent_s = known[asked]
            used.append(spent_s)
            return found

    # What is compiled once is no part of any time.
    for sense in (parts, *senses.senses(counter, seen, parts, {})):
        if sense is not None:
            sense(0.0, 2 * policy.PROBE_S)
    see, hear = senses.senses(counter, seen, count, {})
    whole = count(0.0, None)
    rows = []

    def add(
        name: str, budget: float, found: list[RepetitionSet], total: float, **more
    ) -> None:
        spans = [(one.start_s, one.end_s) for one in found]
        rows.append(
            {
                "policy": name,
                "budget": budget,
                "count": total,
                "overlap": overlap(spans, truth),
                "seconds": sum(used),
            }
            | more
        )

    add("everything", 1.0, list(whole.sets or ()), whole.count)
    sure = [one for one in looks.believed(whole) if one.count >= looks.LEAST_KEPT]
    add("believed", 1.0, sure, sum(one.count for one in sure))
    beliefs = policy.believe(seen)
    makers: dict[str, Callable[[int], policy.Policy]] = {
        "skim": lambda left: policy.Policy(beliefs, left)
    }
    for name in baselines:
        makers[name] = functools.partial(Deaf, scores(seen, name))
    for name, maker in makers.items():
        for budget in budgets:
            used.clear()
            chosen = maker(int(budget * seen.seconds))
            counts, heard = looks.look(chosen, seen, see, hear)
            more = {"looked": float(chosen.looked.mean()), "heard": heard}
            if name == "skim":
                covered = chosen.looked | chosen.heard
                lost = [
                    span
                    for span in truth.spans
                    if not covered[int(span[0]) : int(np.ceil(span[1]))].all()
                ]
                more |= {
                    "fallback": policy.says_nothing(seen, beliefs),
                    "missed_probability": chosen.missed(),
                    "missed": bool(lost),
                }
            found = [one for part in counts for one in part.sets or ()]
            add(name, budget, found, sum(part.count for part in counts), **more)
            rows[-1]["seconds"] += 0.0 if name == "uniform" else previewed_s
    return [row | {"truth": truth.count, "preview_s": previewed_s} for row in rows]


def fit(folder: pathlib.Path) -> policy.Evidence:
    """The evidence of scenes of other seeds, by logistic regression."""
    known = []
    for _, _, path, truth in scenes(folder, fit=1):
        seen = preview(path)
        known.append((seen, truth.inside(seen.seconds)))
    target = np.concatenate([inside for _, inside in known]).astype(float)
    moving = np.concatenate([np.log1p(seen.motion) for seen, _ in known])
    usual = float(np.nanmean(moving[target > 0]))
    columns = [np.stack(policy.evidence_of(seen, usual), axis=1) for seen, _ in known]
    inputs = np.concatenate(columns)
    middles = np.array([0.0, np.nanmean(inputs[:, 1])])
    inputs = np.nan_to_num(inputs - middles)
    inputs = np.concatenate([np.ones((len(inputs), 1)), inputs], axis=1)
    weights = np.zeros(3)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-inputs @ weights))
        # A weak prior, so that evidence that tells nothing gets no weight.
        slope = inputs.T @ (target - chance) - 1e-3 * weights
        curve = (inputs * (chance * (1 - chance))[:, None]).T @ inputs
        weights += np.linalg.solve(curve + 1e-3 * np.eye(3), slope)
    return policy.Evidence(*map(float, (*weights, usual, middles[1])))


def table(rows: list[dict]) -> str:
    """The results as Markdown: by policy and budget, a column for each kind of scene."""
    kinds = list(dict.fromkeys((row["sound"], row["sets"]) for row in rows))
    heads = [f"{sound}, {sets}" for sound, sets in kinds]
    lines = [
        "| policy | budget | " + " | ".join(heads) + " | time |",
        "|---" * (len(kinds) + 3) + "|",
    ]
    for name, budget in dict.fromkeys((row["policy"], row["budget"]) for row in rows):
        here = [row for row in rows if (row["policy"], row["budget"]) == (name, budget)]
        cells = []
        for kind in kinds:
            some = [row for row in here if (row["sound"], row["sets"]) == kind]
            counts = "/".join(f"{row['count']:.0f}" for row in some)
            cells.append(f"{counts} ({np.mean([r['overlap'] for r in some]):.2f})")
        whole = sum(row["seconds"] for row in rows if row["policy"] == "everything")
        taken = sum(row["seconds"] for row in here) / whole
        lines.append(
            f"| {name} | {100 * budget:.0f} % | {' | '.join(cells)} | {taken:.2f} |"
        )
    truths = []
    for kind in kinds:
        some = [r for r in rows if (r["sound"], r["sets"]) == kind]
        known = {row["file"]: row["truth"] for row in some}
        truths.append("/".join(f"{one:.0f}" for one in known.values()))
    lines.insert(2, f"| (true) | | {' | '.join(truths)} | |")
    return "\n".join(lines)


def main() -> None:
    """Makes the scenes, measures, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for scenes")
    parser.add_argument("--json", type=pathlib.Path, help="rows, as they are measured")
    parser.add_argument("--clips", help="labelled clips to splice instead of scenes")
    parser.add_argument("--files", default="*", help="of these names alone")
    parser.add_argument("--baselines", type=int, default=1, help="files of each kind")
    parser.add_argument("--fit", action="store_true", help="fit the policy's evidence")
    args = parser.parse_args()
    if args.fit:
        print(fit(args.folder / "fit"))
        return
    if args.clips is None:
        files, budgets = scenes(args.folder / "test"), BUDGETS
    else:
        files, budgets = spliced(args.clips, args.folder / "spliced"), (0.1,)
    counter = rac_jax.load()
    rows: list[dict] = []
    kinds: list[tuple[str, int]] = []
    for sound, sets, path, truth in files:
        if not fnmatch.fnmatch(path.name, args.files):
            continue
        others = BASELINES if kinds.count((sound, sets)) < args.baselines else ()
        kinds.append((sound, sets))
        found = measure(counter, path, truth, budgets, others)
        rows += [{"file": path.name, "sound": sound, "sets": sets} | r for r in found]
        print(
            f"{path.name}: {truth.count:.1f}, all {found[0]['count']:.1f}", flush=True
        )
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
