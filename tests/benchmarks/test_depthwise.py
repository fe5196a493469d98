"""What `benchmarks/depthwise.py` compares."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks import depthwise
from rac_jax.encoders.strided_inflated import StridedInflated


def test_every_way_gives_the_same():
    calls = depthwise.convolutions(2, 7, 5, 5, 2, xla=True)
    found = {name: np.asarray(call()) for name, call in calls.items()}
    want = np.moveaxis(found.pop("torch"), 1, -1)
    assert sorted(found) == ["chosen", "xla"]
    for got in found.values():
        np.testing.assert_allclose(got, want, atol=1e-4)


def test_the_convolutions_of_a_network():
    found = depthwise.shapes(StridedInflated("efficientnet", 1.4, 1.8), 256)
    assert sum(found.values()) == 30
    # The first sees half the pixels, the last eight of stage 6 an eighth of those.
    assert found[4, 128, 32, 3, 1] == 1
    assert found[1, 8, 1632, 5, 1] == 7
