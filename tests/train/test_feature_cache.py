"""Stored batches: interrupted, shared out, damaged, and learned from as from pixels."""

import contextlib
import dataclasses
import importlib
import json

import jax
import ml_dtypes
import numpy as np
import pytest

from rac_jax import models
from rac_jax.data import clip_cache
from rac_jax.data.labelled import LabelledVideo
from rac_jax.data.records import ALONE, Company
from rac_jax.train import feature_cache, feature_task, loop, training
from rac_jax.train.feature_cache import StoredFeatures
from rac_jax.train.stages import device_batches
from rac_jax.train.step import step_keys
from tests.models.repnet import tiny_run as repnet_run
from tests.models.transrac import tiny_run as density_run

NUMBER, ROWS = 2 * feature_cache.PART + 3, 4


class Killed(Exception):
    """What ends a process in the middle of its work."""


def batch_of(number, rows):
    """A batch that is a function of its number alone."""
    values = [np.random.default_rng([number, row]).normal(size=(3, 2)) for row in rows]
    floats = np.asarray(values, np.float32)
    return {
        "features.0": floats,
        "features.1": floats.astype(ml_dtypes.bfloat16),
        "mask": floats[:, 0, 0] > 0,
        "count": floats[:, 1, 1],
    }


def store(folder, rows=range(ROWS), company=ALONE, dies_at=None, key="k", begun=None):
    def batches(start):
        if begun is not None:
            begun.append(start)
        for number in range(start, NUMBER):
            if number == dies_at:
                raise Killed
            yield batch_of(number, rows)

    done = []
    feature_cache.store(
        folder, key, NUMBER, rows, batches, company, lambda *seen: done.append(seen)
    )
    return done


def assert_as_computed(folder):
    stored = StoredFeatures(folder, "k")
    assert stored.batches == NUMBER
    for number in (0, 1, feature_cache.PART, NUMBER - 1, NUMBER + 2):
        for rows in ([0, 1, 2, 3], [1, 3]):
            found, wanted = stored.read(number, rows), batch_of(number % NUMBER, rows)
            assert found.keys() == wanted.keys()
            for name, leaf in wanted.items():
                assert found[name].dtype == leaf.dtype
                np.testing.assert_array_equal(found[name], leaf)


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_was_interrupted_is_gone_on_with(tmp_path):
    straight, killed, begun = tmp_path / "straight", tmp_path / "killed", []
    assert store(straight) == [(8, NUMBER), (16, NUMBER), (19, NUMBER)]
    with pytest.raises(Killed):
        store(killed, dies_at=feature_cache.PART + 3)
    with pytest.raises(ValueError, match=r"index.json: is missing, no features are"):
        StoredFeatures(killed, "k")
    store(killed, begun=begun)
    assert begun == [feature_cache.PART]
    assert files(killed) == files(straight)
    assert_as_computed(killed)
    # Whole ones are not worked out again.
    store(killed, begun=begun)
    assert len(begun) == 1


def test_two_processes_store_what_one_would(tmp_path):
    for index, rows in ((1, [1, 2]), (0, [0, 3])):
        company = Company(2, index, lambda what: None, bool)
        store(tmp_path, rows, company)
    assert_as_computed(tmp_path)


def test_nobody_goes_on_ahead_of_the_others(tmp_path):
    store(tmp_path, [0, 1])
    begun = []
    company = dataclasses.replace(ALONE, least=lambda whole: min(whole, 1))
    store(tmp_path, [0, 1], company, begun=begun)
    assert begun == [feature_cache.PART]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swapped(path):
    path.write_bytes((path.parent / "000000.array_record").read_bytes())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "is damaged or was cut short; delete the folder and run"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"other"), "is damaged"),
        (swapped, r"holds other features \(first 0, wanted 8\)"),
    ],
)
def test_a_wrong_file_is_named(damage, message, tmp_path):
    store(tmp_path)
    name = "shard-00000-of-00001/000001.array_record"
    damage(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name}: {message}") as caught:
        StoredFeatures(tmp_path, "k")
    assert "\n" not in str(caught.value)


def test_other_features_are_not_taken(tmp_path):
    store(tmp_path)
    with pytest.raises(ValueError, match=r"index.json: is of other .* k, wanted k2"):
        StoredFeatures(tmp_path, "k2")
    with pytest.raises(ValueError, match=r"000000.array_record: holds other features"):
        store(tmp_path, key="k2")
    index = tmp_path / feature_cache.INDEX
    for text, message in (("{", "is damaged"), (json.dumps({"schema": 9}), "schema 9")):
        index.write_text(text)
        with pytest.raises(ValueError, match=f"index.json: .*{message}"):
            StoredFeatures(tmp_path, "k")


