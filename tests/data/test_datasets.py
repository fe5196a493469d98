"""Readers of the data sets' own files: small files in the same form, and the true ones."""

import os
import pathlib
import zipfile

import numpy as np
import pytest
import scipy.io

from rac_jax.counting import event_scores
from rac_jax.counting.event_scores import MarkedVideo
from rac_jax.data import countix_av, datasets, extreme_countix_av, sources
from rac_jax.media import encode

COUNTIX_AV = (
    "video_id,class,kinetics_start,kinetics_end,repetition_start,repetition_end,count\n"
)
UCFREP = ",name,counts,num_frames,start_frame,end_frame,L1,L2,L3,L4,L5,L6\n"
# Other people's files, never part of this project.
BESIDE = pathlib.Path(__file__).parents[3] / "shared" / "annotations"
OFFICIAL = pathlib.Path(os.environ.get("RAC_ANNOTATIONS", BESIDE))


@pytest.fixture
def write(tmp_path):
    def writer(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return writer


def test_countix_av_with_classes_and_several_parts(write, tmp_path):
    path = write(
        "av_val.csv",
        COUNTIX_AV
        + "AtEO-_dz,clapping,37,47,37.0,43.5,6.0\nAtEO-_dz,clapping,37,47,44.25,46.5,2.0\n"
        "whole,slicing onion,100,110,101.5,103.0,3.0\ngone,clapping,0,10,1,2,2\n",
    )
    write("videos/clapping/AtEO-_dz_000037_000047.mp4", "")
    write("videos/whole.mkv", "")
    labels = datasets.read(f"countix_av:{path},videos={tmp_path / 'videos'}")
    first, second, whole, gone = labels.annotations
    # Kinetics' own clips begin at kinetics_start; whole videos do not.
    assert (first.start_s, first.end_s, first.count) == (0.0, 6.5, 6.0)
    assert (second.start_s, second.end_s) == (7.25, 9.5)
    assert first.path == str(tmp_path / "videos/clapping/AtEO-_dz_000037_000047.mp4")
    assert (whole.start_s, whole.end_s, whole.label) == (101.5, 103.0, "slicing onion")
    assert {record.split for record in labels.annotations} == {"val"}
    assert labels.missing == [gone.path] and gone.path.endswith("gone.mp4")
    assert labels.found == [first, second, whole]


def test_countix_without_classes(write):
    path = write(
        "countix_test.csv", COUNTIX_AV.replace(",class", "") + "a,0,10,1,2,4\n"
    )
    labels = datasets.read(f"countix:{path}")
    (record,) = labels.annotations
    assert (record.label, record.split, record.count) == ("", "test", 4)
    assert not labels.missing
    assert labels.published["test"].videos == 2719


def test_rows_that_contradict_themselves_are_named(write):
    path = write(
        "x.csv",
        COUNTIX_AV + "a,c,0,10,3,3,4\nb,c,0,10,1,2,\nc,c,0,10,1,x,2\nd,c,0,10,9,11,2\n",
    )
    labels = datasets.read(f"countix_av:{path}")
    # What can be used is kept as it stands.
    assert [record.video_id for record in labels.annotations] == ["d"]
    assert labels.annotations[0].end_s == 11
    assert labels.problems == (
        "x.csv:2: repetition_end 3 is not after repetition_start 3",
        "x.csv:3: count is empty",
        "x.csv:4: repetition_end 'x' is not a number",
        "x.csv:5: the repetitions, 9.000000 to 11.000000 s, leave the clip, 0 to 10 s",
    )


def test_table_6_adds_up():
    for split, total in (("val", 311), ("test", 562)):
        groups = countix_av.PUBLISHED[split].groups
        assert sum(parts for parts, _ in groups.values()) == total


def test_extreme_countix_av(write, tmp_path):
    path = write(
        "extreme.csv",
        "name,reps,hard\nAa_1,4,Low_Illumination; fast motion\nb.mp4,7,\nc,2,rain\nd,,\n",
    )
    write("videos/Aa_1.mp4", "")
    name = f"extreme_countix_av:{path},videos={tmp_path / 'videos'}"
    labels = datasets.read(f"{name},file=name,count=reps,challenges=hard")
    first, second, third = labels.annotations
    assert first.challenges == ("low illumination", "fast motion")
    assert (first.count, first.path) == (4, str(tmp_path / "videos" / "Aa_1.mp4"))
    assert second.challenges == ()
    assert third.challenges == ("rain",)
    assert labels.missing == [second.path, third.path]
    assert labels.problems == (
        "extreme.csv:4: 'rain' is none of the seven challenges",
        "extreme.csv:5: reps is empty",
    )
    with pytest.raises(ValueError, match=r"extreme\.csv:1: has no column 'times'"):
        datasets.read(f"{name},file=name,count=times")


def test_extreme_countix_av_by_columns_and_by_folders(write, tmp_path):
    path = write("a.csv", "file,count,fast_motion,scale variation\nx,4,1,0\ny,2,1,1\n")
    first, second = datasets.read(f"extreme_countix_av:{path}").annotations
    assert first.challenges == ("fast motion",)
    assert second.challenges == ("fast motion", "scale variation")
    path = write("b.csv", "file,count\nx,4\n")
    write("videos/low_resolution/x.mp4", "")
    write("videos/fast_motion/x.mp4", "")
    labels = datasets.read(f"extreme_countix_av:{path},videos={tmp_path / 'videos'}")
    assert labels.annotations[0].challenges == ("fast motion", "low resolution")
    assert len(extreme_countix_av.TABLE_1) == 7


def test_ucfrep(write, tmp_path):
    path = write(
        "ucfrep_train.csv",
        UCFREP + "0,UCF-101/Biking/v_Biking_g01_c01.avi,2,41,10,50,10,30,30,50,,\n"
        "1,UCF-101/Rowing/v_Rowing_g01_c01.avi,3,41,10,50,10,30,30,50,,\n"
        "2,UCF-101/Rowing/v_Rowing_g01_c02.avi,,41,10,50,10,30,30,50,,\n"
        "3,UCF-101/Rowing/v_Rowing_g01_c03.avi,1,40,10,50,10,50,,,,\n",
    )
    frames = np.zeros((60, 16, 16, 3), np.uint8)
    (tmp_path / "videos" / "Biking").mkdir(parents=True)
    video = tmp_path / "videos" / "Biking" / "v_Biking_g01_c01.avi"
    encode.write_video(video.with_suffix(".mp4"), frames, 20)
    labels = datasets.read(f"ucfrep:{path},videos={tmp_path / 'videos'}")
    first, second, _ = labels.annotations
    assert first.path == str(video.with_suffix(".mp4"))
    assert (first.label, first.count, first.fps, first.split) == (
        "Biking",
        2,
        20,
        "train",
    )
    # Frame 10 is the tenth, at 9 / 20 s.
    np.testing.assert_allclose(first.cycles_s, [[0.45, 1.45], [1.45, 2.45]])
    # Without its video UCF101's own rate is taken.
    np.testing.assert_allclose(second.cycles_s[0], [9 / 25, 29 / 25])
    assert labels.problems == (
        "ucfrep_train.csv:3: counts is 3, there are 2 repetitions",
        "ucfrep_train.csv:4: needs counts, start_frame, end_frame and pairs of L",
        "ucfrep_train.csv:5: num_frames is 40, frames 10 to 50 are 41",
    )
    assert len(labels.missing) == 2
    source = datasets.read(f"ucfrep:{path},videos={tmp_path / 'videos'}").found[0]
    decoded = sources.decode_part(source, 16, 22050)
    # Frames 10 to 50, both of them.
    assert len(decoded.frames) == 41
    np.testing.assert_allclose(decoded.cycles, [[0, 20], [20, 40]], atol=1e-3)


def test_ucfrep_as_the_authors_wrote_it(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    label = {
        "start_frame": [[1.0]],
        "end_frame": [[93.0]],
        "temporal_bound": [[1.0], [47.0], [93.0]],
    }
    scipy.io.savemat(folder / "v_FrontCrawl_g16_c01.mat", {"label": label})
    (record,) = datasets.read(f"ucfrep:{folder}").annotations
    assert (record.count, record.label, record.split) == (2, "FrontCrawl", "train")
    np.testing.assert_allclose(record.cycles_s * 25 + 1, [[1, 47], [47, 93]])
    (folder / "v_Bad_g1_c1.mat").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"v_Bad_g1_c1\.mat: is no annotation"):
        datasets.read(f"ucfrep:{folder}")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="has no MATLAB file"):
        datasets.read(f"ucfrep:{tmp_path / 'none'}")


