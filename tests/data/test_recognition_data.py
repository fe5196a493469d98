"""Data sets whose videos have a class and no count: their official files, and what is odd in them."""

import json

import numpy as np
import pytest

from rac_jax.data import datasets, features, kinetics_sounds


def place(folder, *names):
    """A folder of empty videos."""
    for name in names:
        path = folder / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder / "videos"


def facts(labels):
    return [
        (one.video_id, one.label, one.start_s, one.end_s, one.split)
        for one in labels.annotations
    ]


def test_ucf101(tmp_path):
    videos = place(tmp_path, "Archery/v_Archery_g08_c01.avi")
    (tmp_path / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    path = tmp_path / "trainlist01.txt"
    path.write_text(
        "Archery/v_Archery_g08_c01.avi 1\n"
        "Biking/v_Biking_g01_c02.avi 2\r\n\n"
        "Biking/v_Biking_g01_c03.avi 1\n"
        "v_Biking_g01_c04.avi 2\n"
        "Fishing/v_Fishing_g01_c04.avi 2\n"
    )
    labels = datasets.read(f"ucf101:{path},videos={videos}")
    assert facts(labels) == [
        ("v_Archery_g08_c01", "Archery", None, None, "train"),
        ("v_Biking_g01_c02", "Biking", None, None, "train"),
    ]
    assert labels.without_video == {1}
    assert labels.problems == (
        "trainlist01.txt:4: Biking is class 2 of classInd.txt, not 1",
        "trainlist01.txt:5: 'v_Biking_g01_c04.avi' has no folder that says its class",
        "trainlist01.txt:6: 'Fishing' is no class of classInd.txt",
    )
    path = tmp_path / "testlist01.txt"
    path.write_text("Archery/v_Archery_g01_c01.avi\n")
    assert datasets.read(f"ucf101:{path}").annotations[0].split == "test"


def test_activitynet(tmp_path):
    def video(subset, *segments, duration=60.0):
        listed = [{"segment": list(s), "label": label} for *s, label in segments]
        return {"subset": subset, "duration": duration, "annotations": listed}

    database = {
        "--1DO2V4K74": video("training", (1, 9.5, "Polo"), (5, 61.5, "Riding")),
        "a_b": video("validation", (0, 0, "Polo"), (2, 3, "Polo")),
        "gone": video("validation", (2, 90, "Polo")),
        "c": video("testing"),
    }
    path = tmp_path / "activity_net.json"
    path.write_text(json.dumps({"database": database, "version": "1.3"}))
    videos = place(tmp_path, "v_--1DO2V4K74.mp4", "a_b.mkv", "v_c.mp4")
    labels = datasets.read(f"activitynet:{path},videos={videos}")
    assert facts(labels) == [
        ("--1DO2V4K74", "Polo", 1.0, 9.5, "train"),
        ("--1DO2V4K74", "Riding", 5.0, 61.5, "train"),
        ("a_b", "Polo", 2.0, 3.0, "val"),
        ("gone", "Polo", 2.0, 90.0, "val"),
        ("c", "", None, None, "test"),
    ]
    assert labels.missing == [str(videos / "v_gone.mp4")]
    assert labels.problems == (
        (
            "activity_net.json: --1DO2V4K74: annotation 1: segment [5, 61.5] ends after "
            "the video, 60 s"
        ),
        "activity_net.json: a_b: annotation 0: segment [0, 0] has no length",
        "activity_net.json: gone: annotation 0: segment [2, 90] ends after the video, 60 s",
    )
    # The database alone, and one split of it.
    path.write_text(json.dumps(database))
    assert len(datasets.read(f"activitynet:{path},split=val").annotations) == 2
    for content, message in (
        ("[", "is not JSON"),
        ("[]", "database: must be an object"),
        ('{"a": {"subset": 3}}', "a: subset: must be a text"),
        ('{"a": {"subset": "new", "annotations": []}}', "subset 'new' is not of"),
        ('{"a": {"subset": "testing"}}', "a: annotations: must be a list"),
        (
            json.dumps({"a": video("training", (1, "x", "P"))}),
            r"must be \[start, end\]",
        ),
        (json.dumps({"a": video("training", (1, 2, 3))}), "label: must be a text"),
        (json.dumps({"a": video("training", (3, 2, "P"))}), "has no segment that can"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            datasets.read(f"activitynet:{path}")
    with pytest.raises(ValueError, match="split=dev is not one of train, val, test"):
        datasets.read(f"activitynet:{path},split=dev")


def test_kinetics_sounds(tmp_path):
    assert len(kinetics_sounds.CLASSES) == 31
    assert list(kinetics_sounds.CLASSES) == sorted(kinetics_sounds.CLASSES)
    path = tmp_path / "my_train.txt"
    path.write_text("-0_a_30,10,0\nb_5,10,30\nb_5,10,31\nb5,10,1\n")
    videos = place(tmp_path, "-0_a_000030_000040.mp4", "b_5.mp4")
    labels = datasets.read(f"kinetics_sounds:{path},videos={videos}")
    assert facts(labels) == [
        ("-0_a_000030_000040", "0", None, None, "train"),
        ("b_000005_000015", "30", None, None, "train"),
    ]
    assert labels.problems == (
        "my_train.txt:3: class 31 is over 30",
        "my_train.txt:4: 'b5,10,1' is not ID_START,LENGTH,CLASS",
    )
    path = tmp_path / "kinetics_val.csv"
    path.write_text(
        "label,youtube_id,time_start,time_end,split\n"
        "tap dancing,x,1,11,val\nabseiling,y,1,11,val\nsinging,z,9,9,val\n"
    )
    labels = datasets.read(f"kinetics_sounds:{path}")
    assert facts(labels) == [("x_000001_000011", "tap dancing", 1.0, 11.0, "val")]
    assert labels.problems == (
        "kinetics_val.csv:4: its end 9 is not after its start 9",
    )


def test_mini_sports1m(tmp_path):
    (tmp_path / "labels.txt").write_text("aikido\nbmx\ncurling\n")
    path = tmp_path / "mini_test.txt"
    path.write_text(
        "https://www.youtube.com/watch?v=a-_1 2\nhttp://youtu.be/b 0,1\nc.mp4 3\nd x\n"
    )
    labels = datasets.read(f"mini_sports1m:{path},videos={place(tmp_path, 'a-_1.mp4')}")
    assert [one.label for one in labels.annotations] == ["curling", "aikido;bmx"]
    assert [one.video_id for one in labels.annotations] == ["a-_1", "b"]
    assert labels.without_video == {1}
    assert labels.problems == (
        "mini_test.txt:3: label 3 is none of the 3 of labels.txt",
        "mini_test.txt:4: 'x' are no labels",
    )
    path.write_text("nothing here\n")
    with pytest.raises(ValueError, match="has no line ADDRESS"):
        datasets.read(f"mini_sports1m:{path}")


def test_features(tmp_path):
    rng = np.random.default_rng(0)
    for name, array in (
        ("a", rng.normal(size=(5, 3))),
        ("b", rng.normal(size=(4, 3))),
        ("flat", np.zeros(3)),
        ("nan", np.full((2, 2), np.nan)),
        ("objects", np.array([{"code": 1}], dtype=object)),
    ):
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "text.npy").write_text("no array")
    path = tmp_path / "features.csv"
    names = ("a,a", "a,", "a,b", "flat,", "nan,", "objects,", "gone,", "text,")
    rows = [
        f"{first}.npy,{second}{'.npy' if second else ''},polo,train"
        for first, second in (name.split(",") for name in names)
    ]
    path.write_text("file,sound,label,split\n" + "\n".join(rows))
    both, alone, *wrong = features.read_features(path)
    assert (both.label, both.split) == ("polo", "train")
    assert [bank.shape for bank in both.load()] == [(5, 3), (5, 3)]
    assert both.load()[0].dtype == np.float32
    assert len(alone.load()) == 1
    messages = (
        r"features.csv:4: a.npy and b.npy have \[5, 4\] moments",
        r"features.csv:5: flat.npy: must be float \[n, C\], not float64 \[3\]",
        "features.csv:6: nan.npy: holds a value not finite",
        "features.csv:7: objects.npy: is no .npy file of numbers",
        "features.csv:8: gone.npy: No such file",
        "features.csv:9: text.npy: is no .npy file of numbers",
    )
    for one, message in zip(wrong, messages, strict=True):
        with pytest.raises(ValueError, match=message):
            one.load()
    for text, message in (
        ("a.pkl,polo", "features.csv:2: 'a.pkl' is no .npy file"),
        ("a.npy,", "features.csv:2: label is empty"),
    ):
        path.write_text(f"file,label\n{text}\n")
        with pytest.raises(ValueError, match=message):
            features.read_features(path)
