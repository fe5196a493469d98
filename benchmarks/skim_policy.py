"""Training the rules of the skimming policy by the error of its counts.

    python -m benchmarks.skim_policy --folder FOLDER

On the scenes that `benchmarks/skim.py --fit` fits beliefs on, and as many more of other seeds, the
policy is run with the default model at budgets of 2, 5, 10 and 20 %. Its loss is the error of the
count over the true one (over `LEAST` in a scene with less), the mean over scenes and budgets,
and a price for each second that is looked at or listened to, which decides between rules that
count alike. One rule after the other is set to whichever of its values loses least, until none
changes; then it is told what share of the seconds that are believed in at the end are of sets.
What the model says of a part is kept in `parts/` in the folder: the second run takes
minutes.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
import threading
from collections.abc import Callable, Sequence

import rac_jax
from benchmarks.skim import BUDGETS
from benchmarks.skim_scenes import Truth, scenes
from rac_jax.counting.result import CountResult, RepetitionSet, Stream, rate_of_sets
from rac_jax.counting.skim import looks, policy, senses
from rac_jax.counting.skim.preview import Preview, preview

LEAST = 20.0
# Of the loss for a whole scene that is looked at; hearing costs a fifth of looking.
PRICE, HEARING = 0.1, 0.2
VALUES = {
    "worth": (0.01, 0.02, 0.04, 0.08),
    "second": (0.005, 0.01, 0.02),
    "heard": (0.4, 0.5, 0.6, 0.7, 0.8),
    "unheard_odds": (0.03, 0.1, 0.3),
    "beside_odds": (5.0, 20.0, 80.0),
    "faded": (0.2, 0.3, 0.5, 0.7),
}


class Known:
    """What the model says of parts of a scene, kept in a file.

    Args:
      count: (start_s, end_s, **options) -> the count of a part.
      path: of the file, JSON.
    """

    def __init__(self, count: Callable[..., CountResult], path: pathlib.Path):
        self._count, self._path = count, path
        self._parts = json.loads(path.read_text()) if path.exists() else {}
        self._told = len(self._parts)
        self._lock = threading.Lock()
        self.price = 0.0  # of what was asked since it was set to 0

    def __call__(self, start_s: float, end_s: float, **options: bool) -> CountResult:
        """The count of a part, as far as a policy makes use of it."""
        key = json.dumps([start_s, end_s, options])
        share = HEARING if options.get("sight") is False else 1.0
        with self._lock:
            self.price += share * (end_s - start_s)
            if key not in self._parts:
                found = self._count(start_s, end_s, **options)
                self._parts[key] = [
                    (one.start_s, one.end_s, one.count, one.cycles, one.probability)
                    for one in found.sets
                ]
            told = self._parts[key]
        sets = tuple(
            RepetitionSet(start, end, count, tuple(map(tuple, cycles)), probability)
            for start, end, count, cycles, probability in told
        )
        total = sum((one.count for one in sets), 0.0)
        return CountResult(
            file="",
            start_s=start_s,
            duration_s=end_s - start_s,
            count=total,
            rate=rate_of_sets(sets),
            # By one of the senses alone.
            streams=(Stream("sight", total, None, ()),),
            model="",
            family="",
            seconds=0.0,
            sets=sets,
        )

    def keep(self) -> None:
        """Writes what is new."""
        if len(self._parts) > self._told:
            self._path.write_text(json.dumps(self._parts))
            self._told = len(self._parts)


@dataclasses.dataclass(frozen=True)
class Long:
    """A scene to train on."""

    seen: Preview
    truth: Truth
    parts: Known
    see: senses.Count
    hear: senses.Count | None

    def policy(self, rules: policy.Rules, budget: float) -> policy.Policy:
        """One that has not begun."""
        seconds = int(budget * self.seen.seconds)
        return policy.Policy(policy.believe(self.seen), seconds, rules)


def prepared(folder: pathlib.Path) -> list[Long]:
    """The scenes."""
    counter = rac_jax.load()
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    found = []
    for _, _, path, truth in scenes(folder, fit=2):
        seen = preview(path)
        count = senses.counting_parts(counter, path, seen)
        parts = Known(count, folder / "parts" / f"{path.stem}.json")
        found.append(Long(seen, truth, parts, *senses.senses(counter, seen, parts, {})))
    return found


def loss(scene: Long, chosen: policy.Policy) -> tuple[float, float]:
    """(The error of the count by a policy, the price of getting it)."""
    scene.parts.price = 0.0
    counts, _ = looks.look(chosen, scene.seen, scene.see, scene.hear)
    error = abs(sum(part.count for part in counts) - scene.truth.count)
    price = PRICE * scene.parts.price / scene.seen.seconds
    return error / max(LEAST, scene.truth.count), price


def search(trained: Sequence[Long], rules: policy.Rules) -> policy.Rules:
    """The rules that lose least, beginning from some."""
    known: dict[policy.Rules, tuple[float, float]] = {}

    def losses(rules: policy.Rules) -> tuple[float, float]:
        if rules not in known:
            found = [
                loss(one, one.policy(rules, budget))
                for one, budget in itertools.product(trained, BUDGETS)
            ]
            known[rules] = tuple(sum(part) / len(found) for part in zip(*found))
            for one in trained:
                one.parts.keep()
        return known[rules]

    print("begin: error {:.4f}, price {:.4f}".format(*losses(rules)), flush=True)
    for turn in itertools.count(1):
        before = rules
        for name, values in VALUES.items():
            tried = [dataclasses.replace(rules, **{name: value}) for value in values]
            rules = min([rules, *tried], key=lambda one: sum(losses(one)))
            error, price = losses(rules)
            print(
                f"{turn} {name} {getattr(rules, name)}: error {error:.4f}, price {price:.4f}",
                flush=True,
            )
        if rules == before:
            return rules


def missed(trained: Sequence[Long], rules: policy.Rules) -> float:
    """The share that `policy.Rules.missed` is, over scenes and budgets."""
    true_s = believed_s = 0.0
    for one, budget in itertools.product(trained, BUDGETS):
        chosen = one.policy(rules, budget)
        loss(one, chosen)
        unknown = ~(chosen.looked | chosen.heard)
        true_s += float((unknown & one.truth.inside(len(unknown))).sum())
        believed_s += float(chosen.beliefs[unknown].sum())
        one.parts.keep()
    return true_s / believed_s


def main() -> None:
    """Trains, and prints the rules."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for scenes")
    args = parser.parse_args()
    trained = prepared(args.folder / "fit")
    rules = search(trained, policy.TRAINED)
    print(dataclasses.replace(rules, missed=missed(trained, rules)))


if __name__ == "__main__":
    main()
