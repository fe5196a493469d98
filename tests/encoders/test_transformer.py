"""The transformer layer against PyTorch's, both orders of normalisation."""

import jax
import numpy as np
import pytest

from rac_jax.encoders.transformer import TransformerLayer, sinusoids

torch = pytest.importorskip("torch", reason="needs PyTorch")


def variables_of(layer):
    """Our variables with the weights of a PyTorch layer."""
    state = {name: value.detach().numpy() for name, value in layer.named_parameters()}

    def dense(weight, bias):
        return {"kernel": weight.T, "bias": bias}

    def norm(name):
        return {"scale": state[f"{name}.weight"], "bias": state[f"{name}.bias"]}

    parts = zip(
        ("query", "key", "value"),
        np.split(state["self_attn.in_proj_weight"], 3),
        np.split(state["self_attn.in_proj_bias"], 3),
        strict=True,
    )
    attention = {name: dense(weight, bias) for name, weight, bias in parts}
    attention["out"] = dense(
        state["self_attn.out_proj.weight"], state["self_attn.out_proj.bias"]
    )
    return {
        "params": {
            "attention": attention,
            "norm1": norm("norm1"),
            "norm2": norm("norm2"),
            "dense1": dense(state["linear1.weight"], state["linear1.bias"]),
            "dense2": dense(state["linear2.weight"], state["linear2.bias"]),
        }
    }


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_computes_what_pytorch_does(norm_first, activation):
    torch.manual_seed(0)
    theirs = torch.nn.TransformerEncoderLayer(
        24, 4, 40, activation=activation, norm_first=norm_first, batch_first=True
    ).eval()
    with torch.no_grad():
        for value in theirs.parameters():
            value.normal_(0, 0.3)
    ours = TransformerLayer(4, 40, norm_first=norm_first, activation=activation)
    x = np.random.default_rng(0).normal(size=(2, 11, 24)).astype(np.float32)
    want = theirs(torch.from_numpy(x)).detach().numpy()
    got = ours.apply(variables_of(theirs), x)
    assert np.linalg.norm(got - want) / np.linalg.norm(want) < 1e-5


def test_drops_in_training_only():
    layer = TransformerLayer(2, 8, dropout=0.5)
    x = np.random.default_rng(0).normal(size=(1, 5, 8)).astype(np.float32)
    variables = layer.init(jax.random.key(0), x)
    still = layer.apply(variables, x)
    np.testing.assert_array_equal(still, layer.apply(variables, x))
    keys = [{"dropout": jax.random.key(seed)} for seed in (1, 2)]
    one, other = (layer.apply(variables, x, train=True, rngs=key) for key in keys)
    assert np.abs(one - other).max() > 1e-2


def test_refuses_what_cannot_be():
    x = np.zeros((1, 5, 8), np.float32)
    with pytest.raises(ValueError, match="heads: 3 do not divide a width of 8"):
        TransformerLayer(3, 8).init(jax.random.key(0), x)
    with pytest.raises(ValueError, match="activation: 'tanh' is not one of relu, gelu"):
        TransformerLayer(2, 8, activation="tanh").init(jax.random.key(0), x)


def test_sinusoids_against_the_formula():
    table = sinusoids(5, 6)
    want = [
        [
            (np.cos if c % 2 else np.sin)(t / 10000 ** (2 * (c // 2) / 6))
            for c in range(6)
        ]
        for t in range(5)
    ]
    np.testing.assert_allclose(table, want, atol=1e-6)
    assert sinusoids(3, 5).shape == (3, 5)
