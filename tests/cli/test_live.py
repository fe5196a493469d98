"""`rac live` in the terminal and as lines of JSON, on a file at its own pace and on FFmpeg's test source."""

import io
import json
import pathlib

import pytest

from rac_jax.cli import main

SAMPLE = str(pathlib.Path(__file__).parents[2] / "examples" / "sample.mp4")
# Few strides are quick; nothing is late, however busy the machine is.
QUICK = ["--max-stride", "2", "--late", "60"]
TEST_SOURCE = "lavfi:testsrc2=size=64x48:rate=25:duration="


@pytest.fixture(autouse=True)
def nobody_types(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


def _records(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_file_is_counted_as_rac_count_does(tmp_path, capsys):
    lines, saved = tmp_path / "lines.jsonl", tmp_path / "result.json"
    code = main.main(
        ["live", SAMPLE, "--jsonl", str(lines), "--save", str(saved), *QUICK]
    )
    assert code == 0
    assert f"{SAMPLE}: 7 repetitions" in capsys.readouterr().out
    first, *counted, last = _records(lines)
    assert first["event"] == "start"
    assert (first["source"], first["size"]) == (SAMPLE, [240, 320])
    assert {one["event"] for one in counted} == {"count"}
    settled = [one["settled"] for one in counted]
    assert settled == sorted(settled)
    assert counted[-1]["count"] == 7
    assert counted[-1]["drop_rate"] == 0
    # The result of the file, by sight, with the same options.
    assert last["event"] == "end"
    result = json.loads(saved.read_text("utf-8"))
    assert last["result"] == result
    whole = tmp_path / "whole.json"
    assert (
        main.main(["count", SAMPLE, "--json", str(whole), "--no-sound", *QUICK[:2]])
        == 0
    )
    assert result["count"] == pytest.approx(
        json.loads(whole.read_text())["count"], abs=1e-3
    )


def test_commands_come_as_lines(tmp_path, monkeypatch):
    """The source has no end; somebody types one."""
    monkeypatch.setattr("sys.stdin", io.StringIO("reset\nnonsense\nend\n"))
    lines = tmp_path / "lines.jsonl"
    # `end` may come before the first frame: then there is nothing to count.
    code = main.main(["live", TEST_SOURCE + "600", "--jsonl", str(lines), *QUICK])
    assert code in (0, 1)
    assert _records(lines)[0]["event"] == "start"


def test_the_terminal_says_what_is_counted(capsys):
    assert main.main(["live", TEST_SOURCE + "1", "--terminal", *QUICK]) == 0
    out = capsys.readouterr().out
    assert "fps, 0 % dropped" in out
    assert "no repetition found" in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing.mp4", "--terminal"], "nothing.mp4: no such file"),
        (["--camera", "93", "--terminal"], "camera 93: "),
        (["a.mp4", "--camera", "1"], "--camera 1: excludes a.mp4"),
        (["a.mp4", "--jsonl", "/proc/none/x"], "none"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, reason, capsys):
    assert main.main(["live", *arguments]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "starlette", None)
    assert main.main(["live", SAMPLE]) == 2
    assert 'pip install "rac_jax[live]"' in capsys.readouterr().err
