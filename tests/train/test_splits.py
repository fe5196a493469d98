"""Every kind of data becomes the same videos."""

import dataclasses
import functools
import logging
import pathlib

import jax
import ml_collections
import numpy as np
import pytest

from rac_jax.data import annotations, clip_cache
from rac_jax.data.labelled import LabelledVideo, summarise
from rac_jax.data.sources import MediaSource
from rac_jax.media import encode
from rac_jax.scenes import KINDS, SceneConfig, render_scene
from rac_jax.train import splits
from rac_jax.train.scene_videos import SceneVideos
from tests.train.tiny_task import TinyVideos

pytestmark = pytest.mark.usefixtures("quick_compiling")

RATE = 8000
FIELDS = {"frames": 60, "period": (8.0, 20.0), "max_cycles": 16}
SCENES = SceneConfig(height=16, width=16, rate=RATE, **FIELDS)
OTHERS = SceneConfig(height=16, width=16, rate=RATE, frames=40, still=1.0)


@functools.partial(jax.jit, static_argnums=1)
def render(key, config):
    """Without the waveform, whose events are drawn of the same key: it takes long to compile."""
    return render_scene(key, config).replace(mask=None, joints=None, waveform=None)


@pytest.fixture
def data():
    split = {"kind": "csv", "path": "", "split": "", "number": 0, "seed": 1}
    config = {"size": 16, "audio_rate": RATE, "cache": ""}
    config |= {name: split | {"scenes": {}} for name in splits.SPLITS}
    return ml_collections.ConfigDict(config)


