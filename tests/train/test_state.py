"""Optimisers, schedules, and what is frozen."""

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
import torch

from rac_jax.train import state


def settings(**changes):
    return ml_collections.ConfigDict(
        {
            "name": "sgd",
            "learning_rate": 0.1,
            "momentum": 0.0,
            "weight_decay": 0.0,
            "clip": 0.0,
            "schedule": "constant",
            "warmup": 0,
        }
        | changes
    )


def descend(optimiser, start, gradients):
    params = {"w": jnp.asarray(start)}
    inner = optimiser.init(params)
    for gradient in gradients:
        updates, inner = optimiser.update({"w": jnp.asarray(gradient)}, inner, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params["w"])


@pytest.mark.parametrize(
    "name", ["sgd", "sgd with momentum", "sgd with decay", "adamw"]
)
def test_optimisers_are_pytorchs(name):
    changes = {
        "sgd": {},
        "sgd with momentum": {"momentum": 0.9},
        "sgd with decay": {"momentum": 0.9, "weight_decay": 0.01},
        "adamw": {"name": "adamw", "weight_decay": 0.01},
    }[name]
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=3), rng.normal(size=(6, 3))
    start, gradients = start.astype(np.float32), gradients.astype(np.float32)
    optimiser = state.make_optimiser(settings(**changes), 6, {"w": "trained"})
    theirs = torch.nn.Parameter(torch.tensor(start))
    if name == "adamw":
        reference = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.01)
    else:
        reference = torch.optim.SGD([theirs], lr=0.1, **changes)
    for gradient in gradients:
        theirs.grad = torch.tensor(gradient)
        reference.step()
    ours = descend(optimiser, start, gradients)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=2e-6)


def test_the_gradient_is_clipped_by_its_norm():
    optimiser = state.make_optimiser(settings(clip=1.0), 1, {"w": "trained"})
    moved = descend(optimiser, np.zeros(2, np.float32), [[3.0, 4.0]])
    np.testing.assert_allclose(moved, [-0.06, -0.08], rtol=1e-6)


def test_schedules():
    cosine = state.learning_rate(settings(schedule="cosine", warmup=2), 10)
    expected = [0, 0.05, 0.1, 0.05 * (1 + np.cos(np.pi / 8)), 0.05, 0]
    found = [float(cosine(step)) for step in (0, 1, 2, 3, 6, 10)]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    linear = state.learning_rate(settings(schedule="linear"), 10)
    assert float(linear(5)) == pytest.approx(0.05)
    assert float(state.learning_rate(settings(), 10)(9)) == pytest.approx(0.1)
    falling = state.learning_rate(settings(schedule="falling", falls=(0.5, 0.8)), 10)
    found = [float(falling(step)) for step in (0, 4, 5, 7, 8)]
    np.testing.assert_allclose(found, [0.1, 0.1, 0.01, 0.01, 0.001], rtol=1e-5)


@pytest.mark.parametrize("warmup", [0, 1, 3, 50])
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_schedules_are_optaxs(warmup, steps):
    """Bit for bit what optax has under one name, but for what it does without a warm-up."""
    begins = min(warmup, steps - 1)
    theirs = optax.warmup_cosine_decay_schedule(
        0.0, 2e-3, begins, begins + max(steps - begins, 1)
    )
    changes = {"learning_rate": 2e-3, "warmup": warmup}
    ours = state.learning_rate(settings(schedule="cosine", **changes), steps)
    for step in map(np.int32, range(steps + 2)):
        assert float(ours(step)) == float(theirs(step))
    if begins:
        ours = state.learning_rate(settings(**changes), steps)
        theirs = optax.warmup_constant_schedule(0.0, 2e-3, begins)
        for step in map(np.int32, range(steps + 2)):
            assert float(ours(step)) == float(theirs(step))


def test_unknown_names_are_listed():
    with pytest.raises(ValueError, match="optimiser.schedule: 'steps' is not one of"):
        state.learning_rate(settings(schedule="steps"), 3)
    with pytest.raises(ValueError, match="optimiser.name: 'lion' is not one of"):
        state.make_optimiser(settings(name="lion"), 3, {"w": "trained"})


def test_only_what_is_trained_moves_and_has_a_state():
    params = {
        "encoder": {
            "stage3": {"kernel": jnp.ones(2)},
            "stage4": {"kernel": jnp.ones(2)},
        },
        "head": {"bias": jnp.ones(1)},
        "encoder_b": {"kernel": jnp.ones(1)},
    }
    labels = state.trained_paths(params, ("encoder/stage4", "head"))
    optimiser = state.make_optimiser(
        settings(momentum=0.9, weight_decay=0.1), 1, labels
    )
    inner = optimiser.init(params)
    assert sum(leaf.size for leaf in jax.tree.leaves(inner) if leaf.ndim) == 3
    gradients = jax.tree.map(jnp.ones_like, params)
    updates, _ = optimiser.update(gradients, inner, params)
    assert not np.any(updates["encoder"]["stage3"]["kernel"])
    assert not np.any(updates["encoder_b"]["kernel"])
    assert np.all(updates["encoder"]["stage4"]["kernel"] < 0)
    assert np.all(updates["head"]["bias"] < 0)


def test_a_prefix_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no parameter is under 'enc' .encoder."):
        state.trained_paths({"encoder": {"kernel": jnp.ones(1)}}, ("enc",))


def test_rates_by_path_are_pytorchs_parameter_groups():
    rates = (("^reader/", 10.0), ("/bias$", 2.0))
    changes = {"name": "adamw", "weight_decay": 0.01, "rates": rates}
    paths = {
        "eye/kernel": 1.0,
        "eye/bias": 2.0,
        "reader/kernel": 10.0,
        "reader/bias": 20.0,
    }
    rng = np.random.default_rng(0)
    values = {path: rng.normal(size=3).astype(np.float32) for path in paths}
    theirs = {
        path: torch.nn.Parameter(torch.tensor(value)) for path, value in values.items()
    }
    reference = torch.optim.AdamW(
        [
            {"params": [theirs[path]], "lr": 0.01 * factor}
            for path, factor in paths.items()
        ],
        weight_decay=0.01,
    )
    tree = flax.traverse_util.unflatten_dict(values, sep="/")
    labels = state.trained_paths(tree, ("eye", "reader"))
    chosen = settings(learning_rate=0.01, **changes)
    optimiser = state.make_optimiser(chosen, 4, labels)
    inner = optimiser.init(tree)
    for _ in range(4):
        gradients = {path: rng.normal(size=3).astype(np.float32) for path in paths}
        for path, gradient in gradients.items():
            theirs[path].grad = torch.tensor(gradient)
        reference.step()
        slopes = flax.traverse_util.unflatten_dict(gradients, sep="/")
        updates, inner = optimiser.update(slopes, inner, tree)
        tree = optax.apply_updates(tree, updates)
    found = flax.traverse_util.flatten_dict(tree, sep="/")
    for path, value in theirs.items():
        np.testing.assert_allclose(found[path], value.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("rate", "message"), [(("(", 2.0), "rates: '\\('"), (("a", -1.0), "-1.0 of 'a' is")]
)
def test_wrong_rates_are_named(rate, message):
    with pytest.raises(ValueError, match=message):
        state.make_optimiser(settings(rates=(rate,)), 1, {})
