"""Data sets whose labels are folders: QAR-EVD's form and sense's projects, and what is odd there."""

import json

import numpy as np
import pytest

from rac_jax.data import datasets


def place(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def facts(labels):
    return [(one.split, one.video_id, one.label) for one in labels.annotations]


def test_qar_evd(tmp_path):
    place(
        tmp_path,
        *("train/dead bug - fast/a.mp4", "train/pushup/b.MP4", "train/pushup/.hidden"),
        *("valid/pushup/c.mp4", "test/pushup/d.mp4"),
    )
    labels = datasets.read(f"qar_evd:{tmp_path}", need_videos=True)
    assert facts(labels) == [
        ("test", "pushup/d", "pushup"),
        ("train", "dead bug - fast/a", "dead bug - fast"),
        ("train", "pushup/b", "pushup"),
        ("val", "pushup/c", "pushup"),
    ]
    assert labels.problems == () and labels.published["train"].videos == 4000
    assert {(one.count, one.fps) for one in labels.found} == {(0.0, 30.0)}
    val = datasets.read(f"qar_evd:{tmp_path},split=val")
    assert facts(val) == facts(labels)[3:]
    # One split's folder alone, and one whose name says nothing.
    assert facts(datasets.read(f"qar_evd:{tmp_path / 'test'}")) == facts(labels)[:1]
    (tmp_path / "test").rename(tmp_path / "clips")
    alone = datasets.read(f"qar_evd:{tmp_path / 'clips'},split=train")
    assert facts(alone) == [("train", "pushup/d", "pushup")]


def test_what_is_odd_is_named(tmp_path):
    place(
        tmp_path,
        *("pushup/a.mp4", "Pushup/b.mp4", "pushup/notes.txt", "pushup/more/c.mp4"),
        *("d.mp4",),
    )
    (tmp_path / "empty").mkdir()
    labels = datasets.read(f"qar_evd:{tmp_path}")
    assert [one.replace(f"{tmp_path}/", "") for one in labels.problems] == [
        "d.mp4: lies in no folder of a label",
        "empty: has no video",
        "pushup: the label 'Pushup' is spelled nearly so, too",
        "pushup/more: is a folder within that of a label",
        "pushup/notes.txt: is no video",
    ]
    assert len(labels.annotations) == 2


def test_workers_are_in_one_split(tmp_path):
    place(tmp_path, "train/x/a.mp4", "train/x/b.mp4", "test/x/c.mp4", "readme", "w.csv")
    table = tmp_path / "w.csv"
    table.write_text("file,worker\ntrain/x/a.mp4,ann\ntest/x/c.mp4,ann\n")
    labels = datasets.read(f"qar_evd:{tmp_path},workers={table}")
    assert labels.problems == (
        f"{tmp_path}/readme: lies beside the folders of the splits",
        f"{tmp_path}/train/x/b.mp4: has no worker in {table}",
        f"{tmp_path}: the worker ann is in the splits test, train",
    )
    assert [one.groups["worker"] for one in labels.annotations] == ["ann", "ann", ""]
    table.write_text("file,worker\na.mp4,ann\na.mp4,bob\n")
    with pytest.raises(ValueError, match="w.csv:3: a.mp4 is of ann, too"):
        datasets.read(f"qar_evd:{tmp_path},workers={table}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("qar_evd:{}/gone", "gone: is not a folder of videos"),
        ("qar_evd:{},split=x", "split=x is not one of test, train, val"),
        ("qar_evd:{},split=test", "has no video LABEL/x.mp4 of the split test"),
        ("qar_evd:{},videos=other", "its videos lie in it, not in other"),
        ("qar_evd:{},label=x", "'label=x' is none of its options"),
    ],
)
def test_a_folder_that_cannot_be_read(tmp_path, name, message):
    place(tmp_path, "train/x/a.mp4")
    with pytest.raises(ValueError, match=message):
        datasets.read(name.format(tmp_path))


@pytest.fixture
def project(tmp_path):
    classes = {"squat": [1, 2], "jump": [3], "rest": [], "lunge": [1, 2, 3]}
    config = {"classes": classes, "tags": {"1": "up", "2": "down", "3": "end"}}
    (tmp_path / "project_config.json").write_text(json.dumps(config))
    place(
        tmp_path,
        *(f"videos_train/{one}.mp4" for one in ("squat/a", "squat/b", "rest/c")),
        *("videos_valid/jump/d.mp4", "videos_train/lunge/e.mp4"),
        *("videos_train/gone/f.mp4", "tags_train/lunge/e.json"),
    )
    for name, tags in (
        ("train/squat/a", [1, 2, 2, 1, 0]),
        ("valid/jump/d", [3, 0, 3]),
    ):
        path = tmp_path / f"tags_{name}.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"fps": 4, "time_annotation": tags}))
    return tmp_path


def test_sense(project):
    labels = datasets.read(f"sense:{project}", need_videos=True)
    assert facts(labels) == [
        ("train", "rest/c", "rest"),
        ("train", "squat/a", "squat"),
        ("val", "jump/d", "jump"),
    ]
    rest, squat, jump = labels.annotations
    assert (rest.count, rest.cycles_s.shape) == (0.0, (0, 2))
    assert (squat.count, jump.count) == (1.0, 1.0)
    np.testing.assert_allclose(squat.cycles_s, [[0.125, 0.875]])
    np.testing.assert_allclose((squat.turns_s, jump.turns_s), [[0.5], [0.375]])
    assert [one.replace(f"{project}/", "") for one in labels.problems] == [
        "project_config.json: lunge has 3 tags; a repetition is two positions, or its end alone",
        "videos_train/gone/f.mp4: 'gone' is no label of the project",
        "videos_train/squat/b.mp4: has no tags in tags_train/squat/b.json",
    ]
    some = f"sense:{project}/project_config.json,split=val,label=jump"
    assert facts(datasets.read(some)) == facts(labels)[2:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("split=test", "split=test is not one of train, val"),
        ("label=x", "label=x is not one of squat, jump, rest, lunge"),
        ("label=lunge", "has no video that can be used"),
    ],
)
def test_a_project_that_cannot_be_used(project, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.read(f"sense:{project},{options}")