def same(one, two):
    assert summarise(one) == summarise(two)
    assert one.phases == two.phases
    for name in ("frames", "waveform", "cycles", "events"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_scenes_are_videos_with_cycles_events_and_sound():
    videos = SceneVideos([(3, SCENES)], seed=5)
    assert len(videos) == 3 and videos.name(2) == "scene 2 of seed 5"
    for video in videos:
        assert video.frames.shape == (60, 16, 16, 3)
        by_cycles = video.repetitions(0, 60, "cycles")
        assert by_cycles == pytest.approx(video.count, abs=0.05)
        assert video.audio_rate == RATE and video.waveform.dtype == np.float32
        assert len(video.waveform) == round(60 / 25 * RATE)
        assert video.events.dtype == np.float32 and video.label in KINDS
    assert any(len(video.events) for video in videos)
    same(videos[1], SceneVideos([(3, SCENES)], seed=5)[1])
    for index in (3, -1):
        with pytest.raises(IndexError, match=f"scene {index} of 3"):
            videos[index]


def test_a_scene_is_the_one_of_its_key():
    key = jax.random.fold_in(jax.random.key(5), 1)
    scene = jax.device_get(render(key, SCENES))
    video = SceneVideos([(3, SCENES)], seed=5)[1]
    np.testing.assert_array_equal(video.frames, scene.frames)
    assert video.count == scene.count and video.label == KINDS[int(scene.kind)]
    np.testing.assert_array_equal(
        video.events, np.float32(25 * np.sort(scene.events[scene.events_mask]))
    )


def test_several_parts_have_keys_of_their_own():
    videos = SceneVideos([(2, SCENES), (2, SCENES)], seed=5)
    names = [video.video_id for video in videos]
    assert names == [f"scene-5-{index}" for index in range(4)]
    for index, part, place in ((1, 0, 1), (2, 1, 0)):
        key = jax.random.fold_in(jax.random.key(5), part)
        scene = jax.device_get(render(jax.random.fold_in(key, place), SCENES))
        np.testing.assert_array_equal(videos[index].frames, scene.frames)
    with pytest.raises(IndexError, match="scene 4 of 4"):
        videos[4]


def test_the_key_changes_with_everything_that_scenes_depend_on():
    def key(*parts, seed=5):
        return SceneVideos(parts, seed).key

    keys = {
        key((3, SCENES)),
        key((2, SCENES)),
        key((3, SCENES), seed=6),
        key((1, SCENES), (2, SCENES)),
        key((3, dataclasses.replace(SCENES, rate=4000))),
        key((3, dataclasses.replace(SCENES, height=8))),
    }
    assert len(keys) == 6 and key((3, SCENES)) in keys


@pytest.mark.parametrize("parts", [[], [(0, SCENES)], [(2, SCENES), (0, OTHERS)]])
def test_there_are_scenes(parts):
    with pytest.raises(ValueError, match="one or more of every kind"):
        SceneVideos(parts, seed=5)


@pytest.mark.slow
def test_damage_becomes_challenges():
    config = SceneConfig(
        frames=40, height=8, width=8, max_cycles=16, period=(8, 20), one_damaged=1.0
    )
    videos = list(SceneVideos([(24, config)], seed=0))
    found = [video.challenges for video in videos]
    assert all(len(names) == 1 for names in found)
    kinds = {names[0].split()[-1] for names in found}
    assert kinds == {"picture", "sound"}
    # Some silent scenes have the noise of a room, some nothing at all.
    silent = [video for video in videos if "silent sound" in video.challenges]
    assert {video.waveform is None for video in silent} == {True, False}
    assert all(not len(video.events) for video in silent)
    for video in videos:
        assert (video.audio_rate == 0) == (video.waveform is None)


def test_scenes_are_cached(data, tmp_path, monkeypatch):
    data.train.update({"kind": "scenes", "number": 2, "scenes": FIELDS})
    opened = splits.open_split(data, "train", tmp_path)
    assert isinstance(opened, clip_cache.CachedVideos) and len(opened) == 2
    expected = list(SceneVideos([(2, SCENES)], seed=1))
    same(opened[1], expected[1])
    assert splits.summaries(opened) == [summarise(video) for video in expected]
    # Another size or rate is another cache, in the same folder.
    smaller = data.copy_and_resolve_references()
    smaller.size, smaller.audio_rate = 8, 4000
    monkeypatch.setattr(SceneVideos, "__getitem__", lambda self, index: expected[index])
    small = splits.open_source(smaller, "train")
    _, config = small.scene(0, lambda scene: scene.count)
    assert (config.height, config.width, config.rate) == (8, 8, 4000)
    splits.open_split(smaller, "train", tmp_path)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    # A folder that is named is taken instead of the workdir's.
    data.cache = str(tmp_path / "elsewhere")
    splits.open_split(data, "train", tmp_path)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1


@pytest.mark.slow
def test_parts_are_kinds_of_scenes_in_the_order_of_their_names(data, tmp_path):
    del data.val["number"], data.val["scenes"]
    off = {"number": 0, "frames": 9}
    still = {"number": 1, "frames": 40, "still": 1.0}
    data.val.update({"kind": "scenes"})
    data.val.parts = {"b": still, "a": {"number": 2} | FIELDS, "aa": off}
    splits.check_split(data, "val")
    opened = splits.open_split(data, "val", tmp_path)
    expected = SceneVideos([(2, SCENES), (1, OTHERS)], seed=1)
    assert len(opened) == 3
    for index in range(3):
        same(opened[index], expected[index])


def test_a_data_set_by_the_name_of_its_official_file(data, tmp_path, caplog):
    (tmp_path / "videos").mkdir()
    frames = np.zeros((50, 16, 16, 3), np.uint8)
    encode.write_video(tmp_path / "videos" / "a_000010_000012.mp4", frames, 25)
    (tmp_path / "av_train.csv").write_text(
        "video_id,class,kinetics_start,kinetics_end,repetition_start,repetition_end,count\n"
        "a,clapping,10,12,10.0,11.0,3.0\na,clapping,10,12,11.0,11.6,2.0\n"
        "gone,clapping,10,12,10.0,11.0,3.0\n"
    )
    name = f"countix_av:{tmp_path / 'av_train.csv'},videos={tmp_path / 'videos'}"
    data.train.path = name
    opened = splits.open_split(data, "train", tmp_path)
    # Missing videos are listed and no part of the cache.
    assert f"{name}: 1 of 2 videos are missing: gone.mp4" in caplog.text
    assert [(len(v.frames), v.count, v.label) for v in (opened[0], opened[1])] == [
        (25, 3.0, "clapping"),
        (15, 2.0, "clapping"),
    ]
    assert len(opened) == 2 and not opened.broken


def test_a_source_is_read_when_asked_for(data, tmp_path):
    data.val.update({"kind": "scenes", "number": 2, "scenes": FIELDS})
    source = splits.open_source(data, "val")
    same(source[1], SceneVideos([(2, SCENES)], seed=1)[1])
    path = tmp_path / "a.mp4"
    encode.write_video(path, np.zeros((5, 16, 16, 3), np.uint8), 25)
    labels = [annotations.Annotation(video_id="a", path=str(path), count=2)]
    annotations.write_csv(tmp_path / "labels.csv", labels)
    data.test.update({"kind": "csv", "path": str(tmp_path / "labels.csv")})
    source = splits.open_source(data, "test")
    assert isinstance(source, MediaSource) and len(source[0].frames) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "labels.csv"]
    # A cache is its own source.
    folder = clip_cache.build_cache(tmp_path / "cache", [source[0]], "key")
    data.train.update({"kind": "cache", "path": str(folder)})
    same(splits.open_source(data, "train")[0], source[0])


