"""Killed at any moment, a run ends as if it had not been."""

import functools
import json
import signal
import subprocess
import time

import numpy as np
import pytest

from tests import own_process

run = functools.partial(own_process.start, "tests.train.tiny_run")
finish = functools.partial(own_process.finish, timeout_s=300)


def final(folder) -> dict:
    with np.load(folder / "final.npz") as arrays:
        return dict(arrays)


def validation_steps(folder) -> list[int]:
    lines = (folder / "tiny" / "metrics.jsonl").read_text().splitlines()
    return [
        line["step"] for line in map(json.loads, lines) if line["kind"] == "validation"
    ]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    finish(run(folder))
    return folder


def same(one: dict, two: dict, tolerance: float | None = None) -> None:
    assert one.keys() == two.keys() and len(one) > 5
    for name, value in one.items():
        if tolerance is None:
            np.testing.assert_array_equal(value, two[name])
        else:
            np.testing.assert_allclose(value, two[name], rtol=tolerance, atol=tolerance)


def follow(process: subprocess.Popen, batches: int) -> int:
    """Reads until so many batches were taken; the step that the run went on from."""
    began = -1
    for line in process.stdout:
        if line.startswith("begins at"):
            began = int(line.split()[-1])
        batches -= line.startswith("batch")
        if began >= 0 and batches <= 0:
            break
    return began


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_bit_for_bit_the_same(
    straight, tmp_path, kills
):
    rng = np.random.default_rng(0)
    began = []
    for _ in range(kills):
        process = run(tmp_path, "--pause", "0.05")
        began.append(follow(process, int(rng.integers(0, 9))))
        # While a step runs, a checkpoint is written, or neither.
        time.sleep(rng.uniform(0.0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert "done" in finish(run(tmp_path))
    assert began == sorted(began) and began[0] == 0 and 0 < began[-1] < 60
    same(final(tmp_path), final(straight))
    steps = validation_steps(tmp_path)
    assert steps == validation_steps(straight) == [12, 24, 36, 48, 60]


def test_sigterm_saves_and_exits_with_0(straight, tmp_path):
    process = run(tmp_path, "--pause", "0.05")
    follow(process, 7)
    process.send_signal(signal.SIGTERM)
    text = finish(process)
    step = int(text.split("stopped at step ")[1].split()[0])
    assert 0 < step < 60
    # With workers too: the position in the data is the number of batches.
    text = finish(run(tmp_path, "--workers", "2"))
    assert f"begins at {step}" in text
    same(final(tmp_path), final(straight))


@pytest.mark.slow
def test_eight_devices_are_as_one_and_a_run_may_change_their_number(straight, tmp_path):
    finish(run(tmp_path, "--devices", "8", "--fsdp", "2"))
    same(final(tmp_path), final(straight), 1e-5)
    process = run(
        tmp_path / "moved", "--devices", "8", "--fsdp", "2", "--pause", "0.05"
    )
    follow(process, 7)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert "begins at 0" not in finish(run(tmp_path / "moved", "--devices", "2"))
    same(final(tmp_path / "moved"), final(straight), 1e-5)


def test_two_processes_are_as_one(straight, tmp_path):
    address = own_process.free_address()
    shared = ["--processes", "2", "--coordinator", address, "--fsdp", "2"]
    both = [run(tmp_path, *shared, "--process", str(i)) for i in range(2)]
    for process in both:
        finish(process)
    same(final(tmp_path), final(straight), 1e-5)
    assert validation_steps(tmp_path) == [12, 24, 36, 48, 60]