def test_names(write, tmp_path):
    path = write("clips.csv", "file,start_s,end_s,count\na.mp4,,,4\n")
    assert datasets.read(path).annotations[0].count == 4
    with pytest.raises(ValueError, match="'countx' is no data set, known: .*countix, "):
        datasets.read(f"countx:{path}")
    with pytest.raises(ValueError, match="'video=x' is none of its options: videos="):
        datasets.read(f"countix:{path},video=x")
    with pytest.raises(ValueError, match="needs the folder of its videos"):
        datasets.read_found(f"countix:{path}", print)
    with pytest.raises(ValueError, match="nowhere: is not a folder of videos"):
        datasets.read(f"countix:{path},videos={tmp_path / 'nowhere'}")


def test_missing_videos_are_told_and_left_out(write, tmp_path):
    path = write(
        "a.csv", COUNTIX_AV + "a,c,0,10,1,2,4\nb,c,0,10,1,2,4\nb,c,0,10,3,4,4\n"
    )
    write("videos/a.mp4", "")
    name, said = f"countix_av:{path},videos={tmp_path / 'videos'}", []
    assert [r.video_id for r in datasets.read_found(name, said.append)] == ["a"]
    assert said == [f"{name}: 1 of 2 videos are missing: b.mp4"]
    (tmp_path / "videos" / "a.mp4").unlink()
    with pytest.raises(ValueError, match="none of its videos is there"):
        datasets.read_found(name, said.append)


