"""What skimming learns: which stored features of a long video to read, to name its action.

Features are those of `rac_jax.data.features`: a CSV of `.npy` files, one bank or two. A batch has
one length, drawn between two; what is shorter is padded and masked (supplement, section C).
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.data.features import FeatureFile, read_features
from rac_jax.models.listen_to_look import training
from rac_jax.models.listen_to_look.skimming import SkimmingOutput
from rac_jax.train.class_scores import METRICS, among_best, class_scores
from rac_jax.train.metrics import Mean, mean
from rac_jax.train.recipe import Batch, StoredExamples, Task
from rac_jax.train.run import Run

STAGE = "skim"
GROUPS = (
    *("query_0", "query_1", "key_0", "key_1", "lstm", "attention"),
    *("fusion", "classifier", "state_classifier"),
)
# Of these there is no second with one bank.
OF_TWO = ("query_1", "key_1", "attention", "fusion")
Banks = tuple[np.ndarray, ...]


@functools.lru_cache(maxsize=4)
def stored(path: str) -> tuple[tuple[FeatureFile, Banks], ...]:
    """All that a CSV lists, in memory.

    Raises:
      OSError, ValueError: as `read_features` and `FeatureFile.load`.
    """
    return tuple((one, one.load()) for one in read_features(path))


def of_split(run: Run, split: str) -> list[tuple[str, Banks]]:
    """(label, banks) of a split's videos.

    The CSV of a split may list others, too: where it has a column `split`, those of this name are
    taken.

    Raises:
      OSError, ValueError: for a CSV or an array that cannot be read, and for features that do not
        fit the model; the place is named.
    """
    path, network = run.config.data[split].path, run.network
    found = []
    for file, banks in stored(path):
        if file.split not in ("", split):
            continue
        if run.config.skim.joined:
            banks = (np.concatenate(banks, axis=1),)
        sizes = [bank.shape[1] for bank in banks]
        if sizes != [network.features] * network.banks:
            raise ValueError(
                f"{file.place}: has banks of {sizes} features, model.banks and "
                f"model.features say {network.banks} of {network.features}"
            )
        found.append((file.label, banks))
    if not found:
        raise ValueError(f"data.{split}.path: {path} lists no video of {split!r}")
    return found


def classes_of(run: Run) -> tuple[str, ...]:
    """All labels of the training videos in order.

    Raises:
      ValueError: if there are not as many as the model has.
    """
    names = tuple(sorted({label for label, _ in of_split(run, "train")}))
    if len(names) != run.network.classes:
        raise ValueError(
            f"model.classes: {run.network.classes}, but there are {len(names)} classes"
        )
    return names


@dataclasses.dataclass(frozen=True, eq=False)
class SkimTask(Task):
    """Skimming's one stage.

    Attributes:
      run: whose network is trained, by whose config.
      classes: names of the classes, in the order of their numbers.
    """

    run: Run
    classes: tuple[str, ...]

    name = STAGE

    @property
    def trained(self) -> tuple[str, ...]:
        """All groups that this network has, but for those that the config leaves as they are."""
        frozen = self.run.config[STAGE].frozen
        two = self.run.network.banks == 2
        return tuple(n for n in GROUPS if n not in frozen and (two or n not in OF_TWO))

    @property
    def examples(self) -> StoredExamples:
        """Videos drawn one by one, each a function of the batch's number and its row's."""
        videos = of_split(self.run, "train")
        shortest, longest = self.run.config[STAGE].lengths
        steps = self.run.config[STAGE].steps

        def read(number: int, rows: np.ndarray) -> dict[str, np.ndarray]:
            seed = (self.run.config.seed, number)
            length = int(np.random.default_rng(seed).integers(shortest, longest + 1))
            found: dict[str, list[np.ndarray]] = {"valid": [], "label": []}
            for row in rows:
                rng = np.random.default_rng((*seed, int(row)))
                label, banks = videos[rng.integers(len(videos))]
                cut = training.cut_batch([banks], rng, (length, length), steps)
                # One shape for all batches: what lies behind the drawn length is masked.
                after = (0, longest - length)
                for place, bank in enumerate(cut.banks):
                    padded = np.pad(bank[0], (after, (0, 0)))
                    found.setdefault(f"bank_{place}", []).append(padded)
                found["valid"].append(np.pad(cut.valid[0], after))
                found["label"].append(np.int32(self.classes.index(label)))
            return {name: np.stack(each) for name, each in found.items()}

        return StoredExamples(read)

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(cross entropy of the averaged features, (batch statistics, metrics))."""
        del key
        settings, network = self.run.config[STAGE], self.run.network
        banks = tuple(batch[f"bank_{place}"] for place in range(network.banks))
        output, updates = network.apply(
            {"params": params, "batch_stats": batch_stats},
            banks,
            batch["valid"],
            steps=settings.steps,
            indexing=settings.indexing,
            train=True,
            mutable=["batch_stats"],
        )
        each = training.skimming_loss(output, batch["label"], settings.last_state)
        right = among_best(output.logits, batch["label"], 1).astype(jnp.float32)
        here = jnp.ones(len(each), bool)
        found = mean(each, here)
        loss = found.total / found.weight
        return loss, (updates["batch_stats"], {"top1": mean(right, here)})

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Scores of the validation videos; "error" is 1 - top-1."""
        del epoch
        found = scored(self.run, self.classes, variables, "val")
        return {"error": 1 - found["top1"]} | {name: found[name] for name in METRICS}


def scored(
    run: Run, classes: Sequence[str], variables: Variables, split: str
) -> dict[str, Any]:
    """`class_scores` of a split's videos, each in its whole length.

    Raises:
      ValueError: for a label that is no class.
    """
    videos, settings = of_split(run, split), run.config.evaluation
    if strange := [label for label, _ in videos if label not in classes]:
        raise ValueError(f"data.{split}: {strange[0]!r} is no class of training")
    longest = max(settings.steps, *(len(banks[0]) for _, banks in videos))
    there = jax.tree.map(jnp.asarray, variables)

    @jax.jit
    def program(banks: tuple[jax.Array, ...], valid: jax.Array) -> jax.Array:
        output: SkimmingOutput = run.network.apply(
            there,
            banks,
            valid,
            steps=settings.steps,
            indexing=settings.indexing,
            every=settings.every,
        )
        return output.logits[0]

    rng, found = np.random.default_rng(0), []
    for _, banks in videos:
        cut = training.cut_batch([banks], rng, (longest, longest), settings.steps)
        found.append(np.asarray(program(cut.banks, cut.valid)))
    labels = [classes.index(label) for label, _ in videos]
    return class_scores(np.stack(found), labels)
