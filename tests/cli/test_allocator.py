"""Freed memory stays with the process that asks for that, and with no other."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from rac_jax.cli.allocator import keep_freed_memory

def resident_mb():
    with open("/proc/self/status") as status:
        (line,) = [line for line in status if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024

if sys.argv[1] == "keep":
    keep_freed_memory()
before = resident_mb()
block = np.ones(2**26, np.uint8)
del block
print(resident_mb() - before)
"""


def kept_mb(how: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return float(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_freed_memory_is_kept():
    assert kept_mb("keep") > 60
    assert kept_mb("give back") < 10


def test_other_systems_are_left_alone(monkeypatch):
    from rac_jax.cli import allocator

    def never(name):
        raise AssertionError(name)

    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    monkeypatch.setattr(allocator.ctypes, "CDLL", never)
    allocator.keep_freed_memory()


def test_a_c_library_without_it_is_left_alone(monkeypatch):
    from rac_jax.cli import allocator

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(allocator.sys, "platform", "linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", missing)
    allocator.keep_freed_memory()
