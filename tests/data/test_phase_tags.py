"""Marked clips: the plain CSV, and sense's projects."""

import json

import pytest

from rac_jax.data.phase_tags import TaggedClip, read_tags


def test_a_csv(tmp_path):
    path = tmp_path / "tags.csv"
    path.write_text(
        "file,start_s,end_s,middle_s\na.mp4,3,4.5,4\na.mp4,1,3,\nb.mp4,,,\n"
    )
    cycles = ((1.0, 2.0, 3.0), (3.0, 4.0, 4.5))
    assert read_tags(path, None) == [
        TaggedClip(str(tmp_path / "a.mp4"), cycles),
        TaggedClip(str(tmp_path / "b.mp4"), ()),
    ]
    assert read_tags(path, "there")[1].path == "there/b.mp4"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.mp4,1,", "tags.csv:2: start_s and end_s are needed both"),
        ("a.mp4,2,1", "tags.csv:2: 2, 1.5 and 1 s do not rise"),
        ("a.mp4,x,1", "tags.csv:2: start_s 'x' is not a number"),
        (",1,2", "tags.csv:2: file is empty"),
        ("a.mp4,1,3\na.mp4,2,4", "tags.csv:3: begins at 2 s, before 3 s"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, rows, message):
    path = tmp_path / "tags.csv"
    path.write_text(f"file,start_s,end_s\n{rows}\n")
    with pytest.raises(ValueError, match=message):
        read_tags(path, None)
    with pytest.raises(ValueError, match="tags.csv: a CSV has no labels"):
        read_tags(path, None, "squat")


def _project(folder, classes, tags):
    (folder / "project_config.json").write_text(
        json.dumps({"classes": classes, "tags": {"1": "up", "2": "down", "3": "other"}})
    )
    for label, files in tags.items():
        for kind in ("videos_train", "tags_train"):
            (folder / kind / label).mkdir(parents=True)
        for name, values in files.items():
            (folder / "videos_train" / label / f"{name}.mp4").touch()
            if values is not None:
                text = json.dumps({"fps": 4, "time_annotation": values})
                (folder / "tags_train" / label / f"{name}.json").write_text(text)


def test_a_project_of_sense(tmp_path):
    values = [0, 2, 2, 0, 1, 0, 2, 0, 2, 9, 1, 2]
    files = {"a": values, "untagged": None}
    _project(
        tmp_path, {"squat": [1, 2], "rest": []}, {"squat": files, "rest": {"b": []}}
    )
    first, second = read_tags(tmp_path, None)
    # The home before the first way down was not tagged; the last way has no way back.
    assert first.cycles == ((0.0, 0.5, 1.125), (1.125, 1.625, 2.625))
    assert first.path.endswith("squat/a.mp4")
    assert second.cycles == () and second.path.endswith("rest/b.mp4")


def test_one_tag_is_the_end(tmp_path):
    _project(tmp_path, {"squat": [1]}, {"squat": {"a": [1, 0, 0, 0, 1, 1]}})
    (clip,) = read_tags(tmp_path / "project_config.json", None)
    assert clip.cycles == ((0.125, 0.6875, 1.25),)


@pytest.mark.parametrize(
    ("classes", "label", "message"),
    [
        ({"squat": [1, 2], "jump": [3]}, None, "2 labels have tags"),
        ({"squat": [1, 2], "jump": []}, "jump", "'jump' is no label with tags"),
        ({"squat": [1, 2, 3]}, None, "squat has 3 tags"),
        ({"squat": [1, 7]}, None, "tags lacks 7, which squat has"),
        ({"squat": 1}, None, "classes must be an object"),
    ],
)
def test_a_project_that_cannot_be_read(tmp_path, classes, label, message):
    _project(tmp_path, classes, {})
    with pytest.raises(ValueError, match=f"project_config.json: {message}"):
        read_tags(tmp_path, None, label)


def test_a_file_of_tags_that_is_none(tmp_path):
    _project(tmp_path, {"squat": [1, 2]}, {"squat": {"a": ["x"]}})
    with pytest.raises(ValueError, match="a.json: time_annotation must be a list"):
        read_tags(tmp_path, None)
    (tmp_path / "tags_train/squat/a.json").write_text("{")
    with pytest.raises(ValueError, match="a.json: not valid JSON"):
        read_tags(tmp_path, None)
