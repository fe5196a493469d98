"""`rac data`: statistics beside published ones, and the check of videos."""

import shutil

import numpy as np
import pytest

from rac_jax.cli import main
from rac_jax.media import encode
from tests.conftest import moving_square

HEADER = (
    "video_id,class,kinetics_start,kinetics_end,repetition_start,repetition_end,count\n"
)


@pytest.fixture
def rac_data(capsys):
    def run(*arguments):
        code = main.main(["data", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def test_stats_beside_published_numbers(rac_data, tmp_path):
    path = tmp_path / "av_val.csv"
    rows = ["a,using a wrench,0,10,1,4,3\n"] * 3 + [
        "b,swimming front crawl,0,9,1,9,5\n"
    ]
    path.write_text(HEADER + "".join(rows) + "c,using a wrench,0,10,4,4,1\n")
    code, text, err = rac_data("stats", f"countix_av:{path}")
    assert code == 0
    lines = text.splitlines()
    assert lines[0].endswith(
        ": 4 labelled parts of 2 videos, 14 repetitions, 1 doubtful rows"
    )
    assert "paper 1, Table 6" in lines[1]
    cells = {line[:28].strip(): line[28:].split() for line in lines[2:]}
    assert cells["using a wrench"] == ["3", "3.00", "3", "3"]
    assert cells["swimming"] == ["1", "5.00", "13*", "5"]
    assert cells["clapping"] == ["0", "-", "14*", "7"]
    assert cells["all"] == ["4", "3.50", "311*", "-"]
    assert "av_val.csv:6: repetition_end 4 is not after repetition_start 4" in err


def test_stats_by_challenge(rac_data, tmp_path):
    path = tmp_path / "extreme.csv"
    path.write_text(
        "file,count,challenges\na,4,fast motion;low resolution\nb,6,fast motion\n"
    )
    code, text, _ = rac_data("stats", f"extreme_countix_av:{path}")
    assert code == 0 and "paper 1, Table 1" in text
    cells = {line[:25].strip(): line[25:].split() for line in text.splitlines()[2:]}
    assert cells["fast motion"] == ["2", "5.00", "31*", "-"]
    assert cells["low resolution"] == ["1", "4.00", "29*", "-"]
    assert cells["all"] == ["2", "5.00", "214*", "-"]


def test_check(rac_data, tmp_path, clip, silent_clip):
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(clip, videos / "good.mp4")
    shutil.copy(silent_clip, videos / "silent.mp4")
    (videos / "broken.mp4").write_text("no video")
    path = tmp_path / "a.csv"
    rows = ("good,c,0,4,0,4,8", "good,c,0,9,1,9,8", "good,c,0,4,0,1,20", "silent,c,0,2,0,2,3",
            "broken,c,0,2,0,2,3", "gone,c,0,2,0,2,3", "gone,c,0,2,1,2,3")  # fmt: skip
    path.write_text(HEADER + "\n".join(rows) + "\n")
    name = f"countix_av:{path},videos={videos}"
    code, text, _ = rac_data("check", name)
    assert code == 1
    lines = text.splitlines()
    assert lines[0] == f"missing: {videos / 'gone.mp4'}"
    assert lines[1].startswith(f"undecodable: {videos / 'broken.mp4'}: ")
    assert lines[2:5] == [
        f"short: {videos / 'good.mp4'} from 1 s: has 3.00 s of the annotated 8.00",
        f"short: {videos / 'good.mp4'} from 0 s: has 25 frames for 20 repetitions",
        f"silent: {videos / 'silent.mp4'} from 0 s",
    ]
    assert lines[5] == (
        f"{name}: 7 labelled parts, 1 videos missing, 1 undecodable, 2 too short, "
        "1 silent, 0 doubtful rows"
    )
    path.write_text(HEADER + rows[0] + "\n" + rows[3] + "\n")
    assert rac_data("check", name)[0] == 0


def test_check_of_a_plain_table(rac_data, tmp_path):
    encode.write_video(tmp_path / "a.mp4", moving_square(25).astype(np.uint8), 25)
    path = tmp_path / "labels.csv"
    path.write_text("file,start_s,end_s,count\na.mp4,,,4\nb.mp4,,,4\n")
    code, text, _ = rac_data("check", path)
    assert code == 1
    assert f"missing: {tmp_path / 'b.mp4'}" in text


def test_wrong_names(rac_data, tmp_path):
    code, _, err = rac_data("stats", "countx:a.csv")
    assert code == 2 and "'countx' is no data set" in err
    code, _, err = rac_data("stats", f"countix:{tmp_path / 'a.csv'}")
    assert code == 2 and "a.csv" in err
