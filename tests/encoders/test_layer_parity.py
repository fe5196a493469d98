"""Each kind of layer against PyTorch: random weights, statistics that are not trivial."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import r2plus1d, resnet, s3d
from benchmarks.torch_reference.layers import randomise
from rac_jax.encoders import layers
from rac_jax.encoders.r2plus1d import FactoredBlock
from rac_jax.encoders.resnet import Block
from rac_jax.encoders.s3d import EPSILON, MIXED, Mixed
from tests.encoders.torch_layers import (
    conv_norms,
    error_of,
    normal,
    to_torch,
    variables_of,
)

LIMIT = 1e-5

CONVS = {
    "1x7x7 s2": ((2, 3, 13, 11, 3), (1, 7, 7), (1, 2, 2), (0, 3, 3)),
    "7x1x1 s2": ((2, 9, 5, 4, 6), (7, 1, 1), (2, 1, 1), (3, 0, 0)),
    "1x3x3": ((2, 3, 6, 7, 6), (1, 3, 3), (1, 1, 1), (0, 1, 1)),
    "3x1x1 s2": ((2, 7, 6, 5, 6), (3, 1, 1), (2, 1, 1), (1, 0, 0)),
    "1x1x1 s2": ((2, 7, 6, 5, 6), (1, 1, 1), (2, 2, 2), (0, 0, 0)),
    "3x3 s2": ((2, 9, 12, 6), (3, 3), (2, 2), (1, 1)),
    "7x7 s2": ((2, 17, 20, 1), (7, 7), (2, 2), (3, 3)),
}


@pytest.mark.parametrize("case", CONVS.values(), ids=CONVS)
def test_convolution_and_normalisation(case):
    shape, size, strides, padding = case
    video = len(size) == 3
    conv = (torch.nn.Conv3d if video else torch.nn.Conv2d)(
        shape[-1], 8, size, strides, padding, bias=False
    )
    norm = (torch.nn.BatchNorm3d if video else torch.nn.BatchNorm2d)(8, eps=EPSILON)
    network = randomise(torch.nn.Sequential(conv, norm, torch.nn.ReLU()))
    module = layers.ConvNorm(8, size, strides, padding, epsilon=EPSILON)
    variables = variables_of(network, {"conv": "0", "norm": "1"})
    x = normal(shape)
    assert (
        error_of(module.apply(variables, x, train=False), network(to_torch(x))) < LIMIT
    )


def test_folding_changes_nothing():
    """At inference the convolution with the statistics in it is the one with them after it."""
    module = layers.ConvNorm(12, (3, 3, 3), (1, 2, 2), (1, 1, 1), relu=False)
    x = normal((2, 4, 9, 8, 5))
    rng = np.random.default_rng(1)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(0.5, 2.0, leaf.shape), leaf.dtype),
        module.init(jax.random.key(0), x, train=False),
    )
    got = module.apply(variables, x, train=False)
    params, stats = variables["params"], variables["batch_stats"]["norm"]
    conv = layers.Conv(12, (3, 3, 3), (1, 2, 2), (1, 1, 1))
    plain = conv.apply({"params": params["conv"]}, x)
    plain = (plain - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    plain = plain * params["norm"]["scale"] + params["norm"]["bias"]
    np.testing.assert_allclose(got, plain, rtol=1e-4, atol=1e-4)
    low = module.clone(dtype="bfloat16").apply(variables, x, train=False)
    assert low.dtype == jnp.bfloat16
    assert np.abs(low - plain).max() < 0.03 * np.abs(plain).max()


def test_training_mode_statistics():
    """The batch normalises itself; the running mean takes over a tenth of the batch's."""
    network = randomise(
        torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.BatchNorm2d(8)
        )
    )
    variables = variables_of(network, {"conv": "0", "norm": "1"})
    module = layers.ConvNorm(8, (3, 3), (1, 1), (0, 0), relu=False)
    x = normal((4, 30, 31, 3))
    got, updates = module.apply(variables, x, train=True, mutable=["batch_stats"])
    want = network.train()(to_torch(x))
    assert error_of(got, want) < LIMIT
    after = updates["batch_stats"]["norm"]
    np.testing.assert_allclose(after["mean"], network[1].running_mean, rtol=1e-4)
    # PyTorch keeps the unbiased variance of 4 · 28 · 29 values.
    np.testing.assert_allclose(after["var"], network[1].running_var, rtol=1e-3)


@pytest.mark.parametrize("shape", [(2, 5, 7, 6, 192), (1, 4, 3, 9, 192)])
def test_inception_block(shape):
    network = randomise(s3d.Mixed(*s3d.MIXED_3B))
    names = {
        "branch0": ("branch0.0", "branch0.1"),
        "branch3": ("branch3.1.0", "branch3.1.1"),
    }
    for branch in ("branch1", "branch2"):
        names[f"{branch}_reduce"] = (f"{branch}.0.0", f"{branch}.0.1")
        names[f"{branch}/spatial"] = (f"{branch}.1.0.0", f"{branch}.1.0.1")
        names[f"{branch}/temporal"] = (f"{branch}.1.1.0", f"{branch}.1.1.1")
    variables = variables_of(network, conv_norms(names))
    x = normal(shape)
    got = jax.jit(lambda x: Mixed(MIXED["mixed_3b"]).apply(variables, x, train=False))(
        x
    )
    assert error_of(got, network(to_torch(x))) < LIMIT


@pytest.mark.parametrize("before,stride", [(32, 1), (32, 2), (24, 1)])
def test_factored_block(before, stride):
    network = randomise(r2plus1d.Block(before, 32, stride))
    names = {}
    for conv in ("conv1", "conv2"):
        names[f"{conv}/spatial"] = (f"{conv}.0.0", f"{conv}.0.1")
        names[f"{conv}/temporal"] = (f"{conv}.0.3", f"{conv}.1")
    if network.downsample is not None:
        names["downsample"] = ("downsample.0", "downsample.1")
    variables = variables_of(network, conv_norms(names))
    x = normal((2, 5, 7, 6, before))
    got = jax.jit(lambda x: FactoredBlock(32, stride).apply(variables, x, train=False))(
        x
    )
    assert error_of(got, network(to_torch(x))) < LIMIT


@pytest.mark.parametrize("before,stride", [(32, 1), (32, 2), (24, 1)])
def test_residual_block(before, stride):
    network = randomise(resnet.Block(before, 32, stride))
    names = {"conv1": ("conv1", "bn1"), "conv2": ("conv2", "bn2")}
    if network.downsample is not None:
        names["downsample"] = ("downsample.0", "downsample.1")
    variables = variables_of(network, conv_norms(names))
    x = normal((2, 9, 7, before))
    got = jax.jit(lambda x: Block(32, stride).apply(variables, x, train=False))(x)
    assert error_of(got, network(to_torch(x))) < LIMIT
