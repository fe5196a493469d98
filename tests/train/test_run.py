"""What a run checks before it begins, what its stages depend on, and how it counts."""

import dataclasses
import threading

import numpy as np
import pytest

from rac_jax.train import loop, mesh, run, settings
from rac_jax.train.recipe import Stage
from tests.train import tiny_task
from tests.train.tiny_family import TinyFamily, tiny_config, tiny_sources


def make_run(folder, config=None):
    family = TinyFamily()
    return run.Run(
        config=config or tiny_config(),
        workdir=folder,
        family=family,
        recipe=family.recipe(),
        network=family.network(),
        mesh=mesh.make_mesh(),
        stop=loop.StopSignal(),
        sources=tiny_sources(),
    )


def test_identity_is_of_what_a_stage_reads():
    config = tiny_config()
    config.model.width, config.model.sizes = 2, (1, 2)
    stage = Stage("tiny", None, ("model", "tiny.optimiser", "tiny.batch"), ())
    found = run.identity(config, stage)
    assert {name: found[name] for name in ("seed", "precision", "tiny.batch")} == {
        "seed": 5,
        "precision": "float32",
        "tiny.batch": 8,
    }
    assert found["model.sizes"] == [1, 2] and found["tiny.optimiser.name"] == "adamw"
    assert "tiny.accumulate" not in found and "data.test.number" not in found


def test_what_only_says_how_fast_something_is_done_is_left_out():
    stage = Stage("tiny", None, ("tiny", "data"), ())
    before, config = run.identity(tiny_config(), stage), tiny_config()
    config.tiny.log_steps = config.tiny.checkpoint_steps = config.data.workers = 7
    config.tiny.rematerialise, config.data.test.number = "norms", 8
    assert run.identity(config, stage) == before
    config.tiny.epochs += 1
    assert run.identity(config, stage) != before


@pytest.mark.parametrize("name", ["loss", "tiny.width", "seed.inner"])
def test_a_stage_reads_what_is_there(name):
    with pytest.raises(ValueError, match=f"{name}: the config has no such field"):
        run.identity(tiny_config(), Stage("tiny", None, (name,), ()))


@pytest.mark.parametrize("name", settings.CONFIG_FIELDS)
def test_a_config_without_a_field_is_refused(name):
    config = tiny_config()
    settings.check_config(config)
    *sections, field = name.split(".")
    place = config
    for section in sections:
        place = place[section]
    del place[field]
    with pytest.raises(ValueError, match=f"{name}: the config has no such field"):
        settings.check_config(config)


@pytest.mark.parametrize("name", settings.STAGE_FIELDS)
def test_a_stage_without_a_field_is_refused(name, tmp_path):
    config = tiny_config()
    section, _, field = f"tiny.{name}".rpartition(".")
    place = config
    for part in section.split("."):
        place = place[part]
    del place[field]
    with pytest.raises(ValueError, match=f"tiny.{name}: the config has no such field"):
        run.check_stages(make_run(tmp_path, config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "tiny.batch: must be at least 1, not 0"),
        ({"log_steps": 0}, "tiny.log_steps: must be at least 1, not 0"),
        ({"evaluate_epochs": 0}, "tiny.evaluate_epochs: must be at least 1, not 0"),
        ({"epoch_steps": -1}, "tiny.epoch_steps: must be at least 0, not -1"),
        ({"accumulate": 3}, "tiny.accumulate: 3 does not divide the batch of 8"),
        ({"rematerialise": "all"}, "rematerialise: 'all' is not one of"),
    ],
)
def test_wrong_settings_of_stages_are_named(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run.check_stages(make_run(tmp_path, tiny_config(**changes)))


def test_an_optional_stage_is_left_out_by_having_no_epochs(tmp_path):
    one = make_run(tmp_path, tiny_config(epochs=0))
    with pytest.raises(ValueError, match="tiny.epochs: must be at least 1, not 0"):
        run.check_stages(one)
    (stage,) = one.recipe.stages
    stage = dataclasses.replace(stage, optional=True)
    one.recipe = dataclasses.replace(one.recipe, stages=(stage,))
    run.check_stages(one)
    assert one.stages == ()
    one.config.tiny.epochs = 1
    assert one.stages == (stage,)


def test_a_stage_has_a_section(tmp_path):
    config = tiny_config()
    del config.tiny
    with pytest.raises(ValueError, match="tiny.epochs: the config has no such field"):
        run.check_stages(make_run(tmp_path, config))


def test_it_counts_as_its_counter_does(tmp_path):
    one, variables = make_run(tmp_path), tiny_task.variables()
    counts = one.counts(variables, "val")
    video = one.source("val")[3]
    result = one.counter(variables).count(video.frames, fps=video.fps)
    assert counts.shape == (4,) and counts[3] == result.count > 0
    assert result.model == "tiny-model" and result.family == "tiny"
    labels = [summary.count for summary in one.videos("val")]
    assert labels == [2.0, 3.0, 4.0, 5.0]


def test_unknown_options_of_counting_are_named(tmp_path):
    with pytest.raises(ValueError, match="speed: is no option of tiny-model"):
        make_run(tmp_path).counts(tiny_task.variables(), "val", speed=2)


def test_no_videos_have_no_counts(tmp_path):
    one = make_run(tmp_path)
    one.sources["val"] = tiny_task.TinyVideos(0)
    found = one.counts(tiny_task.variables(), "val")
    assert found.shape == (0,) and found.dtype == np.float64


def test_videos_are_read_while_others_are_measured(tmp_path):
    """While the first video is measured the second is read; all of them come in order."""
    made = make_run(tmp_path)
    videos, second = made.sources["val"], threading.Event()

    class Noting:
        def __len__(self):
            return len(videos)

        def __getitem__(self, index):
            if index == 1:
                second.set()
            return videos[index]

    made.sources["val"] = Noting()

    def measured(video, index):
        assert second.wait(10)
        return [index, video.count]

    rows = made.measure("val", measured)
    want = [[index, videos[index].count] for index in range(len(videos))]
    np.testing.assert_array_equal(rows, want)
    some = made.measure("val", measured, indices=[2, 1])
    np.testing.assert_array_equal(some, [want[2], want[1]])
