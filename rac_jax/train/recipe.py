"""What a family says of its training: the stages in order, and what each of them learns.

The engine (`training`, `stages`, `loop`, `step`) knows these types and no family.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import jax
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.data.pipeline import Sampler
from rac_jax.train.metrics import Mean

if TYPE_CHECKING:
    from rac_jax.train.run import Run

Batch = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class VideoExamples:
    """Examples cut out of labelled videos, in worker processes.

    Attributes:
      sampler: from a video to one example, see `rac_jax.data.pipeline.Sampler`.
      split: of the config's data, see `Run.own_split`.
    """

    sampler: Sampler
    split: str = "train"


@dataclasses.dataclass(frozen=True)
class RenderedExamples:
    """Examples that `Task.prepare` renders on the device from {"row": int32 [B]} and its key."""


@dataclasses.dataclass(frozen=True)
class ArrayExamples:
    """Examples drawn from arrays in memory.

    Attributes:
      draw: number of a batch, from 0, to the global batch; a pure function.
    """

    draw: Callable[[int], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class StoredExamples:
    """Examples that are read from files, each process its own rows.

    Attributes:
      read: (number of a batch, from 0, numbers of its rows) -> those rows; a pure function.
    """

    read: Callable[[int, np.ndarray], dict[str, np.ndarray]]


Examples = VideoExamples | RenderedExamples | ArrayExamples | StoredExamples


class Task(Protocol):
    """What one stage learns, from what, by which loss, and how it is validated.

    A subclass inherits the methods that have a body here.

    Attributes:
      name: of the stage, and of its section in the config.
      trained: prefixes of the paths of the parameters that change.
      auxiliary: groups of parameters that only training needs; they are not kept.
      examples: where they come from.
    """

    name: str
    trained: tuple[str, ...]
    auxiliary: tuple[str, ...] = ()
    examples: Examples

    def first(self, variables: Variables) -> Variables:
        """The variables that the stage begins with, auxiliary ones among them."""
        return variables

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders or augments a batch on the device; pure."""
        del key
        return batch

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(scalar loss, (batch statistics, metrics by name)); pure.

        Examples of videos carry "mask" bool [B], false for a video that could not be read.
        """
        ...

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Metrics of host variables, without auxiliary ones, after an epoch counted from 1.

        "error" is the lower the better.
        What counts videos counts them by the family's own estimator (`Run.counter`).
        """
        ...

    def record(self, variables: Variables) -> Mapping[str, Any] | None:
        """What the trained stage leaves for later ones, ready for JSON; None for nothing."""
        del variables
        return None


@dataclasses.dataclass(frozen=True)
class Stage:
    """One unit of a recipe that is trained, saved and resumed by itself.

    Attributes:
      name: of the stage: its folder, and its section in the config.
      task: (run, variables so far) -> what it learns.
      reads: sections of the config ("model") or fields of them ("loss.terms") that the
        stage's result depends on; a finished stage is not reused if one of them has changed.
      leaves: groups of parameters that it trains and leaves, as far as there are such.
      optional: whether it is left out where its section has 0 epochs.
    """

    name: str
    task: Callable[["Run", Variables], Task]
    reads: tuple[str, ...]
    leaves: tuple[str, ...]
    optional: bool = False


def _nothing_to_check(run: "Run") -> None:
    """The check of a recipe that has none of its own."""


def _as_measured(run: "Run", measurement: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `config.json` of training, with the scores of the estimators."""
    scores = {name: measurement[name] for name in ("estimators", "challenges")}
    return run.recipe.model_config(run) | {"accuracy": scores}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a family is trained.

    Attributes:
      stages: in order.
      model_config: (run) -> the `config.json` with which the model in training counts.
      evaluate: (run, variables) -> the measurement on the test videos: {"estimators": {name:
        scores}, "challenges", "videos"}, as `rac_jax.train.report.report` makes it, and more;
        "metrics" names the scores where they are not those of counts.
      check: raises ValueError for wrong settings, naming the field, before hours are spent.
      describe: (run, measurement) -> the exported model's `config.json` but for how it was
        trained, or None if the result is no model of the family. By default `model_config`
        with the estimators' scores as its accuracy.
    """

    stages: tuple[Stage, ...]
    model_config: Callable[["Run"], dict[str, Any]]
    evaluate: Callable[["Run", Variables], dict[str, Any]]
    check: Callable[["Run"], None] = _nothing_to_check
    describe: Callable[["Run", Mapping[str, Any]], dict[str, Any] | None] = _as_measured
