"""Stages are run once, taken over where they are the same, and fed from three kinds of examples."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from rac_jax.train import loop, mesh, stage_files, stages
from rac_jax.train.recipe import ArrayExamples, RenderedExamples, Stage, VideoExamples
from rac_jax.train.run import Run, identity
from tests.train import tiny_task
from tests.train.tiny_family import TinyFamily, tiny_config, tiny_sources
from tests.train.tiny_task import TinySampler, TinyTask


def make_run(folder, config=None, **changes):
    family = TinyFamily()
    run = Run(
        config=config or tiny_config(),
        workdir=folder,
        family=family,
        recipe=family.recipe(),
        network=family.network(),
        mesh=mesh.make_mesh(),
        stop=loop.StopSignal(),
        sources=tiny_sources(broken=(3,)),
    )
    return dataclasses.replace(run, **changes) if changes else run


def finish(folder, config):
    """A stage's folder as if it had been trained with a config."""
    (stage,) = TinyFamily().recipe().stages
    record = {"identity": identity(config, stage)}
    stage_files.write_json(folder / "tiny" / stage_files.FINISHED, record)


def test_a_stage_of_other_settings_is_refused(tmp_path):
    run = make_run(tmp_path)
    (stage,) = run.recipe.stages
    assert not stages.is_finished(run, stage)
    finish(tmp_path, run.config)
    assert stages.is_finished(run, stage)
    other = make_run(tmp_path, tiny_config(epochs=9))
    message = "finished.json: was made with tiny.epochs = 5, this run has 9"
    with pytest.raises(stage_files.StageFileError, match=message):
        stages.is_finished(other, stage)
    with pytest.raises(stage_files.StageFileError, match=message):
        stages.check_workdir(other)


def test_a_siblings_stage_is_taken_over_only_if_it_is_the_same(tmp_path):
    for name, epochs in (("one", 1), ("two", 2)):
        finish(tmp_path / name, tiny_config(epochs=epochs))
        (tmp_path / name / "tiny" / "left").write_text(name)
    run = make_run(tmp_path / "three", tiny_config(epochs=2))
    (stage,) = run.recipe.stages
    stages.adopt_sibling(run, stage)
    assert (tmp_path / "three" / "tiny" / "left").read_text() == "two"
    assert stages.is_finished(run, stage)
    other = make_run(tmp_path / "four", tiny_config(epochs=3))
    stages.adopt_sibling(other, stage)
    assert not (tmp_path / "four").exists()


def batches(run, examples, start, steps):
    task = TinyTask(run, examples)
    found = stages.device_batches(run, task, run.config.tiny, steps, start)
    taken = [jax.device_get(next(found)) for _ in range(steps - start)]
    if not isinstance(examples, RenderedExamples):
        assert next(found, None) is None
    found.close()
    return taken


def draw(number):
    return {"x": np.full((8, 2), number, np.float32)}