CONFIGS = {
    "repnet": repnet_run.tiny_config,
    "transrac": lambda fields: density_run.tiny_config("transrac", fields),
    "lmrl": lambda fields: density_run.tiny_config("lmrl", fields),
}
STEPS = {"model.frozen": True, "windows.epochs": 2, "windows.log_steps": 1}


# RepNet learns from rendered scenes, the others from windows out of videos.
EXAMPLES = {"repnet": "scenes", "transrac": "parts", "lmrl": "whole"}


def run_of(family, fields, folder):
    config = CONFIGS[family](STEPS | {"windows.examples": EXAMPLES[family]} | fields)
    rng, source = np.random.default_rng(0), folder / "videos"
    videos = [
        LabelledVideo(
            f"v{number}",
            rng.integers(0, 255, (40, 16, 16, 3), np.uint8),
            25.0,
            count=3.0,
            cycles=np.array([[2, 9], [9, 17], [20, 30]], np.float32),
        )
        for number in range(3)
    ]
    clip_cache.build_cache(source, videos, "videos")
    sources = {"train": clip_cache.CachedVideos(source)}
    return training.checked_run(
        models.find_family(family), config, folder, sources=sources
    )


def losses(run, task, variables):
    """Losses of four batches, and what they make of the encoder's statistics."""

    @jax.jit
    def look(batch, keys):
        batch = task.prepare(batch, keys[0])
        params, stats = variables["params"], variables["batch_stats"]
        loss, (stats, _) = task.loss(params, stats, batch, keys[1])
        return loss, stats

    settings, key, found = run.config[task.name], run.key(task.name), []
    with contextlib.closing(device_batches(run, task, settings, 4, 0)) as batches:
        for number in range(4):
            keys = step_keys(key, np.int32(number))
            found.append(look(next(batches), keys))
    return found


@pytest.mark.usefixtures("quick_compiling")
@pytest.mark.parametrize(
    "family",
    [
        pytest.param("lmrl", marks=pytest.mark.slow),
        pytest.param("repnet", marks=pytest.mark.slow),
        "transrac",
    ],
)
def test_features_teach_what_pixels_teach(family, tmp_path):
    """Step by step through the engine: the same batches, dropout, losses and statistics."""
    run = run_of(family, {"windows.stored_epochs": 2}, tmp_path)
    stage = run.stages[0]
    variables = run.family.initialise(run.network, jax.random.key(1))
    learned = stage.task(run, variables)
    assert isinstance(learned, feature_task.FeatureTask)
    pixels = learned.task
    found = {task: losses(run, task, variables) for task in (pixels, learned)}
    for (loss, stats), (other, same) in zip(*found.values(), strict=True):
        np.testing.assert_allclose(float(loss), float(other), rtol=2e-6)
        for name, tree in variables["batch_stats"].items():
            leaves = zip(
                jax.tree.leaves(tree),
                jax.tree.leaves(stats[name]),
                jax.tree.leaves(same[name]),
                strict=True,
            )
            for before, pixel, feature in leaves:
                np.testing.assert_allclose(pixel, feature, rtol=1e-4, atol=1e-6)
                assert name != "encoder" or np.array_equal(before, pixel)
    # What is stored is not worked out again, and other weights want other features.
    recipe = importlib.import_module(f"rac_jax.models.{family}.recipe")
    fields = recipe.ENCODED
    key = next((tmp_path / "features").iterdir()).name
    assert feature_task.features_key(pixels, variables, fields, 4) == key
    other = run.family.initialise(run.network, jax.random.key(2))
    assert feature_task.features_key(pixels, other, fields, 4) != key


def test_settings_that_cannot_be(tmp_path):
    wrong = {"windows.stored_epochs": 1, "model.frozen": False}
    with pytest.raises(ValueError, match="windows.stored_epochs: an encoder that lear"):
        run_of("repnet", wrong, tmp_path)
    with pytest.raises(ValueError, match="windows.stored_epochs: -1 is below 0"):
        run_of("lmrl", {"windows.stored_epochs": -1}, tmp_path / "lmrl")
    released = {"windows.stored_epochs": 1, "model.released": True}
    with pytest.raises(ValueError, match="stored_epochs: the released encoder drops"):
        run_of("transrac", released, tmp_path / "transrac")


@pytest.mark.usefixtures("quick_compiling")
def test_who_is_asked_to_stop_stops_while_features_are_stored(tmp_path):
    run = run_of("lmrl", {"windows.stored_epochs": 1}, tmp_path)
    variables = run.family.initialise(run.network, jax.random.key(1))
    run.stop.set()
    with pytest.raises(loop.Stopped, match="stopped after the features of 0 of 2"):
        run.stages[0].task(run, variables)
