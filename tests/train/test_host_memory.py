"""Memory that steps free: kept or given back, by the pages that the system has to find anew."""

import platform

import pytest

from rac_jax.train import host_memory
from tests import own_process

PAGES = """
import resource, sys
if sys.argv[1] == "keep":
    from rac_jax.train import host_memory
    assert host_memory.keep_freed_memory()
    assert host_memory.keep_freed_memory()  # a second time does no harm
import jax, jax.numpy as jnp

@jax.jit
def step(x):
    return (x + 1) @ x[:8].T  # the sum needs memory of its own

x = jnp.ones((2048, 4096))  # 32 MiB
for _ in range(3):
    step(x).block_until_ready()
pages = []
for _ in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step(x).block_until_ready()
    pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(pages))  # what other threads of the process do comes and goes
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_steps_find_their_memory_again():
    found = {}
    for way in ("keep", "give back"):
        found[way] = int(own_process.output(PAGES, way))
    # At least 32 MiB of pages of 4 KiB, or of 2 MiB.
    assert found["give back"] >= 16
    assert found["keep"] < found["give back"] / 4


def test_nothing_is_done_with_another_library(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(
        host_memory.ctypes, "CDLL", lambda name: pytest.fail("was loaded")
    )
    assert not host_memory.keep_in_libc()
