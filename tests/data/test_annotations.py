"""The plain table of labelled parts: read, written, and complained about."""

import dataclasses
import os

import pytest

from rac_jax.data import annotations
from tests.media.media_factory import real_clips

HEADER = "file,start_s,end_s,count\n"


def write(folder, text, encoding="utf-8"):
    (folder / "clips.csv").write_text(text, encoding=encoding)
    return folder / "clips.csv"


def test_read(tmp_path):
    path = write(
        tmp_path,
        "file,start_s,end_s,count,alt_count,activity,notes\n"
        'a.mp4,0.0,24.5,9,,push-up,"slow, with holds"\n'
        "\n"
        "deep/b.mov,,,0,2.5, squat ,\n"
        "/else/where/c.mp4,1,1,3,,,\n",
    )
    first, second, third = annotations.read_csv(path)
    assert first.path == str(tmp_path / "a.mp4")
    assert (first.video_id, first.start_s, first.end_s) == ("a", 0.0, 24.5)
    assert (first.count, first.alt_count) == (9.0, None)
    assert first.groups == {"activity": "push-up", "notes": "slow, with holds"}
    assert second.path == str(tmp_path / "deep" / "b.mov")
    assert (second.start_s, second.end_s, second.count) == (None, None, 0.0)
    assert second.alt_count == 2.5
    assert second.groups == {"activity": "squat", "notes": ""}
    assert third.path == "/else/where/c.mp4"
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.count = 4


def test_label_and_challenges(tmp_path):
    path = write(
        tmp_path,
        "file,start_s,end_s,count,label,challenges,site\n"
        "a.mp4,0,1,2, rope skipping ,low illumination; fast motion;;fast motion,x\n"
        "b.mp4,0,1,2,,,y\n",
    )
    first, second = annotations.read_csv(path)
    assert first.label == "rope skipping"
    assert first.challenges == ("low illumination", "fast motion")
    assert first.groups == {"site": "x"}
    assert (second.label, second.challenges) == ("", ())
    annotations.write_csv(path, [first, second])
    again = annotations.read_csv(path)
    assert [(r.label, r.challenges) for r in again] == [
        (r.label, r.challenges) for r in (first, second)
    ]


def test_byte_order_mark_and_column_order(tmp_path):
    path = write(tmp_path, "count,file,end_s,start_s\n3,a.mp4,2,1\n", "utf-8-sig")
    (record,) = annotations.read_csv(path)
    assert (record.count, record.start_s, record.end_s) == (3.0, 1.0, 2.0)
    assert record.groups == {}


@pytest.mark.parametrize(
    "text,message",
    [
        (HEADER + "a.mp4,5.0,3.2,4\n", "clips.csv:2: end_s 3.2 is before start_s 5.0"),
        (HEADER + "a.mp4,0,1,1_000\n", "clips.csv:2: count '1_000' is not a number"),
        (HEADER + "a.mp4,0,1,4\n\nb.mp4,0,1,x\n", "clips.csv:4: count 'x' is not a number"),
        (HEADER + "a.mp4,0,1,\n", "clips.csv:2: count is empty"),
        (HEADER + "a.mp4,0,1,-1\n", "clips.csv:2: count -1 must be a number from 0 on"),
        (HEADER + "a.mp4,0,inf,1\n", "clips.csv:2: end_s inf must be a number from 0 on"),
        (HEADER + "a.mp4,nan,1,1\n", "clips.csv:2: start_s nan must be a number from 0 on"),
        (HEADER + ",0,1,1\n", "clips.csv:2: file is empty"),
        (HEADER + "a.mp4,0,1\n", "clips.csv:2: has another number of cells"),
        (HEADER + "a.mp4,0,1,4,5\n", "clips.csv:2: has another number of cells"),
        ("file,start_s,count\na.mp4,0,1\n", "clips.csv:1: has no column 'end_s'"),
        ("", "clips.csv:1: has no column 'file', needs file,start_s,end_s,count"),
        ("file,start_s,end_s,count,count\n", "clips.csv:1: the column 'count' is there twice"),
        (HEADER + '"a.mp4,0,1,4\n', "clips.csv:2: unexpected end of data"),
    ],
)  # fmt: skip
def test_bad_tables(tmp_path, text, message):
    with pytest.raises(ValueError) as caught:
        annotations.read_csv(write(tmp_path, text))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheets_write(tmp_path, delimiter, encoding):
    decimal = "." if delimiter == "," else ","
    rows = [
        ["file", "start_s", "end_s", "count", ""],
        ["ü.mp4", f"0{decimal}5", "3", "4", ""],
        ["", "", "", "", ""],
        ["b.mp4", "", "", f"2{decimal}5", ""],
        ["", "", "", ""],
    ]
    text = "\r\n".join(delimiter.join(row) for row in rows) + "\r\n\r\n"
    first, second = annotations.read_csv(write(tmp_path, text, encoding))
    assert (first.video_id, first.start_s, first.end_s) == ("ü", 0.5, 3.0)
    assert (second.count, second.start_s) == (2.5, None)


