"""`rac find`: spans, a line each, and one for what was never looked at."""

import functools
import json

import pytest


@pytest.fixture
def rac(run_rac):
    """Runs `rac find` with the tiny model; returns (exit code, stdout, stderr)."""
    return functools.partial(run_rac, "find")


def test_spans_and_what_was_looked_at(rac, clip, tmp_path):
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    target = tmp_path / "spans.json"
    code, out, err = rac(clip, tmp_path / "text.mp4", "--json", target)
    assert code == 1
    assert "is not a media file" in err
    *spans, last = out.splitlines()
    assert "looked at all of it" in last
    good, bad = json.loads(target.read_text())
    assert bad.keys() == {"file", "error"}
    assert good["file"] == str(clip)
    assert len(good["spans"]) == len(spans)
    for line, (start_s, end_s) in zip(spans, good["spans"], strict=True):
        assert line == f"{clip}: {start_s:.1f} to {end_s:.1f} s"


def test_what_cannot_be(rac, clip, tmp_path):
    code, _, err = rac(clip, "--start", "3", "--end", "2")
    assert (code, err) == (2, "rac: --end: 2 s is not after --start 3 s\n")
    code, _, err = rac(tmp_path / "gone.mp4")
    assert code == 2
    assert "gone.mp4" in err
