"""RepNet of both releases against PyTorch, and its layers' names."""

import functools

import flax.traverse_util
import jax
import numpy as np
import pytest

from rac_jax.interop.attention import join_attention, split_attention
from rac_jax.models.repnet import FAMILY
from rac_jax.models.repnet.conversion import RELEASES, torch_table

torch = pytest.importorskip("torch", reason="needs PyTorch")

from benchmarks.torch_reference import repnet
from benchmarks.torch_reference.layers import randomise

LIMIT = 1e-4


def reference(periods, base=64, embedding=512, frames=64):
    """The reference with random weights."""
    positions = RELEASES[periods]["positions"]
    network = repnet.RepNet(periods, positions, base, embedding, frames)
    network = randomise(network)
    with torch.no_grad():
        for head in (network.period_length_head, network.periodicity_head):
            head[0].pos_encoding.normal_(0, 0.3)
            attention = head[0].transformer_layer.self_attn
            attention.in_proj_weight.normal_(0, 0.5 * embedding**-0.5)
            attention.in_proj_bias.normal_(0, 0.1)
        # Distances of the size that the softmax's temperature is made for.
        network.temporal_conv[1].weight.mul_(1.6 * embedding**-0.5)
    return network


def ours(network, periods, width=1.0, frames=64):
    """Our network with the reference's weights."""
    arguments = RELEASES[periods] | {"width": width, "frames": frames}
    module = FAMILY.network(**arguments)
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    flat = torch_table(module).to_jax(split_attention(state))
    return module, flax.traverse_util.unflatten_dict(flat, sep="/")


def error(got, want):
    want = want.numpy()
    return float(np.linalg.norm(np.asarray(got) - want) / np.linalg.norm(want))


@pytest.mark.parametrize(
    ("periods", "width", "frames", "size"),
    [
        (32, 0.125, 64, (33, 47)),
        (64, 0.125, 24, (32, 32)),
        pytest.param(32, 1.0, 64, (112, 112), marks=pytest.mark.slow),
        pytest.param(64, 1.0, 64, (112, 112), marks=pytest.mark.slow),
    ],
)
def test_whole_network(periods, width, frames, size):
    network = reference(periods, int(64 * width), int(512 * width), frames)
    module, variables = ours(network, periods, width, frames)
    x = np.random.default_rng(0).uniform(-1, 1, (1, frames, *size, 3))
    # Neighbouring frames are alike, so that similarities are no identity.
    x = np.cumsum(0.1 * x, axis=1).astype(np.float32)
    with torch.inference_mode():
        want = network(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
    got = jax.jit(functools.partial(module.apply, variables))(x)
    assert error(got.periods, want[0]) < LIMIT
    assert error(got.periodicity, want[1]) < LIMIT
    # It says something, and the similarity is neither flat nor an identity.
    assert want[0].std() > 0.05
    assert 1.5 / frames < float(np.asarray(got.similarity).max(-1).mean()) < 0.99


def test_written_for_pytorch_it_is_the_same():
    network = reference(32, 8, 64, 16)
    module, variables = ours(network, 32, 0.125, 16)
    written = FAMILY.to_torch(module, variables)["model.pt"]
    again = torch_table(module).to_jax(split_attention(written))
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    assert again.keys() == flat.keys()
    for path, value in flat.items():
        np.testing.assert_array_equal(again[path], value)
    state = {name: torch.from_numpy(value) for name, value in written.items()}
    network.load_state_dict(state)


def test_attention_is_split_and_joined():
    state = {
        "a.self_attn.in_proj_weight": np.arange(12.0).reshape(6, 2),
        "a.self_attn.in_proj_bias": np.arange(6.0),
        "b.weight": np.ones(2),
    }
    split = split_attention(state)
    np.testing.assert_array_equal(split["a.self_attn.key.bias"], [2, 3])
    joined = join_attention(split)
    assert joined.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(joined[name], value)