def test_line_numbers_after_empty_rows(tmp_path):
    text = HEADER + "a.mp4,0,1,4\n\n,,,\nb.mp4,0,1,1e400\n"
    with pytest.raises(ValueError, match=r"csv:5: count 1e400 must be a number from 0"):
        annotations.read_csv(write(tmp_path, text))


def test_a_header_alone_is_no_table(tmp_path):
    with pytest.raises(ValueError, match=r"clips\.csv:1: has a header and no rows"):
        annotations.read_csv(write(tmp_path, HEADER))


@pytest.mark.parametrize(
    ("encoding", "wrong", "name"),
    [("utf-8", b"\xff", "UTF-8"), ("utf-16", b"\xd8\xd8\xd8\xd8", "UTF-16")],
)
def test_the_line_of_a_wrong_byte(tmp_path, encoding, wrong, name):
    content = (HEADER + "a.mp4,0,1,4\n" * 3).encode(encoding) + wrong
    (tmp_path / "clips.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"clips\.csv:5: is not {name} text"):
        annotations.read_csv(tmp_path / "clips.csv")


def test_not_a_text(tmp_path):
    (tmp_path / "clips.csv").write_bytes(HEADER.encode() + b"\xff\xfe\x00,1,2,3\n")
    with pytest.raises(ValueError, match=r"clips\.csv:\d: is not UTF-8 text"):
        annotations.read_csv(tmp_path / "clips.csv")
    with pytest.raises(FileNotFoundError):
        annotations.read_csv(tmp_path / "gone.csv")


def test_write_and_read(tmp_path):
    records = [
        annotations.Annotation(
            video_id="a",
            path=str(tmp_path / "deep" / 'a, "b".mp4'),
            count=4,
            start_s=0.1 + 0.2,
            end_s=7,
            groups={"activity": "squat"},
        ),
        annotations.Annotation(
            video_id="c",
            path="/else/where/c.mp4",
            count=2.5,
            alt_count=5,
            groups={"hard": "yes"},
        ),
    ]
    path = tmp_path / "clips.csv"
    annotations.write_csv(path, records)
    assert os.listdir(tmp_path) == ["clips.csv"]
    first, second = annotations.read_csv(path)
    assert (first.path, first.count, first.end_s) == (records[0].path, 4.0, 7.0)
    assert first.start_s == pytest.approx(0.3, abs=1e-12)
    assert first.groups == {"activity": "squat", "hard": ""}
    assert (second.path, second.count, second.alt_count) == (
        "/else/where/c.mp4",
        2.5,
        5,
    )
    assert (second.start_s, second.end_s) == (None, None)


def test_labels_of_the_real_clips():
    path = real_clips() / "labels.csv"
    if not path.is_file():
        pytest.skip("needs real clips, set RAC_REAL_CLIPS")
    records = annotations.read_csv(path)
    assert len(records) > 20
    assert all(os.path.isfile(record.path) for record in records)


def test_events_go_there_and_back(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(
        "file,start_s,end_s,count,events_s\na.mp4,,,3,2.5; 0.25\nb.mp4,,,0,-\nc.mp4,,,1,\n"
    )
    records = annotations.read_csv(path)
    annotations.write_csv(path, records)
    for one in (records, annotations.read_csv(path)):
        assert one[0].events_s.tolist() == [0.25, 2.5]
        assert one[1].events_s.tolist() == []
        assert one[2].events_s is None
