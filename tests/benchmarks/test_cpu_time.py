"""Processor time of a process and of those that it started."""

import subprocess
import sys
import time

import pytest

from benchmarks.cpu_time import cpu_seconds

BUSY = "import time\nwhile time.process_time() < 0.2: pass\ninput()"


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_what_a_child_used_counts_while_it_lives_and_after():
    before = cpu_seconds()
    child = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while cpu_seconds() < before + 0.2 and time.monotonic() < deadline:
        time.sleep(0.05)
    alive = cpu_seconds() - before
    child.communicate(b"\n")
    assert child.returncode == 0
    assert 0.2 <= alive <= cpu_seconds() - before + 0.02
