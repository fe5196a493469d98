"""Every kind of data becomes the same videos."""

import logging
import pathlib

import numpy as np
import pytest

from rac_jax.cli.main import main
from rac_jax.data import clip_cache
from rac_jax.scenes import SceneConfig
from rac_jax.train import splits
from rac_jax.train.scene_videos import SceneVideos
from tests.train import toy

SCENES = SceneConfig(frames=60, height=16, width=16, period=(8, 20), max_cycles=16)


@pytest.fixture
def data():
    config = toy.load_config("").data
    config.size = 16
    return config


def same(one, two):
    assert (one.video_id, one.count, one.label) == (two.video_id, two.count, two.label)
    np.testing.assert_array_equal(one.frames, two.frames)
    assert (one.columns is None) == (two.columns is None)
    if one.columns is not None:
        np.testing.assert_array_equal(one.columns, two.columns)
    np.testing.assert_array_equal(one.cycles, two.cycles)


def test_scenes_are_videos_with_cycles():
    videos = SceneVideos(SCENES, 3, seed=5)
    for video in videos:
        assert video.frames.shape == (60, 16, 16, 3)
        by_cycles = video.repetitions(0, 60, "cycles")
        assert by_cycles == pytest.approx(video.count, abs=0.05)
    same(videos[1], SceneVideos(SCENES, 3, seed=5)[1])
    assert SceneVideos(SCENES, 3, seed=6).key != videos.key
    with pytest.raises(IndexError, match="scene 3 of 3"):
        videos[3]


def test_damage_becomes_challenges():
    config = SceneConfig(
        frames=40, height=8, width=8, max_cycles=16, period=(8, 20), one_damaged=1.0
    )
    found = [video.challenges for video in SceneVideos(config, 8, seed=0)]
    assert all(len(names) == 1 for names in found)
    kinds = {names[0].split()[-1] for names in found}
    assert kinds == {"picture", "sound"}


def test_scenes_are_cached(data, tmp_path):
    data.train.update({"kind": "scenes", "number": 2})
    data.train.scenes = {"frames": 60, "period": (8.0, 20.0), "max_cycles": 16}
    opened = splits.open_split(data, "train", tmp_path)
    assert isinstance(opened, clip_cache.CachedVideos) and len(opened) == 2
    expected = SceneVideos(SCENES, 2, seed=1)
    same(opened[1], expected[1])
    # Another size is another cache, in the same folder.
    data.size = 8
    assert splits.open_split(data, "train", tmp_path)[0].frames.shape[1] == 8
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_csv_with_a_broken_file(data, tmp_path, caplog, capsys):
    folder = tmp_path / "scenes"
    assert main(["scenes", "--out", str(folder), "--num", "2", "--seed", "1"]) == 0
    labels = folder / "labels.csv"
    broken = folder / "broken.mp4"
    broken.write_bytes(b"no video")
    columns = labels.read_text().splitlines()[0].count(",") + 1
    with labels.open("a") as file:
        file.write("broken.mp4,,,3" + "," * (columns - 4) + "\n")
    data.val.update({"kind": "csv", "path": str(labels)})
    with caplog.at_level(logging.WARNING, "rac_jax.data"):
        opened = splits.open_split(data, "val", tmp_path)
    assert len(opened) == 2 and opened[0].frames.shape[1:] == (16, 16, 3)
    assert [pathlib.Path(one["name"]).name for one in opened.broken] == ["broken.mp4"]
    assert "broken.mp4" in caplog.text
    # Taken again as it is.
    data.test.update({"kind": "cache", "path": str(opened.folder)})
    same(splits.open_split(data, "test", tmp_path)[0], opened[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"kind": "disc"},
            "data.val.kind: 'disc' is not one of scenes, csv, tfds, cache",
        ),
        ({"kind": "tfds"}, "data.val.path: is empty, a tfds needs one"),
        ({"kind": "scenes"}, "data.val.number: 0 is not positive"),
        (
            {"kind": "scenes", "number": 1, "scenes": {"colour": 1}},
            "scenes.colour: no such field, known: camera",
        ),
    ],
)
def test_wrong_sections_are_named(data, changes, message):
    data.val.update(changes)
    with pytest.raises(ValueError, match=message):
        splits.check_split(data, "val")
