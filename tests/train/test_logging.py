"""Metrics can be read back, by people, as JSON and by TensorBoard."""

import io
import json
import logging
import re
import struct

import pytest
from tensorboardX.proto import event_pb2

from rac_jax.train.logging import METRICS_FILE, MetricWriter, Progress


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
        progress.step(waited_s=0.5)
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
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    progress = Progress("sight", 40, 10, batch=8, active=True)
    progress.step(waited_s=0.0)
    progress.report(11, {"loss": 1.25})
    progress.close()
    assert re.search(
        r"sight .+ 11/40 .+ clips/s \(data 0\.000, compute \d+\.\d{3} s a step\)  loss 1\.25",
        terminal.getvalue(),
    )