@pytest.mark.parametrize(
    ("name", "number", "repetitions", "doubtful"),
    [
        ("countix_av:countix_av_train.csv", 989, 8386, 0),
        ("countix_av:countix_av_val.csv", 311, 2691, 1),
        ("countix_av:countix_av_test.csv", 561, 4313, 0),
        ("ucfrep:ucfrep_train.csv", 421, 2776, 0),
        ("ucfrep:ucfrep_val.csv", 105, 730, 0),
    ],
)
def test_the_official_files_read_without_loss(name, number, repetitions, doubtful):
    reader, _, file = name.partition(":")
    if not (OFFICIAL / file).is_file():
        pytest.skip("needs official annotation files, set RAC_ANNOTATIONS")
    labels = datasets.read(f"{reader}:{OFFICIAL / file}")
    assert len(labels.annotations) == number
    assert sum(record.count for record in labels.annotations) == repetitions
    assert len(labels.problems) == doubtful


def test_both_official_forms_of_ucfrep_agree(tmp_path):
    archive = OFFICIAL / "ucfrep_original_mat.zip"
    if not archive.is_file():
        pytest.skip("needs official annotation files, set RAC_ANNOTATIONS")
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    for split in ("train", "val"):
        ours, theirs = (
            {record.video_id: record for record in datasets.read(name).annotations}
            for name in (
                f"ucfrep:{OFFICIAL / f'ucfrep_{split}.csv'}",
                f"ucfrep:{tmp_path / 'annotations' / split}",
            )
        )
        assert ours.keys() == theirs.keys()
        for name, record in ours.items():
            np.testing.assert_array_equal(record.cycles_s, theirs[name].cycles_s)


REPCOUNT_A = ",Unnamed: 0,type,name,count,fps,duration,num_frames,L1,L2,L3,L4,L5,L6\n"


def test_repcount_a(write, tmp_path):
    path = write(
        "repcount_a_valid.csv",
        REPCOUNT_A
        + "0,0,squat,stu1_1.mp4,2,20,5,100,4.0,24.0,24.0,50.0,,\n"
        + "1,1,squat,stu1_2.mp4,0,30,5,150,,,,,,\n"
        + "2,2,situp,train7.mp4,3,25,4,100,10,20,20,20,30,40\n"
        + "3,3,situp,train8.mp4,4,25,4,100,10,20,20,30,,\n"
        + "4,4,situp,train9.mp4,,25,4,100,10,20,,,,\n"
        + "5,5,situp,test1.mp4,1,25,4,100,10,,,,,\n",
    )
    write("videos/valid/stu1_1.mp4", "")
    labels = datasets.read(f"repcount_a:{path},videos={tmp_path / 'videos'}")
    first, second, third, fourth = labels.annotations
    assert (first.video_id, first.label, first.split) == ("stu1_1", "squat", "val")
    assert first.path == str(tmp_path / "videos" / "valid" / "stu1_1.mp4")
    np.testing.assert_allclose(first.cycles_s, [[0.2, 1.2], [1.2, 2.5]])
    assert (first.start_s, first.end_s, first.fps) == (None, None, 20)
    assert second.count == 0 and second.cycles_s.shape == (0, 2)
    assert third.count == 3 and len(third.cycles_s) == 2
    assert labels.missing == [one.path for one in (second, third, fourth)]
    assert labels.problems == (
        "repcount_a_valid.csv:4: train7.mp4: a cycle from frame 20 to 20",
        "repcount_a_valid.csv:5: train8.mp4: count is 4, there are 2 cycles",
        "repcount_a_valid.csv:6: train9.mp4 needs a count and its fps",
        "repcount_a_valid.csv:7: test1.mp4 has a start without an end",
    )
    assert labels.published["test"].videos == 152


