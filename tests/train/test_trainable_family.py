"""What does not count is trained, exported, started from and converted all the same."""

import argparse
import json

import jax
import numpy as np
import pytest

from rac_jax import models, train
from rac_jax.cli import convert
from rac_jax.cli.main import main
from rac_jax.counting import weights
from rac_jax.counting.family import Conversion, Family, TrainableFamily
from rac_jax.models import loading
from rac_jax.train import run as runs
from rac_jax.train import training
from rac_jax.train.recipe import ArrayExamples, Recipe, Stage
from tests.train import tiny_task
from tests.train.tiny_family import GROUPS, model_config, tiny_config, tiny_sources
from tests.train.tiny_task import FEATURES, TinyNetwork, TinyTask


class UncountingTask(TinyTask):
    """Is validated without a counter."""

    def validate(self, variables, epoch):
        return {"error": 1 / epoch, "top1": 0.5}


def _evaluate(run, variables):
    scores = {"n": 3, "top1": 0.5}
    return {"metrics": ["top1"], "estimators": {"names": scores}, "challenges": {}}


class UncountingFamily(TrainableFamily):
    """A network, a recipe and a conversion: nothing of counting."""

    name = "tiny"

    def network(self, **arguments):
        return TinyNetwork(**arguments)

    def example_inputs(self, network):
        return (jax.ShapeDtypeStruct((2, FEATURES), "float32"),)

    def recipe(self):
        def task(run, variables):
            return UncountingTask(run, ArrayExamples(tiny_task.batch))

        reads = ("model", "data", "tiny")
        return Recipe((Stage("tiny", task, reads, GROUPS),), model_config, _evaluate)

    def conversions(self):
        def read(args):
            config = {"name": "t", "family": "tiny", "arguments": {}}
            return config | {"preprocessing": {}}, tiny_task.variables()

        return (Conversion("tiny-published", "a tiny one", lambda parser: None, read),)

    def to_torch(self, network, variables):
        return {"model.pt": {"w": np.asarray(variables["params"]["last"]["kernel"])}}


@pytest.fixture(scope="module")
def family():
    """The family, found by its name among the others."""
    known, made = models.find_family, UncountingFamily()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "family_names", lambda: ["tiny", *models.FAMILIES])
        for place in (models, loading):
            patch.setattr(
                place,
                "find_family",
                lambda name: made if name == "tiny" else known(name),
            )
        yield made


@pytest.fixture(scope="module")
def trained(family, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uncounting")
    config = tiny_config(epochs=1, epoch_steps=3)
    return train.train(family, config, folder / "run", sources=tiny_sources())


def test_it_is_no_counting_family(family):
    assert not isinstance(family, Family) and models.find_family("tiny") is family


def test_it_is_trained_measured_and_exported(trained):
    config = json.loads((trained.export / "config.json").read_text())
    assert config["accuracy"]["estimators"] == {"names": {"n": 3, "top1": 0.5}}
    network, variables, again = loading.load_model(trained.export)
    assert isinstance(network, TinyNetwork) and again == config
    np.testing.assert_allclose(
        variables["params"]["first"]["kernel"],
        trained.variables["params"]["first"]["kernel"],
        atol=1e-3,
    )


def test_others_start_from_it(trained):
    first = tiny_task.variables()
    found = training.started({"first": str(trained.export)}, first)
    expected = weights.read_tensors(trained.export)["params/first/kernel"]
    np.testing.assert_array_equal(found["params"]["first"]["kernel"], expected)


@pytest.mark.parametrize("command", ["count", "evaluate"])
def test_to_count_with_it_is_refused_in_one_line(trained, command, capsys):
    assert main([command, "a.mp4", "--model", str(trained.export)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{trained.export}: is of the family tiny, which does not count" in said


def test_it_has_no_counter(trained):
    with pytest.raises(TypeError, match="family: tiny does not count"):
        trained.counter()
    assert isinstance(trained.run, runs.Run)


def test_a_flag_that_nobody_has_is_refused_beside_it(family, capsys):
    """The flags of all families are gone through; this one has none."""
    assert main(["count", "a.mp4", "--max-stride", "2", "--model", "frame-differences"])
    assert "--max-stride: is no option of" in capsys.readouterr().err


def test_it_is_converted_both_ways(family, trained, tmp_path, capsys):
    assert main(["convert", "tiny-published", "--out", str(tmp_path / "m")]) == 0
    assert isinstance(loading.load_model(tmp_path / "m")[0], TinyNetwork)
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser, [])
    out = str(tmp_path / "torch")
    assert main(["convert", "to-torch", str(trained.export), "--out", out]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("model.pt")