@pytest.mark.parametrize(
    "examples",
    [VideoExamples(TinySampler()), RenderedExamples(), ArrayExamples(draw)],
    ids=["videos", "rendered", "arrays"],
)
def test_batches_are_functions_of_their_numbers(examples, tmp_path):
    run = make_run(tmp_path)
    whole = batches(run, examples, 0, 5)
    rest = batches(run, examples, 3, 5)
    for one, two in zip(whole[3:], rest, strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            np.testing.assert_array_equal(value, two[name])


def test_batches_hold_what_tasks_are_told(tmp_path):
    run = make_run(tmp_path)
    (rendered,) = batches(run, RenderedExamples(), 0, 1)
    assert rendered["row"].tolist() == list(range(8)) and list(rendered) == ["row"]
    (drawn,) = batches(run, ArrayExamples(draw), 4, 5)
    assert drawn["x"].tolist() == draw(4)["x"].tolist()
    read = batches(run, VideoExamples(TinySampler()), 0, 3)
    assert sorted(read[0]) == ["mask", "x", "y"]
    # Two epochs of the twelve videos, of which one cannot be read.
    labels = np.concatenate([batch["y"] for batch in read])
    masks = np.concatenate([batch["mask"] for batch in read])
    readable = [2.0 + index for index in range(12) if index != 3]
    assert sorted(labels[masks].tolist()) == sorted(2 * readable)


@pytest.mark.parametrize("examples", [RenderedExamples(), ArrayExamples(draw)])
def test_examples_without_end_need_a_length_of_an_epoch(examples, tmp_path):
    run = make_run(tmp_path, tiny_config(epoch_steps=0))
    (stage,) = run.recipe.stages
    message = "tiny.epoch_steps: must be above 0, these examples have no epoch"
    with pytest.raises(ValueError, match=message):
        stages.fit_stage(run, stage, TinyTask(run, examples), tiny_task.variables())


def test_an_epoch_of_videos_sees_each(tmp_path):
    config = tiny_config(epoch_steps=0, epochs=2)
    run = make_run(tmp_path, config)
    (stage,) = run.recipe.stages
    stages.fit_stage(run, stage, TinyTask(run), tiny_task.variables())
    text = (tmp_path / "tiny" / "metrics.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    # 12 videos in batches of 8.
    assert [row["step"] for row in rows if row["kind"] == "validation"] == [2, 4]


@dataclasses.dataclass(frozen=True)
class HelpedTask(TinyTask):
    """Has a group of parameters that only training needs, and leaves a record."""

    trained = ("first", "helper")
    auxiliary = ("helper",)

    def first(self, variables):
        params = variables["params"] | {"helper": {"scale": np.ones(3, np.float32)}}
        return variables | {"params": params}

    def record(self, variables):
        assert "helper" not in variables["params"]
        return {"videos": {"a": 1.0}}


def staged(run, task, leaves):
    stage = Stage("tiny", lambda run, variables: task, ("tiny",), leaves)
    recipe = dataclasses.replace(run.recipe, stages=(stage,))
    return dataclasses.replace(run, recipe=recipe)


def test_a_stage_leaves_its_groups_and_its_record(tmp_path):
    run = make_run(tmp_path, tiny_config(epochs=1, epoch_steps=3))
    run = staged(run, HelpedTask(run), ("first",))
    first = tiny_task.variables()
    found = stages.run_stages(run, first)
    left = stage_files.load_variables(tmp_path / "tiny" / stage_files.VARIABLES)
    assert list(left["params"]) == ["first"] and "helper" not in found["params"]
    for group, moved in (("first", True), ("last", False)):
        same = np.array_equal(
            found["params"][group]["kernel"], first["params"][group]["kernel"]
        )
        assert same != moved
    path = tmp_path / "tiny" / stage_files.PREDICTIONS
    assert stage_files.read_json(path, "videos")["videos"] == {"a": 1.0}
    # Only other test videos are measured anew.
    measured = (tmp_path / stages.EVALUATION).read_bytes()
    (tmp_path / stages.EVALUATION).write_bytes(measured + b" ")
    stages.run_stages(run, first)
    assert (tmp_path / stages.EVALUATION).read_bytes() == measured + b" "
    run.config.data.test.number = 7
    stages.run_stages(run, first)
    record = stage_files.read_json(tmp_path / stages.EVALUATION)
    assert record["test"] == {"number": 7}


def test_what_is_trained_must_be_left(tmp_path):
    run = make_run(tmp_path)
    run = staged(run, TinyTask(run), ("first", "norm"))
    with pytest.raises(ValueError, match="stage tiny: trains 'last', but does not"):
        stages.run_stages(run, tiny_task.variables())


def test_a_task_has_its_stages_name(tmp_path):
    run = make_run(tmp_path)
    stage = Stage("large", lambda run, variables: TinyTask(run), ("tiny",), ())
    run.config.large = run.config.tiny
    recipe = dataclasses.replace(run.recipe, stages=(stage,))
    run = dataclasses.replace(run, recipe=recipe)
    with pytest.raises(ValueError, match="stage large: its task calls itself 'tiny'"):
        stages.run_stages(run, tiny_task.variables())
