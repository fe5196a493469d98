"""A family round the tiny task, as small as the contract allows, and a config of it."""

import dataclasses

import jax
import ml_collections
import numpy as np

from rac_jax.counting.estimator import Partial
from rac_jax.counting.family import Family
from rac_jax.counting.needs import FrameNeeds, Needs
from rac_jax.counting.rate import Rate
from rac_jax.counting.result import Measurement
from rac_jax.train.recipe import Examples, Recipe, Stage
from rac_jax.train.report import report
from tests.train import tiny_task
from tests.train.tiny_task import FEATURES, TinyNetwork, TinyTask

GROUPS = ("first", "norm", "last")


@dataclasses.dataclass(frozen=True)
class TinyState:
    """The first frame's value, and where the picture ends."""

    value: float | None = None
    end_s: float = 0.0


class TinyEstimator:
    """Counts by the first pixel alone."""

    def __init__(self, network, variables):
        self._network, self._variables = network, variables

    def start(self, info, options):
        return TinyState()

    def feed(self, state, chunk):
        if not len(chunk.times_s):
            return state, Partial()
        value = state.value
        if value is None:
            value = float(chunk.frames[0, 0, 0, 0])
        return TinyState(value, float(chunk.times_s[-1]) + 0.04), Partial()

    def finish(self, state):
        features = np.zeros((1, FEATURES), np.float32)
        features[0, 0] = state.value
        (count,) = self._network.apply(self._variables, features)
        count = abs(float(count))
        return Measurement(
            count, Rate.constant(0.0, state.end_s, count), end_s=state.end_s
        )


class TinyFamily(Family):
    """The family.

    Args:
      examples: of its one stage.
      described: whether the result is a model.
    """

    name = "tiny"

    def __init__(
        self, examples: Examples = tiny_task.TINY_EXAMPLES, described: bool = True
    ):
        self._examples, self._described = examples, described

    def needs(self, config, options):
        return Needs(FrameNeeds(size=(2, 2)), None)

    def network(self, **arguments):
        return TinyNetwork(**arguments)

    def example_inputs(self, network):
        return (jax.ShapeDtypeStruct((2, FEATURES), "float32"),)

    def estimator(self, network, variables, config, batch_sizes=None):
        return TinyEstimator(network, variables)

    def recipe(self):
        def task(run, variables):
            return TinyTask(run, self._examples)

        nothing = {} if self._described else {"describe": lambda run, report: None}
        return Recipe(
            stages=(Stage("tiny", task, ("model", "data", "tiny"), GROUPS),),
            model_config=model_config,
            evaluate=evaluate,
            **nothing,
        )


def model_config(run):
    """The `config.json` of a run's model."""
    known = {"name": run.config.name, "family": "tiny", "arguments": {}}
    return known | {"preprocessing": {"size": 2}}


def evaluate(run, variables):
    """The measurement of a run."""
    return report({"sight": run.counts(variables, "test")}, run.videos("test"))


def tiny_config(**changes):
    """A config; changes are of the stage's section."""
    config = ml_collections.ConfigDict(
        {
            "family": "tiny",
            "name": "tiny-model",
            "seed": 5,
            "precision": "float32",
            "mesh": {"data": -1, "fsdp": 1},
            "share_stages": False,
            "keep_memory": True,
            "start": {"model": ""},
            "model": {},
            "data": {"workers": 0, "test": {"number": 3}},
        }
    )
    config.tiny = tiny_task.settings(**changes)
    return config


def tiny_sources(broken=()):
    """Videos of every split, those of training with some that cannot be read."""
    return {
        "train": tiny_task.TinyVideos(broken=broken),
        "val": tiny_task.TinyVideos(4),
        "test": tiny_task.TinyVideos(3),
    }
