"""Flow is learned from scenes: shapes of the examples, and a network that learns one by heart."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rac_jax.encoders.gmflow import GMFlow
from rac_jax.ops.flow_loss import endpoint_error, sequence_loss
from rac_jax.scenes import SceneConfig
from rac_jax.train.scene_flow_clips import flow_clips

TINY = SceneConfig(
    frames=3, height=32, width=32, max_cycles=8, period=(6, 12), still=0.0, clean=True
)


def test_examples_are_as_the_network_gives_them():
    keys = jax.random.split(jax.random.key(0), 2)
    examples = jax.eval_shape(lambda keys: flow_clips(keys, TINY), keys)
    assert examples["frames"].shape == (2, 3, 32, 32, 3)
    assert examples["hidden"].shape == (2, 2, 2, 32, 32)
    network = GMFlow(width=0.125, blocks=1)
    variables = jax.eval_shape(network.init, keys[0], examples["frames"])
    found = jax.eval_shape(
        lambda v, x: network.apply(v, x, both=True, train=True),
        variables,
        examples["frames"],
    )
    batch, ways, *rest = examples["flow"].shape
    assert {step.shape for step in found.steps} == {(ways, batch, *rest)}


@pytest.mark.slow
def test_a_small_network_learns_a_scene_by_heart():
    examples = jax.jit(lambda keys: flow_clips(keys, TINY))(
        jax.random.split(jax.random.key(3), 1)
    )
    network = GMFlow(width=0.25, blocks=2)
    params = jax.jit(network.init)(jax.random.key(0), examples["frames"])
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(2e-3))

    target = jnp.moveaxis(examples["flow"], 1, 0)

    def loss(params):
        found = network.apply(params, examples["frames"], both=True, train=True)
        error = endpoint_error(found.steps[-1], target)
        return jnp.mean(sequence_loss(found.steps, target)), jnp.mean(error)

    @jax.jit
    def step(params, state):
        (_, error), slope = jax.value_and_grad(loss, has_aux=True)(params)
        change, state = optimiser.update(slope, state, params)
        return optax.apply_updates(params, change), state, error

    state, errors = optimiser.init(params), []
    for _ in range(200):
        params, state, error = step(params, state)
        errors.append(float(error))
    still = float(jnp.mean(jnp.linalg.norm(examples["flow"], axis=-1)))
    print(
        f"endpoint error {errors[0]:.2f}, then {errors[-1]:.2f}; of no motion {still:.2f}"
    )
    assert np.isfinite(errors).all() and still > 0.5
    assert errors[-1] < 0.5 * still and errors[-1] < 0.2 * errors[0]
