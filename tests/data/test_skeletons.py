"""Files of skeletons: one record of all of them, there and back, and what is wrong with them."""

import csv
import json

import numpy as np
import pytest

from rac_jax.data import skeletons
from rac_jax.ops.skeletons import BLAZEPOSE_JOINTS, LAYOUTS


def record(frames=3):
    rng = np.random.default_rng(0)
    poses = rng.uniform(-0.4, 0.4, (frames, 1, 33, 3)).astype(np.float32)
    poses[..., 2] = rng.uniform(0.1, 1, poses.shape[:-1])
    # In the second frame nobody is found, in the first one joint is missed.
    poses[1], poses[0, 0, 4] = 0, 0
    times_s = 2 + np.arange(frames) / 16
    return skeletons.Skeletons("test", skeletons.BLAZEPOSE, times_s, poses)


@pytest.mark.parametrize("suffix", ["csv", "json", "npz"])
def test_there_and_back(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    ours = record()
    skeletons.write_skeletons(ours, path)
    found = skeletons.read_skeletons(path)
    assert found.layout == "blazepose-33"
    np.testing.assert_allclose(found.times_s, ours.times_s, atol=1e-6)
    np.testing.assert_allclose(found.poses, ours.poses, atol=1e-5)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_the_names_are_those_of_the_layouts():
    names = [name.replace("_", " ") for name in skeletons.LANDMARKS]
    assert names == list(BLAZEPOSE_JOINTS)
    sizes = {name: len(layout.joints) for name, layout in LAYOUTS.items()}
    assert sizes == skeletons.JOINTS


def kinetics():
    def person(x, score):
        return {"pose": [x, 0.25] * 18, "score": [score] * 17 + [0.0]}

    people = [person(0.2, 0.1), person(0.4, 0.9), person(0.6, 0.5)]
    return {
        "data": [
            {"frame_index": 1, "skeleton": people},
            {"frame_index": 4, "skeleton": []},
        ],
        "label": "squat",
        "label_index": 330,
    }


def test_kinetics_skeleton(tmp_path):
    path = tmp_path / "v.json"
    path.write_text(json.dumps(kinetics()))
    found = skeletons.read_skeletons(path)
    assert found.layout == "openpose-18" and found.label == "squat"
    assert found.poses.shape == (4, 2, 18, 3)
    np.testing.assert_allclose(found.times_s, np.arange(4) / 30)
    # The two surest, in that order; what is not seen is zeros.
    np.testing.assert_allclose(found.poses[0, 0, 0], [-0.1, -0.25, 0.9], atol=1e-6)
    np.testing.assert_allclose(found.poses[0, 1, 0], [0.1, -0.25, 0.5], atol=1e-6)
    assert not found.poses[0, :, 17].any() and not found.poses[1:].any()


def test_csv_by_number_and_frame(tmp_path):
    path = tmp_path / "a.csv"
    fields = [f"{n}_{one}" for n in range(33) for one in ("x", "y", "z", "visibility")]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *fields])
        writer.writerow([30, *[0.5, 0.75, 0.1, 1.0] * 33])
        writer.writerow([45, *[""] * 132])
    found = skeletons.read_skeletons(path)
    np.testing.assert_allclose(found.times_s, [1.0, 1.5])
    np.testing.assert_allclose(found.poses[0, 0], [[0, 0.25, 1]] * 33)
    assert not found.poses[1].any()


def wrong_json(change):
    content = kinetics()
    change(content)
    return json.dumps(content)


MEDIAPIPE = {"x": 0.5, "y": 0.5, "visibility": 1.0}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "is no file of skeletons: .csv, .json, .npz"),
        ("a.json", "{", "is no JSON"),
        ("a.json", "[]", 'has neither a list "data" nor a list "frames"'),
        (
            "a.json",
            wrong_json(lambda c: c["data"][1].update(frame_index=1)),
            r"data\[1\].frame_index: 1 comes twice",
        ),
        (
            "a.json",
            wrong_json(lambda c: c["data"][0]["skeleton"][2].update(pose=[1.0])),
            r"data\[0\].skeleton\[2\].pose: must be 36 numbers",
        ),
        (
            "a.json",
            wrong_json(lambda c: c["data"][0]["skeleton"][0].update(pose=[99] * 36)),
            r"data\[0\].skeleton\[0\]: a joint lies at 98.5, .* not pixels",
        ),
        (
            "a.json",
            wrong_json(lambda c: c["data"][0]["skeleton"][0].update(score=[2] * 18)),
            r"data\[0\].skeleton\[0\]: a joint is 2 sure, not from 0 to 1",
        ),
        ("a.json", wrong_json(lambda c: c["data"].clear()), "data has no frame"),
        (
            "a.json",
            json.dumps({"fps": 25, "frames": [{"landmarks": [MEDIAPIPE] * 5}]}),
            r"frames\[0\].landmarks: has 5 joints, not 33 or none",
        ),
        (
            "a.json",
            json.dumps({"frames": [{"landmarks": [MEDIAPIPE] * 33}]}),
            "has neither times nor an fps above 0",
        ),
        (
            "a.json",
            json.dumps({"frames": [{"time_s": 1}, {"time_s": 1}]}),
            "times do not rise",
        ),
        (
            "a.json",
            json.dumps({"frames": [{"landmarks": [MEDIAPIPE | {"x": None}] * 33}]}),
            r"frames\[0\].landmarks\[0\] x, y, visibility: must be 3 numbers",
        ),
        ("a.csv", "nose_x\n1\n", ":1: has no column time_s or frame"),
        ("a.csv", "time_s,nose_x\n1,2\n", ":1: has no column nose_y"),
        ("a.csv", "", ":1: is empty"),
        ("a.npz", "x", "is no npz of plain arrays"),
    ],
)
def test_what_is_wrong_is_one_line(name, text, message, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        skeletons.read_skeletons(path)
    assert path.name in str(error.value).partition(":")[0] and "\n" not in str(
        error.value
    )


def test_wrong_lines_and_arrays(tmp_path):
    path = tmp_path / "a.csv"
    skeletons.write_skeletons(record(), path)
    lines = path.read_text().splitlines()
    for line, message in (
        (lines[1].replace("2,", "x,", 1), ":2: could not convert string to float"),
        ("1,2", ":2: has another number of cells than the header"),
    ):
        path.write_text("\n".join([lines[0], line]))
        with pytest.raises(ValueError, match=message):
            skeletons.read_skeletons(path)
    for arrays, message in (
        ({"x": np.zeros(2)}, 'has no array "poses", but x'),
        ({"poses": np.zeros((2, 18, 3))}, r"poses are \[2, 18, 3\], not \[T, 33, 3 or"),
        (
            {"poses": np.zeros((2, 33, 3)), "times_s": np.zeros(3)},
            "3 times for 2 poses",
        ),
        ({"poses": np.array([None])}, "is no npz of plain arrays"),
    ):
        file = tmp_path / "a.npz"
        np.savez(file, **arrays)
        with pytest.raises(ValueError, match=message):
            skeletons.read_skeletons(file)
    with pytest.raises(ValueError, match="must end in .csv, .json, .npz"):
        skeletons.write_skeletons(record(), tmp_path / "a.txt")
