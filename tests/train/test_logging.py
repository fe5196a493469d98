"""Metrics can be read back, by people, as JSON and by TensorBoard."""

import io
import json
import logging
import re
import struct
import threading
import time

import pytest
from tensorboardX.proto import event_pb2

from rac_jax.train import logging as train_logging
from rac_jax.train.logging import METRICS_FILE, MetricWriter, Progress, busy


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(folder):
    return [json.loads(x) for x in (folder / METRICS_FILE).read_text().splitlines()]


def events(folder) -> list[tuple[int, str, float]]:
    """Scalars of the event files: records of length, checksum, bytes, checksum."""
    found = []
    for path in sorted((folder / "events").iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found.append((event.step, value.tag, value.simple_value))
    return found


def test_metrics_are_json_lines_and_event_files(tmp_path):
    writer = MetricWriter(tmp_path, 0)
    writer.write(5, "train", {"loss": 2.5})
    writer.write(10, "validation", {"error": float("nan"), "obo": 0.5})
    writer.close()
    assert lines(tmp_path) == [
        {"step": 5, "kind": "train", "loss": 2.5},
        {"step": 10, "kind": "validation", "error": None, "obo": 0.5},
    ]
    found = events(tmp_path)
    assert (5, "train/loss", 2.5) in found and (10, "validation/obo", 0.5) in found


def test_a_restart_writes_later_lines_anew(tmp_path):
    writer = MetricWriter(tmp_path, 0)
    for step in (1, 2, 3):
        writer.write(step, "train", {"loss": float(step)})
    writer.close()
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"step": 4, "ki')  # cut by a kill
    writer = MetricWriter(tmp_path, 2)
    writer.write(3, "train", {"loss": 30.0})
    writer.close()
    assert [(x["step"], x["loss"]) for x in lines(tmp_path)] == [
        (1, 1),
        (2, 2),
        (3, 30),
    ]


def test_other_processes_write_nothing(tmp_path):
    writer = MetricWriter(tmp_path / "none", 0, active=False)
    writer.write(1, "train", {"loss": 1.0})
    writer.close()
    assert not (tmp_path / "none").exists()


def test_progress_tells_where_the_time_goes(caplog, monkeypatch):
    clock = iter([0.0, 10.0, 10.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = Progress("sight", 100, 0, batch=8, active=True)
    for _ in range(4):
        progress.fetched(0.5)
        progress.step()
    with caplog.at_level(logging.INFO, "rac_jax.train"):
        timing = progress.report(4, {"loss": 1.25})
    progress.close()
    assert timing == {
        "clips_per_s": pytest.approx(3.2),
        "data_s": pytest.approx(0.5),
        "compute_s": pytest.approx(2.0),
    }
    assert "sight 4/100  loss 1.25  3.2 clips/s" in caplog.text


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    progress = Progress("sight", 40, 10, batch=8, active=True)
    progress.step()
    progress.report(11, {"loss": 1.25})
    progress.close()
    assert re.search(
        r"sight .+ 11/40 .+ clips/s \(data 0\.000, compute \d+\.\d{3} s a step\)  loss 1\.25",
        terminal.getvalue(),
    )


def test_the_time_that_is_left_leaves_out_what_was_no_step(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    clock = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    progress = Progress("sight", 11, 0, batch=8, active=True)
    clock[0] += 600.0  # compiling
    progress.restart()
    clock[0] += 2.0
    progress.step()
    progress.close()
    assert "1/11 [00:02<00:20]" in terminal.getvalue()


@pytest.fixture
def impatient(monkeypatch):
    for name in ("WORTH_SAYING_S", "TERMINAL_EVERY_S", "LOG_EVERY_S"):
        monkeypatch.setattr(train_logging, name, 0.02)


def wait_for(found):
    until = time.monotonic() + 20
    while not found():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_takes_long_says_so_in_lines(caplog, impatient):
    caplog.set_level(logging.INFO, "rac_jax.train")
    with busy("compiling the step"):
        wait_for(lambda: caplog.text.count("compiling the step, 0 s so far") > 1)
    assert re.search(r"compiling the step took \d+ s$", caplog.messages[-1])


def test_what_takes_long_ticks_on_a_terminal(impatient, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with busy("compiling the step"):
        wait_for(lambda: "compiling the step, 1 s so far" in terminal.getvalue())
        assert "compiling the step, 0 s so far" in terminal.getvalue()
    # The line goes away.
    assert terminal.getvalue().rpartition("\r")[0].endswith(" ")


def test_what_is_quick_or_another_processs_is_not_mentioned(
    caplog, impatient, monkeypatch
):
    caplog.set_level(logging.INFO, "rac_jax.train")
    with busy("compiling the step", active=False):
        time.sleep(0.1)
    monkeypatch.setattr(train_logging, "WORTH_SAYING_S", 1e6)
    with busy("compiling the step"):
        time.sleep(0.1)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3725, "62 min 5 s")]
)  # fmt: skip
def test_durations_are_for_people(seconds, text):
    assert train_logging._duration(seconds) == text


def test_nothing_is_left_running_after_a_failure(impatient):
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="fails"), busy("compiling the step"):
        raise RuntimeError("fails")
    assert threading.active_count() == before
