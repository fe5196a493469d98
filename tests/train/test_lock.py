"""A workdir is one process's at a time."""

import errno
import subprocess
import sys

import pytest

from rac_jax.train import lock

HOLD = """
import pathlib, sys, time
from rac_jax.train import lock

with lock.locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_process_is_refused(tmp_path):
    workdir = tmp_path / "run"
    words = [sys.executable, "-c", HOLD, str(workdir)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        message = f"run: another run is at work here .process {holder.pid}.$"
        with pytest.raises(ValueError, match=message), lock.locked(workdir):
            pass
        holder.kill()
        holder.wait()
    # The system has let go of it.
    with lock.locked(workdir):
        pass
    with lock.locked(workdir):
        pass


def test_a_file_system_without_locks_is_trained_on(tmp_path, monkeypatch, caplog):
    def no_locks(file):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", no_locks)
    with lock.locked(tmp_path / "run"):
        pass
    assert "run: cannot be locked (No locks available)" in caplog.text
