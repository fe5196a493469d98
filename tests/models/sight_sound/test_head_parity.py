"""Heads and scaled vectors against PyTorch: random weights."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import paper, release
from benchmarks.torch_reference.layers import randomise
from rac_jax.models.sight_sound import heads
from rac_jax.models.sight_sound.network import normalised
from tests.encoders.torch_layers import normal, variables_of


def test_regression_head():
    network = randomise(paper.Head(48, 7))
    module = heads.RepetitionHead(7)
    variables = variables_of(network, {"counts": "counts", "classes": "classes"})
    x = normal((5, 48))
    got = module.apply({"params": variables["params"]}, x)
    with torch.inference_mode():
        want = network(torch.from_numpy(x))
    for have, wish in zip((got.count, got.counts, got.classes), want, strict=True):
        np.testing.assert_allclose(have, wish.numpy(), rtol=1e-4, atol=1e-5)


def test_expectation_head():
    """Units are class-major: 34 bins of the first class, then of the second."""
    network = torch.nn.ModuleDict(
        {"fc": torch.nn.Linear(48, 7 * 34), "fc2": torch.nn.Linear(48, 7)}
    )
    randomise(network)
    module = heads.RepetitionHead(7, "expectation", 2, 35)
    variables = variables_of(network, {"counts": "fc", "classes": "fc2"})
    x = normal((5, 48))
    got = module.apply({"params": variables["params"]}, x)
    with torch.inference_mode():
        logits = network["fc"](torch.from_numpy(x)).reshape(5, 7, 34)
        counts = logits.softmax(-1) @ torch.arange(2.0, 36.0)
        classes = network["fc2"](torch.from_numpy(x)).softmax(-1)
    np.testing.assert_allclose(got.counts, counts.numpy(), rtol=1e-4)
    np.testing.assert_allclose(got.classes, classes.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got.count, (counts * classes).sum(-1), rtol=1e-4)


def test_releases_vectors_are_scaled_as_ours():
    x = normal((4, 9))
    want = release.scaled_unit(torch.from_numpy(x), 14.0)
    np.testing.assert_allclose(normalised(x, 14.0), want.numpy(), rtol=1e-5)
