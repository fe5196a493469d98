"""Readers of data sets of classes: small files in the official form."""

import pathlib

import pytest

from rac_jax.data import datasets

KINETICS = "label,youtube_id,time_start,time_end,split\n"


@pytest.fixture
def write(tmp_path):
    def writer(name, text=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return writer


def test_kinetics(write, tmp_path):
    path = write(
        "train.csv",
        KINETICS
        + '"testifying",---QUuC4vJs,84,94,validate\nair drumming,-0IErS_cisg,17,27,val\n'
        "air drumming,gone,0,10,val\nair drumming,other,0,10,train\n"
        "air drumming,back,10,10,val\n",
    )
    write("videos/a/---QUuC4vJs_000084_000094.mp4")
    write("videos/-0IErS_cisg.webm")
    labels = datasets.read(f"kinetics:{path},videos={tmp_path / 'videos'},split=val")
    cut, whole, gone = labels.annotations
    assert (cut.label, cut.start_s, cut.end_s, cut.count) == (
        "testifying",
        None,
        None,
        0,
    )
    assert cut.path == str(tmp_path / "videos/a/---QUuC4vJs_000084_000094.mp4")
    assert (whole.label, whole.start_s, whole.end_s) == ("air drumming", 17.0, 27.0)
    assert {record.split for record in labels.annotations} == {"val"}
    assert labels.missing == [gone.path] and labels.found == [cut, whole]
    assert labels.problems == ("train.csv:6: time_end 10 is not after time_start 10",)
    assert len(datasets.read(f"kinetics:{path}").annotations) == 4


def test_a_test_split_without_labels(write):
    path = write("test.csv", "youtube_id,time_start,time_end,split\na,0,10,test\n")
    (record,) = datasets.read(f"kinetics:{path}").annotations
    assert (record.label, record.split) == ("", "test")


def test_vggsound(write, tmp_path):
    path = write(
        "vggsound.csv",
        '---g-f_I2yQ,1,people marching,test\n--0PQM4-hqg,30,"waterfall, burbling",train\n'
        "cut,5,playing bass,train\nodd,x,playing bass,train\n",
    )
    write("videos/---g-f_I2yQ_000001.mp4")
    write("videos/--0PQM4-hqg.mp4")
    write("videos/cut_000005_000015.mp4")
    labels = datasets.read(f"vggsound:{path},videos={tmp_path / 'videos'}")
    first, second, third = labels.annotations
    assert (first.label, first.split, first.start_s) == (
        "people marching",
        "test",
        None,
    )
    assert (second.label, second.start_s, second.end_s) == (
        "waterfall, burbling",
        30.0,
        40.0,
    )
    assert third.start_s is None and third.path.endswith("cut_000005_000015.mp4")
    assert labels.problems == ("vggsound.csv:4: start 'x' is not a number",)
    train = datasets.read(f"vggsound:{path},split=train").annotations
    assert [record.label for record in train] == ["waterfall, burbling", "playing bass"]


def test_wrong_tables_are_named(write):
    path = write("vggsound.csv", "a,1,singing,train\nb,2,singing\n")
    with pytest.raises(ValueError, match="vggsound.csv:2: has 3 cells, not 4"):
        datasets.read(f"vggsound:{path}")
    with pytest.raises(ValueError, match="vggsound.csv:1: is empty"):
        datasets.read(f"vggsound:{write('vggsound.csv')}")
    path = write("k.csv", KINETICS + "a,b,0,10,train\n")
    with pytest.raises(ValueError, match="k.csv: has no row of the split val"):
        datasets.read(f"kinetics:{path},split=val")
    with pytest.raises(ValueError, match="split=dev is not one of test, train, val"):
        datasets.read(f"kinetics:{path},split=dev")


def test_folders_are_classes(write, tmp_path):
    for name in (
        "train/run/a.mp4",
        "train/run/b.mp4",
        "train/hop/c.webm",
        "train/d.mp4",
    ):
        write(name)
    records = datasets.read_folder(tmp_path / "train")
    found = {pathlib.Path(record.path).name: record.label for record in records}
    assert found == {"a.mp4": "run", "b.mp4": "run", "c.webm": "hop", "d.mp4": ""}
