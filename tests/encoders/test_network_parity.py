"""Whole encoders against PyTorch: relative error of what comes out, odd sizes too."""

import functools

import flax.traverse_util
import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import i3d, r2plus1d, resnet, resnet50, s3d
from benchmarks.torch_reference.layers import randomise
from rac_jax.encoders import Encoder
from rac_jax.encoders.conversion import encoder_table

LIMIT = 1e-4
NETWORKS = {
    "i3d": i3d.I3D,
    "s3d": s3d.S3D,
    "r2plus1d18": r2plus1d.R2Plus1D18,
    "resnet18": resnet.ResNet18,
}


def state_of(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


@functools.cache
def networks(encoder):
    """A PyTorch network with random weights, and our model with the same."""
    network = randomise(NETWORKS[encoder]())
    module = Encoder(encoder).network()
    flat = encoder_table(encoder, module).to_jax(state_of(network))
    variables = flax.traverse_util.unflatten_dict(flat, sep="/")
    return network, jax.jit(functools.partial(module.apply, variables))


def relative_error(got, want):
    want = want.numpy()
    if want.ndim > 1:
        want = np.moveaxis(want, 1, -1)
    return float(np.linalg.norm(np.asarray(got) - want) / np.linalg.norm(want))


def check(encoder, shape):
    network, apply = networks(encoder)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with torch.inference_mode():
        want = network(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
    got = apply(x)
    errors = {
        "stage3": relative_error(got.stage3, want.stage3),
        "features": relative_error(got.features, want.features),
    }
    print(encoder, shape, errors)
    assert max(errors.values()) < LIMIT
    # The network says something: its features are alive and differ.
    assert np.std(want.features.numpy()) > 0.05


@pytest.mark.parametrize("shape", [(1, 16, 56, 60, 3), (2, 7, 33, 49, 3)])
def test_s3d(shape):
    check("s3d", shape)


@pytest.mark.usefixtures("quick_compiling")
@pytest.mark.parametrize(
    "shape",
    [pytest.param((1, 18, 56, 50, 3), marks=pytest.mark.slow), (1, 9, 33, 38, 3)],
)
def test_i3d(shape):
    check("i3d", shape)


@pytest.mark.parametrize(
    "shape",
    [pytest.param((1, 16, 56, 60, 3), marks=pytest.mark.slow), (2, 5, 25, 31, 3)],
)
def test_r2plus1d18(shape):
    check("r2plus1d18", shape)


@pytest.mark.parametrize(
    "shape", [pytest.param((1, 257, 500, 1), marks=pytest.mark.slow), (3, 65, 77, 1)]
)
def test_resnet18(shape):
    check("resnet18", shape)


@pytest.mark.usefixtures("quick_compiling")
def test_resnet50():
    """To its third stage; the fourth is read and left out."""
    network = randomise(resnet50.ResNet50(10))
    module = Encoder("resnet50").network()
    flat = encoder_table("resnet50", module).to_jax(state_of(network))
    variables = flax.traverse_util.unflatten_dict(flat, sep="/")
    x = np.random.default_rng(0).normal(size=(2, 47, 60, 3)).astype(np.float32)
    with torch.inference_mode():
        want = network(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
    got = jax.jit(module.apply)(variables, x)
    assert got.shape == (2, 3, 4, 1024)
    assert relative_error(got, want) < LIMIT
    assert np.std(want.numpy()) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["s3d", "r2plus1d18"])
@pytest.mark.parametrize("shape", [(1, 64, 112, 112, 3), (1, 50, 90, 98, 3)])
def test_clips_of_full_size(encoder, shape):
    check(encoder, shape)
