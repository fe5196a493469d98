"""Failures of one item, targets before anything is counted, and stopping in the middle."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rac_jax.cli import items, output
from rac_jax.media import MediaError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MediaError("a.mp4: is empty"), "a.mp4: is empty"),
        (ValueError("two\nlines"), "a.mp4: two lines"),
        (OSError(errno.ENOSPC, "No space left"), "a.mp4: No space left"),
        (OSError(errno.EACCES, "denied", "b.png"), "a.mp4: b.png: denied"),
        (OSError(errno.EACCES, "denied", "a.mp4"), "a.mp4: denied"),
        (MemoryError(), "a.mp4: needs more memory than there is"),
        (ZeroDivisionError(), "a.mp4: ZeroDivisionError"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), "a.mp4: RESOURCE_EXHAUSTED: 9 GB"),
    ],
)
def test_a_failure_is_one_line_that_names_the_item(error, line):
    def fail():
        raise error

    assert items.attempt("a.mp4", fail) == (None, line)


def test_what_is_no_failure_of_an_item_goes_on():
    assert items.attempt("a", lambda: 3) == (3, None)
    for error in (KeyboardInterrupt, items.Terminated, NotImplementedError):
        if issubclass(error, RuntimeError):
            continue
        with pytest.raises(error):
            items.attempt("a", lambda error=error: (_ for _ in ()).throw(error))


def test_sigterm_is_like_an_interrupt_meanwhile():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(items.Terminated) as stop, items.terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert items.exit_code(stop.value) == 143
    assert items.exit_code(KeyboardInterrupt()) == 130
    assert signal.getsignal(signal.SIGTERM) == before


def test_targets_of_clips_with_one_name(tmp_path):
    names = [tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4", tmp_path / "y.mp4"]
    found = output.place_targets("--plot", tmp_path / "out", (".png", ".svg"), names)
    assert [target.name for target in found.values()] == [
        "a-x.mp4.png",
        "b-x.mp4.png",
        "y.mp4.png",
    ]
    assert (tmp_path / "out").is_dir()
    one = output.place_targets("--plot", tmp_path / "new" / "p.svg", (".svg",), ["x"])
    assert one == {"x": tmp_path / "new" / "p.svg"} and (tmp_path / "new").is_dir()
    assert output.place_targets("--plot", None, (".svg",), ["x"]) == {}


@pytest.mark.parametrize(
    ("wanted", "files", "error", "message"),
    [
        ("out.jpg", ["x"], ValueError, r"--plot .*out\.jpg: \.jpg is not one of \.png"),
        ("out.png", ["x", "y"], ValueError, "names one file, but there are several"),
        ("file/out.png", ["x"], OSError, "file"),
        ("file", ["x"], OSError, "file"),
    ],
)
def test_targets_that_cannot_be(tmp_path, wanted, files, error, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(error, match=message):
        output.place_targets("--plot", str(tmp_path / wanted), (".png",), files)
    assert not (tmp_path / "out.jpg").exists()


def test_json_has_no_nan():
    text = output.json_text({"a": float("nan"), "b": [1.5, -np.inf], "c": "NaN"})
    assert json.loads(text) == {"a": None, "b": [1.5, None], "c": "NaN"}


def test_unknown_suffix_and_unwritable_targets_stop_before_counting(
    run_rac, clip, tmp_path
):
    (tmp_path / "file").write_text("")
    for option, value in (
        ("--plot", tmp_path / "out.jpg"),
        ("--annotate", tmp_path / "file" / "out.mp4"),
        ("--json", tmp_path / "file" / "out.json"),
    ):
        code, out, err = run_rac("count", clip, option, value)
        assert (code, out) == (2, "") and len(err.splitlines()) == 1, option
    code, out, err = run_rac("evaluate", tmp_path / "none.csv", "--out", tmp_path)
    assert (code, out) == (2, "") and "is a folder" in err


def test_a_missing_folder_is_made(run_rac, clip, tmp_path):
    target = tmp_path / "new" / "one.json"
    assert run_rac("count", clip, "--json", target)[0] == 0
    assert json.loads(target.read_text())["count"] >= 0


def test_a_plot_that_fails_does_not_undo_the_count(
    run_rac, clip, tmp_path, monkeypatch
):
    from rac_jax.counting.result import CountResult

    def full(self, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CountResult, "plot", full)
    target, plot = tmp_path / "one.json", tmp_path / "p.png"
    code, out, err = run_rac("count", clip, "--json", target, "--plot", plot)
    assert code == 1 and "repetition" in out
    assert err == f"rac: {clip}: {plot}: No space left on device\n"
    assert "error" not in json.loads(target.read_text())


def test_rows_that_fail_are_records(run_rac, clip, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        f"file,start_s,end_s,count\n{clip},3,3,1\n{clip},,,2\nnone.mp4,,,2\n"
    )
    out = tmp_path / "report.json"
    code, _, err = run_rac("evaluate", labels, "--out", out)
    assert code == 1 and len(err.splitlines()) == 2
    report = json.loads(out.read_text())
    assert ["error" in video for video in report["videos"]] == [True, False, True]


SLOW_COUNT = """
import sys, time
from rac_jax.counting.counter import Counter

counted = Counter.count

def slow(self, video, **options):
    name = str(getattr(video, "name", video))
    if name.endswith("b.mp4"):
        time.sleep(60)
    return counted(self, video, **options)

Counter.count = slow
from rac_jax.cli import main
main.run_and_exit()
"""


def _count_process(clip, tmp_path, *more):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(pathlib.Path(clip).read_bytes())
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_COUNT, "count", str(folder), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_stop_writes_what_was_counted(clip, tmp_path, number, code):
    target = tmp_path / "all.json"
    model = ("--model", "frame-differences", "--json", str(target))
    process = _count_process(clip, tmp_path, *model)
    assert "a.mp4: " in process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "stopped; 1 of 2 files were counted" in err
    assert len(err.splitlines()) == 1
    assert len(json.loads(target.read_text())) == 1


def test_a_reader_that_goes_away_stops_it_quietly(clip, tmp_path):
    process = _count_process(clip, tmp_path, "--model", "frame-differences")
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_name_that_the_terminal_cannot_show(clip, tmp_path):
    name = tmp_path / "\u00fc\u0107.mp4"
    name.write_bytes(pathlib.Path(clip).read_bytes())
    words = ["-m", "rac_jax.cli.main", "count", str(name)]
    done = subprocess.run(
        [sys.executable, *words, "--model", "frame-differences"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\\xfc\\u0107.mp4: " in done.stdout and done.stderr == ""