def test_summaries_of_what_has_no_index_are_read():
    found = splits.summaries(TinyVideos(3))
    assert [(one.video_id, one.count, one.frames) for one in found] == [
        ("tiny0", 2.0, 16),
        ("tiny1", 3.0, 16),
        ("tiny2", 4.0, 16),
    ]
    with pytest.raises(ValueError, match="tiny1.mp4: is broken"):
        splits.summaries(TinyVideos(3, broken=(1,)))


def test_few_of_each_are_the_same_ones_and_some_of_more(data, tmp_path):
    labels = "abbbaab"
    videos = [
        LabelledVideo(
            f"v{k}", np.zeros((2, 4, 4, 3), np.uint8), 25, count=0, label=label
        )
        for k, label in enumerate(labels)
    ]
    folder = clip_cache.build_cache(tmp_path / "cache", videos, "key")
    data.train.update({"kind": "cache", "path": str(folder), "per_class": 0})
    assert len(splits.open_split(data, "train", tmp_path)) == 7
    found = {}
    for number in (1, 2, 9):
        data.train.per_class = number
        opened = splits.open_split(data, "train", tmp_path)
        known = [(one.video_id, one.label) for one in splits.summaries(opened)]
        assert known == [
            (opened[k].video_id, opened[k].label) for k in range(len(known))
        ]
        each = min(number, 3) + min(number, 4)
        assert len(known) == each and known == sorted(known)
        found[number] = set(known)
    assert found[1] < found[2] < found[9]
    data.train.per_class = -1
    with pytest.raises(ValueError, match="data.train.per_class: -1 is not 0, which"):
        splits.check_split(data, "train")


def test_a_csv_with_a_broken_file(data, tmp_path, caplog):
    for name in ("a.mp4", "b.mp4"):
        encode.write_video(tmp_path / name, np.zeros((5, 16, 16, 3), np.uint8), 25)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "file,start_s,end_s,count\na.mp4,,,2\nb.mp4,,,3\nbroken.mp4,,,3\n"
    )
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
            "scenes.colour: no such field, known: air, camera",
        ),
        (
            {"kind": "scenes", "parts": {"a": {"frames": 9}}},
            "data.val.parts.a.number: must be there and at least 0",
        ),
        (
            {"kind": "scenes", "parts": {"a": {"number": -1}}},
            "data.val.parts.a.number: must be there and at least 0",
        ),
        (
            {"kind": "scenes", "parts": {"a": {"number": 0}}},
            "data.val.parts: no part has a scene",
        ),
        (
            {"kind": "scenes", "parts": {"a": {"number": 1, "colour": 1}}},
            "data.val.parts.a: scenes.colour: no such field, known: air, camera",
        ),
        (
            {"kind": "scenes", "parts": {"a": {"number": 1, "frames": 0}}},
            "data.val.parts.a: SceneConfig.frames: 0 is not positive",
        ),
        (
            {"kind": "scenes", "number": 2, "parts": {"a": {"number": 1}}},
            "data.val.parts: have numbers and scenes of their own",
        ),
    ],
)
def test_wrong_sections_are_named(data, changes, message):
    data.val.update(changes)
    with pytest.raises(ValueError, match=message):
        splits.check_split(data, "val")


@pytest.mark.parametrize("name", ["size", "audio_rate"])
def test_sizes_and_rates_are_positive(data, name):
    data.val.update({"kind": "scenes", "number": 1})
    data[name] = 0
    with pytest.raises(ValueError, match=f"data.{name}: 0 is not positive"):
        splits.check_split(data, "val")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("csv", "gone.csv", r"data.test.path: .*No such file.*gone.csv"),
        ("csv", "bad.csv", r"data.test.path: .*bad.csv.*'file'"),
        ("csv", "empty.csv", r"data.test.path: .*empty.csv"),
        ("csv", "countix:bad.csv", r"data.test.path: .*needs the folder of its videos"),
        ("cache", "gone", r"data.test.path: .*gone is no folder"),
        ("tfds", "bad.csv", r"data.test.path: .*bad.csv is no folder"),
    ],
)
def test_what_the_last_stage_would_miss_is_missed_at_once(
    kind, name, message, tmp_path
):
    (tmp_path / "bad.csv").write_text("video,reps\na.mp4,3\n")
    (tmp_path / "empty.csv").write_text("file,start_s,end_s,count\n")
    path = name if ":" in name else str(tmp_path / name)
    data = ml_collections.ConfigDict({"test": {"kind": kind, "path": path}})
    with pytest.raises(ValueError, match=message):
        splits.check_files(data, "test")
