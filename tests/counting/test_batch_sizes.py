"""Batches are as large as the device's free memory allows."""

import jax
import pytest

from rac_jax.counting import batch_sizes
from rac_jax.counting.batch_sizes import choose_batch_sizes, fitting_sizes

GIB = 2**30
CLIP = 64 * 112 * 112 * batch_sizes.BYTES_PER_PIXEL


class Device:
    """An accelerator with so much memory."""

    def __init__(self, stats):
        self._stats = stats

    def memory_stats(self):
        return self._stats


@pytest.fixture
def on_gpu(monkeypatch):
    """A function that puts a GPU with the memory given in this process's place."""

    def put(stats):
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        monkeypatch.setattr(jax, "local_devices", lambda: [Device(stats)])

    return put


def test_what_fits():
    assert fitting_sizes(CLIP, 139 * GIB) == (128, 32, 8, 2)
    assert fitting_sizes(CLIP, 16 * GIB) == (32, 8, 2)
    assert fitting_sizes(CLIP, 0) == (2,)
    for free in (GIB, 8 * GIB, 80 * GIB):
        assert 2 * max(fitting_sizes(CLIP, free)) * CLIP < free  # two are in flight


def test_chosen_by_the_devices_free_memory(on_gpu):
    on_gpu({"bytes_limit": 20 * GIB, "bytes_in_use": 4 * GIB})
    assert choose_batch_sizes((4, 1), 64, 112) == fitting_sizes(CLIP, 16 * GIB)
    on_gpu({"bytes_limit": 20 * GIB, "bytes_in_use": 19 * GIB})
    assert choose_batch_sizes((4, 1), 64, 112) == fitting_sizes(CLIP, GIB)
    on_gpu(None)
    assert choose_batch_sizes((4, 1), 64, 112) == fitting_sizes(CLIP, 8 * GIB)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is done on CPU")
def test_on_cpu_the_callers():
    assert choose_batch_sizes((4, 1), 64, 112) == (4, 1)
