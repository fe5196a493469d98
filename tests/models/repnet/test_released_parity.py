"""The whole released procedure against PyTorch: the same stride, the count within 1e-3."""

import numpy as np
import pytest

from rac_jax.counting.counter import Counter
from rac_jax.models.repnet import FAMILY
from tests.models.repnet.test_network_parity import ours, reference

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import repnet_procedure

SIZE, LENGTH = 32, 16  # a small window: the arithmetic is the same


@pytest.fixture(scope="module")
def both():
    network = reference(32, 8, 64, LENGTH)
    with torch.no_grad():
        # Sure enough of something for scores about their thresholds.
        network.period_length_head[5].weight.mul_(4)
        network.periodicity_head[5].bias.fill_(1.5)
    module, variables = ours(network, 32, 0.125, LENGTH)
    config = {
        "name": "tiny",
        "family": "repnet",
        "preprocessing": {"size": SIZE, "resized_from": 2 * SIZE},
        "protocol": "released",
    }
    return network, Counter(FAMILY, module, variables, config, batch_sizes=(2,))


def video(frames, seed):
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.arange(frames) / rng.uniform(5, 20)
    x = np.arange(2 * SIZE)
    bright = 128 + 90 * np.sin(x[None, None] / 5 + 2 * np.sin(phase)[:, None, None])
    noise = rng.normal(0, 12, (frames, 2 * SIZE, 2 * SIZE, 3))
    whole = np.broadcast_to(bright[..., None], noise.shape) + noise
    return np.clip(whole, 0, 255).astype(np.uint8)


@pytest.mark.usefixtures("quick_compiling")
def test_same_stride_and_count(both):
    network, counter = both
    seen = []
    for place, frames in enumerate((5, 15, 16, 17, 20, 47, 48, 49, 63, 65, 130)):
        pixels = video(frames, place)
        stride, count = repnet_procedure.count(network, pixels, 1, length=LENGTH)
        found = counter.count(pixels, fps=25.0)
        assert found.details["stride"] == stride
        assert found.count == pytest.approx(count, abs=1e-3)
        seen.append((stride, count))
    # Not all alike: several strides, counts and zeros.
    assert len({stride for stride, _ in seen}) > 1
    assert sum(count > 0.5 for _, count in seen) >= 4
