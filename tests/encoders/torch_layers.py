"""Shared by parity tests: a PyTorch network's weights as our variables, and errors beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

LEAVES = {"weight": "scale", "bias": "bias"}
STATISTICS = {"running_mean": "mean", "running_var": "var"}


def variables_of(network, places):
    """Our variables of a PyTorch network; `places` pairs our layers with its."""
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    variables = {"params": {}, "batch_stats": {}}

    def put(kind, ours, leaf, value):
        place = variables[kind]
        for part in ours.split("/"):
            place = place.setdefault(part, {})
        place[leaf] = jnp.asarray(value)

    for ours, theirs in places.items():
        if f"{theirs}.running_mean" in state:
            for name, leaf in LEAVES.items():
                put("params", ours, leaf, state[f"{theirs}.{name}"])
            for name, leaf in STATISTICS.items():
                put("batch_stats", ours, leaf, state[f"{theirs}.{name}"])
        else:
            kernel = np.moveaxis(state[f"{theirs}.weight"], (1, 0), (-2, -1))
            put("params", ours, "kernel", kernel)
            if f"{theirs}.bias" in state:
                put("params", ours, "bias", state[f"{theirs}.bias"])
    used = len(jax.tree.leaves(variables))
    counters = sum(name.endswith("num_batches_tracked") for name in state)
    assert used == len(state) - counters
    return variables


def conv_norms(names):
    """Our conv and norm under each of our names, from (their conv, their norm)."""
    return {
        f"{ours}/{kind}".strip("/"): theirs
        for ours, pair in names.items()
        for kind, theirs in zip(("conv", "norm"), pair, strict=True)
    }


def normal(shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def to_torch(x):
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy())


def error_of(got, want):
    """Relative error of a channels-last array against a tensor."""
    want = np.moveaxis(want.detach().numpy(), 1, -1) if want.ndim > 1 else want.numpy()
    return np.linalg.norm(np.asarray(got) - want) / np.linalg.norm(want)
