"""A student of stored examples: what is stored, by whom it is shared, and what it teaches."""

import contextlib

import jax
import numpy as np
import pytest

from rac_jax.data import clip_cache
from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.listen_to_look import FAMILY
from rac_jax.models.listen_to_look.distil_task import DistilTask
from rac_jax.models.listen_to_look.stored_task import StoredTask
from rac_jax.ops import mel_patches
from rac_jax.train import training
from rac_jax.train.stages import device_batches
from tests.models.listen_to_look import tiny_run

pytestmark = pytest.mark.usefixtures("quick_compiling")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a teacher and a cache of three videos, of which one is silent."""
    place, rng = tmp_path_factory.mktemp("stored"), np.random.default_rng(0)
    videos = [
        LabelledVideo(
            f"v{number}",
            rng.integers(0, 255, (40, 20, 20, 3), np.uint8),
            25.0,
            count=0.0,
            waveform=rng.normal(0, 0.1, 25600).astype(np.float32) if number else None,
            audio_rate=mel_patches.RATE if number else 0,
            label="orbit",
        )
        for number in range(3)
    ]
    clip_cache.build_cache(place / "videos", videos, "videos")
    tiny_run.write_teacher(place)
    return place


def task_of(folder, name, fields=None):
    """The task of a run that learns from the videos, and the run."""
    chosen = {
        "teacher": str(folder / "teacher"),
        "data.features": str(folder / "features"),
        "distil.examples": "videos",
        "model.senses": "image",
    }
    config = tiny_run.tiny_config(chosen | (fields or {}))
    for split in ("train", "val", "test"):
        config.data[split].update({"kind": "cache", "path": str(folder / "videos")})
    cached = clip_cache.CachedVideos(folder / "videos")
    run = training.checked_run(FAMILY, config, folder / name, sources={"train": cached})
    return run, run.stages[0].task(run, {})


def batches_of(run, task, number):
    settings = run.config[task.name]
    with contextlib.closing(device_batches(run, task, settings, number, 0)) as found:
        return [jax.device_get(next(found)) for _ in range(number)]


def test_what_is_stored_teaches_what_clips_teach(folder):
    run, stored = task_of(folder, "a")
    assert isinstance(stored, StoredTask)
    task = DistilTask(run, stored.task.teacher)
    clips = {
        batch["clips"][:, 0].tobytes(): batch for batch in batches_of(run, task, 2)
    }
    found = batches_of(run, stored, 4)
    order = [batch["frames"].tobytes() for batch in found]
    # Two epochs of the two batches that are stored.
    assert sorted(order[:2]) == sorted(order[2:]) == sorted(clips)
    assert not np.array_equal(found[0]["patches"], np.zeros_like(found[0]["patches"]))

    batch, clip = found[0], clips[order[0]]
    clip = task.clips(clip, jax.random.key(0))
    np.testing.assert_allclose(clip["patches"], batch["patches"], atol=1e-5)
    # One teaches with a teacher in the step and the other without; neither is turned over here.
    first = FAMILY.initialise(run.network, jax.random.key(1))
    own = task.first(first)
    clip = clip | {"clips": task.normalised(clip["clips"])}
    batch = batch | {"frames": task.normalised(batch["frames"])}
    step = jax.jit(lambda task, *rest: task.loss(*rest, None), static_argnums=0)
    wanted, (stats, agrees) = step(task, own["params"], own["batch_stats"], clip)
    loss, (same, agrees_too) = step(
        stored, first["params"], first["batch_stats"], batch
    )
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    assert agrees == agrees_too
    assert sorted(stats) == ["image", "teacher"] and sorted(same) == ["image"]
    for ours, other in zip(
        jax.tree.leaves(same), jax.tree.leaves(stats["image"]), strict=True
    ):
        np.testing.assert_allclose(ours, other, rtol=1e-4, atol=1e-6)


def test_runs_share_what_does_not_depend_on_their_students(folder):
    places = folder / "features"
    task_of(folder, "b")
    before = sorted(path.name for path in places.iterdir())
    task_of(folder, "c", {"model.senses": "both", "distil.weight": 3.0})
    assert sorted(path.name for path in places.iterdir()) == before
    task_of(folder, "d", {"seed": 1})
    assert len(list(places.iterdir())) == len(before) + 1
    with pytest.raises(ValueError, match="distil.stored_epochs: -1 is below 0"):
        task_of(folder, "e", {"distil.stored_epochs": -1})
    _, task = task_of(folder, "f", {"distil.stored_epochs": 0})
    assert isinstance(task, DistilTask)


def test_frames_are_turned_over(folder):
    _, stored = task_of(folder, "a")
    batch = stored.examples.read(0, np.arange(4))
    seen = np.asarray(stored.prepare(batch, jax.random.key(0))["frames"])
    straight = np.asarray(stored.task.normalised(batch["frames"]))
    turned = np.array(
        [
            np.allclose(a, b[:, ::-1], atol=1e-5)
            for a, b in zip(seen, straight, strict=True)
        ]
    )
    assert 0 < turned.sum() < 4
    np.testing.assert_allclose(seen[~turned], straight[~turned], atol=1e-6)


def test_a_teacher_that_does_not_fit_is_named(folder):
    for field, value, said in (
        ("model.classes", 3, "model.classes: 3, the teacher .* has 7"),
        ("model.each", 4, "model.each: the student has 8 features, the teacher .* 24"),
    ):
        with pytest.raises(ValueError, match=said):
            task_of(folder, "g", {field: value})
