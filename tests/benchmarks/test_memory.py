"""How much memory a process has."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.memory import resident_mb
from tests import own_process

pytestmark = pytest.mark.skipif(
    resident_mb("VmRSS") is None, reason="the system does not tell"
)

# Of a process of its own: one that has run other tests may hold memory that it can use again.
GROWTH = """
import numpy as np
from benchmarks.memory import resident_mb
before = resident_mb("VmRSS")
block = np.ones(64 << 17)  # 64 MiB of float64
held, peak = resident_mb("VmRSS"), resident_mb("VmHWM")
del block
print(before, held, peak, resident_mb("VmHWM"))
"""
SLACK_MB = 2.0  # the system's own counters lag behind each other


def test_resident_memory_grows_and_its_peak_stays():
    before, held, peak, peak_after = map(float, own_process.output(GROWTH).split())
    assert 56 < held - before < 96
    assert min(peak, peak_after) >= held - SLACK_MB


def test_another_process():
    """A small one: what its parent had when it was started does not count."""
    block = np.ones(64 << 17)
    with subprocess.Popen(
        [sys.executable, "-c", "print('here', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline()
        assert 1 < resident_mb("VmHWM", other.pid) < block.nbytes / 2**20
        other.communicate(b"\n")
    assert resident_mb("VmHWM", other.pid) is None
