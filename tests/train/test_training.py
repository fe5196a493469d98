"""A whole run from Python: begun from other models, resumed, refused, measured, exported."""

import functools
import json

import numpy as np
import pytest
import safetensors.numpy

from rac_jax import train
from rac_jax.counting import weights
from rac_jax.train import training
from rac_jax.train.recipe import ArrayExamples, RenderedExamples, VideoExamples
from tests import own_process
from tests.train import tiny_task
from tests.train.tiny_family import TinyFamily, tiny_config, tiny_sources
from tests.train.tiny_task import TinySampler

short = functools.partial(tiny_config, epochs=2, epoch_steps=3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(run as it was returned, its folder)."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return train.train(TinyFamily(), short(), folder, sources=tiny_sources()), folder


def test_importing_is_light():
    code = (
        "import sys\n"
        "from rac_jax import train\n"
        "print(sorted({'jax', 'flax', 'optax', 'orbax'} & set(sys.modules)))\n"
        "print(train.train.__name__, *train.__all__, sep='\\n')\n"
        "for name in train.__all__:\n"
        "    getattr(train, name)"
    )
    first, second, *names = own_process.output(code).splitlines()
    assert first == "[]" and second == "train" and names == dir(train)
    with pytest.raises(AttributeError, match="has no attribute 'trane'"):
        train.trane  # noqa: B018


@pytest.mark.parametrize(
    "examples",
    [VideoExamples(TinySampler()), RenderedExamples(), ArrayExamples(tiny_task.batch)],
    ids=["videos", "rendered", "arrays"],
)
def test_every_kind_of_examples_is_learned_from(examples, tmp_path):
    config = tiny_config(epochs=6, epoch_steps=10)
    sources = tiny_sources()
    trained = train.train(TinyFamily(examples), config, tmp_path, sources=sources)
    text = (tmp_path / "tiny" / "metrics.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    assert len(losses) == 12 and losses[-1] < 0.5 * losses[0]
    assert trained.run.config is config


def test_the_result_counts_as_its_export_and_its_measurement(finished):
    trained, folder = finished
    video = tiny_sources()["test"][2]
    count = trained.counter().count(video.frames, fps=video.fps).count
    assert trained.report == json.loads((folder / "evaluation.json").read_text())
    assert trained.report["videos"][2]["sight"] == pytest.approx(count, abs=1e-4)
    assert trained.export == folder / "export"
    family = TinyFamily()
    config = json.loads((trained.export / "config.json").read_text())
    assert config["family"] == "tiny" and config["training"]["seed"] == 5
    assert config["accuracy"]["estimators"] == trained.report["estimators"]
    assert config["training"]["config"]["tiny"]["epochs"] == 2
    network = family.network(**config["arguments"])
    loaded = weights.load_variables(
        trained.export, network, family.example_inputs(network)
    )
    # Kernels are stored in half.
    np.testing.assert_allclose(
        loaded["params"]["first"]["kernel"],
        trained.variables["params"]["first"]["kernel"],
        atol=1e-3,
    )


def test_the_run_says_what_it_was(finished):
    _, folder = finished
    run = json.loads((folder / "run.json").read_text())
    assert run["config"] == json.loads(json.dumps(short().to_dict()))
    assert run["seed"] == 5 and run["command"]
    assert {"jax", "flax", "optax", "python", "rac_jax"} <= run["versions"].keys()
    assert run["commit"] is None or len(run["commit"].removesuffix("+changes")) == 40


def test_the_same_call_finds_the_run_finished(finished):
    trained, folder = finished
    path = folder / "tiny" / "variables.safetensors"
    before = path.stat().st_mtime_ns
    again = train.train(TinyFamily(), short(), folder, sources=tiny_sources())
    assert path.stat().st_mtime_ns == before and again.report == trained.report


def test_validation_is_by_the_counter(finished):
    trained, folder = finished
    text = (folder / "tiny" / "metrics.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    last = [row for row in rows if row["kind"] == "validation"][-1]
    videos, counter = tiny_sources()["val"], trained.counter()
    errors = []
    for index in range(len(videos)):
        video = videos[index]
        count = counter.count(video.frames, fps=video.fps).count
        errors.append(abs(count - video.count) / video.count)
    assert last["mae"] == last["error"] == pytest.approx(np.mean(errors), rel=1e-6)


def test_asked_to_stop_it_goes_on_later(finished, tmp_path):
    trained, _ = finished
    stop = train.StopSignal()
    stop.set()
    with pytest.raises(train.Stopped, match="tiny: stopped at step 0 of 6"):
        train.train(TinyFamily(), short(), tmp_path, stop=stop, sources=tiny_sources())
    assert not (tmp_path / "evaluation.json").exists()
    resumed = train.train(TinyFamily(), short(), tmp_path, sources=tiny_sources())
    for group in ("first", "last"):
        np.testing.assert_array_equal(
            resumed.variables["params"][group]["kernel"],
            trained.variables["params"][group]["kernel"],
        )


def test_another_runs_workdir_is_refused_and_left_as_it_is(finished):
    _, folder = finished
    before = (folder / "run.json").read_bytes()
    other = short(accumulate=2)
    message = "finished.json: was made with tiny.accumulate = 1, this run has 2"
    with pytest.raises(ValueError, match=message):
        train.train(TinyFamily(), other, folder, sources=tiny_sources())
    assert (folder / "run.json").read_bytes() == before


def test_another_runs_checkpoints_are_refused_and_left_as_they_are(tmp_path):
    stop = train.StopSignal()
    stop.set()
    with pytest.raises(train.Stopped):
        train.train(TinyFamily(), short(), tmp_path, stop=stop, sources=tiny_sources())
    before = (tmp_path / "run.json").read_bytes()
    message = "checkpoints/0: was made with tiny.accumulate = 1, this run has 2"
    with pytest.raises(ValueError, match=message):
        train.train(TinyFamily(), short(accumulate=2), tmp_path, sources=tiny_sources())
    assert (tmp_path / "run.json").read_bytes() == before


def test_what_is_no_model_is_not_exported(tmp_path):
    family = TinyFamily(described=False)
    trained = train.train(family, short(), tmp_path, sources=tiny_sources())
    assert trained.export is None and not (tmp_path / "export").exists()
    assert (tmp_path / "evaluation.json").exists()


class Untrained(TinyFamily):
    """Has no recipe."""

    def recipe(self):
        return None


@pytest.mark.parametrize(
    ("family", "field", "value", "message"),
    [
        (Untrained(), "seed", 1, "family: tiny has no recipe, it cannot be trained"),
        (TinyFamily(), "precision", "int8", "precision: 'int8' is not auto"),
        (TinyFamily(), "model", {"width": 3}, "model: .* argument 'width'"),
        (TinyFamily(), "mesh.fsdp", 7, "mesh.fsdp: 7 does not divide 1 devices"),
        (TinyFamily(), "tiny.batch", 0, "tiny.batch: must be at least 1"),
        (TinyFamily(), "start.middle", "x", "start.middle: .* it has: first, last, n"),
        (TinyFamily(), "start.model", "none", "none: no such model folder"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_written(
    tmp_path, family, field, value, message
):
    config = short()
    section, _, name = field.rpartition(".")
    (config[section] if section else config)[name] = value
    with pytest.raises(ValueError, match=message):
        train.train(family, config, tmp_path / "run", sources=tiny_sources())
    assert not (tmp_path / "run").exists()


def constant(value):
    """Variables of the tiny network, all of one value."""
    variables = tiny_task.variables()
    return {
        kind: {
            group: {name: np.full(leaf.shape, value) for name, leaf in leaves.items()}
            for group, leaves in tree.items()
        }
        for kind, tree in variables.items()
    }


@pytest.fixture
def models(tmp_path):
    """A function that writes a model folder: (name, variables) to its path."""

    def write(name, variables):
        config = {"name": name, "family": "tiny", "arguments": {}, "preprocessing": {}}
        return str(weights.save_model(tmp_path / name, config, variables, half=True))

    return write


def groups(variables):
    """Kind and group to the one value that all its numbers have."""
    return {
        (kind, group): {float(np.unique(leaf)[0]) for leaf in leaves.values()}
        for kind, tree in variables.items()
        for group, leaves in tree.items()
    }


def test_it_starts_from_a_whole_model(models):
    start = {"model": models("one", constant(1.0)), "last": ""}
    found = training.started(start, constant(0.0))
    assert groups(found) == groups(constant(1.0))
    assert found["params"]["first"]["kernel"].dtype == np.float32


def test_it_starts_from_groups_of_models(models):
    start = {
        "last": models("two", constant(2.0)),
        "norm": models("three", constant(3.0)),
        "model": models("one", constant(1.0)),
    }
    found = training.started(start, constant(0.0))
    assert groups(found) == {
        ("params", "first"): {1.0},
        ("params", "last"): {2.0},
        ("params", "norm"): {3.0},
        ("batch_stats", "norm"): {3.0},
    }


def test_it_starts_from_an_encoder_alone(models):
    alone = {kind: tree.get("norm", {}) for kind, tree in constant(4.0).items()}
    found = training.started({"norm": models("norm", alone)}, constant(0.0))
    assert groups(found) == {
        ("params", "first"): {0.0},
        ("params", "last"): {0.0},
        ("params", "norm"): {4.0},
        ("batch_stats", "norm"): {4.0},
    }


def renamed(variables, **names):
    """Variables with groups of other names."""
    return {
        kind: {names.get(group, group): leaves for group, leaves in tree.items()}
        for kind, tree in variables.items()
    }


def test_it_starts_from_the_one_group_that_fits(models):
    """The encoder of a model that does not count has a name of its own."""
    model = models("other", renamed(constant(4.0), norm="encoder", last="head"))
    found = training.started({"norm": model}, constant(0.0))
    assert groups(found)["params", "norm"] == groups(found)["batch_stats", "norm"]
    assert groups(found)["params", "norm"] == {4.0}
    assert groups(found)["params", "last"] == {0.0}


def test_an_encoder_inside_a_group_is_found(models):
    """A group that wraps one module starts from an encoder alone, or from a group like it."""
    first = constant(0.0)
    wrapped = {
        kind: {"encoder": {"inner": tree["norm"]}} if "norm" in tree else {}
        for kind, tree in first.items()
    }
    alone = {kind: tree.get("norm", {}) for kind, tree in constant(4.0).items()}
    cases = {"alone": (alone, 4.0)}
    # As a group of another name, or of the same one.
    for name, value in (("pretrained", 5.0), ("encoder", 6.0)):
        cases[name] = (renamed(constant(value), norm=name), value)
    for name, (variables, value) in cases.items():
        model = models(name, variables)
        found = training.started({"encoder": model}, wrapped)
        for kind in ("params", "batch_stats"):
            leaves = found[kind]["encoder"]["inner"].values()
            assert {float(np.unique(leaf)[0]) for leaf in leaves} == {value}


def test_of_several_groups_that_fit_none_is_guessed(models):
    other = renamed(constant(4.0), norm="one")
    for tree in other.values():
        tree["two"] = tree.get("one", {})
    model = models("several", other)
    with pytest.raises(ValueError, match=r"start.norm: .* groups fit: one, two"):
        training.started({"norm": model}, constant(0.0))


def test_first_variables_are_left_as_they_were(models):
    first = constant(0.0)
    training.started({"last": models("one", constant(1.0))}, first)
    assert groups(first) == groups(constant(0.0))


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("model", "start.model: .*one does not fit the model at last/kernel"),
        ("last", "start.last: .*one does not fit the model at kernel"),
        ("norm", "start.norm: .*one does not fit the model at "),
        (
            "middle",
            r"start.middle: the model has no such group .* first, last, norm \(or 'model'",
        ),
    ],
)
def test_what_does_not_fit_is_named(models, group, message):
    other = constant(1.0)
    other["params"]["last"]["kernel"] = np.zeros((7, 1))
    del other["params"]["norm"]
    with pytest.raises(ValueError, match=message):
        training.started({group: models("one", other)}, constant(0.0))


def test_a_run_begins_with_what_it_is_told_to(models, tmp_path):
    config = short()
    config.tiny.optimiser.learning_rate = 0.0
    config.start.last = models("one", constant(0.25))
    train.train(TinyFamily(), config, tmp_path / "run", sources=tiny_sources())
    left = safetensors.numpy.load_file(tmp_path / "run/tiny/variables.safetensors")
    assert np.unique(left["params/last/kernel"]).tolist() == [0.25]
    assert len(np.unique(left["params/first/kernel"])) > 100