AUDIBLE623 = "video_id,sound_label,class\n"


def test_audible623(write, tmp_path):
    path = write(
        "data_eval.csv",
        AUDIBLE623
        + 'Aod-_dW,"22,23,24,59",bouncing\n'
        + 'v_Drumming_g07_c01,"0,10,19,12,19",Drumming\n'
        + "Aod-_dW,7,bouncing,23,33\n"
        + 'bad,"3,4.5",tennis\nempty,"",tennis\n',
    )
    videos = tmp_path / "videos"
    videos.mkdir()
    pixels = np.zeros((25, 16, 16, 3), np.uint8)
    encode.write_video(videos / "Aod-_dW.mp4", pixels, 20.0)
    labels = datasets.read(f"audible623:{path},videos={videos}")
    first, drums, again = labels.annotations
    # Three frames in a row are one action, and three events.
    assert (first.count, first.label, first.split) == (2, "bouncing", "test")
    np.testing.assert_allclose(first.events_s, np.asarray([22, 23, 24, 59]) / 20)
    assert (first.fps, again.fps, drums.fps) == (20.0, 20.0, 25.0)
    assert (first.groups["span"], again.groups["span"]) == ("", "23,33")
    assert again.path == first.path == str(videos / "Aod-_dW.mp4")
    np.testing.assert_allclose(drums.events_s, np.asarray([0, 10, 12, 19]) / 25)
    assert labels.found == [first, again]
    told = "\n".join(labels.problems)
    for part in (
        "data_eval.csv:3: v_Drumming_g07_c01: frame 12 is out of order",
        "data_eval.csv:3: v_Drumming_g07_c01: frame 19 is there twice",
        "data_eval.csv:4: Aod-_dW: is in line 2 with other frames, too",
        "data_eval.csv:5: sound_label 4.5 is no frame",
        "data_eval.csv:6: sound_label is empty",
    ):
        assert part in told
    assert len(labels.problems) == 5


@pytest.mark.parametrize(
    ("name", "videos", "frames", "actions", "doubtful"),
    [("train", 497, 4931, 4230, 6), ("eval", 126, 1305, 1145, 0)],
)
def test_audible623_reads_without_loss(name, videos, frames, actions, doubtful):
    path = OFFICIAL / f"audible623_{name}.csv"
    if not path.exists():
        pytest.skip(f"{path}: the official annotations are not here")
    labels = datasets.read(f"audible623:{path}")
    assert (
        len(labels.annotations)
        == videos
        == labels.published["train" if name == "train" else "test"].videos
    )
    # One frame is there twice.
    assert sum(len(r.events_s) for r in labels.annotations) == frames - (
        name == "train"
    )
    assert sum(r.count for r in labels.annotations) == actions
    assert len(labels.problems) == doubtful


def test_marking_audible623_blindly():
    """What docs/events.md says of the blind grid; videos end 15 frames after their last label."""
    path = OFFICIAL / "audible623_eval.csv"
    if not path.exists():
        pytest.skip(f"{path}: the official annotations are not here")
    videos = []
    for record in datasets.read(f"audible623:{path}").annotations:
        frames = np.round(record.events_s * record.fps)
        length = int(frames.max()) + 15
        videos.append(MarkedVideo(np.zeros(0), frames, length, record.fps))
    found = {rule: event_scores.blind_grid(videos, rule) for rule in event_scores.RULES}
    assert {rule: one["step"] for rule, one in found.items()} == {
        "one-to-one": 5,
        "paper": 5,
        "released": 7,
    }
    f1 = [round(one["f1"], 3) for one in found.values()]
    assert f1 == [0.307, 0.336, 0.426]
