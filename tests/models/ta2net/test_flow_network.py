"""A network of flow inside of TA2Net: it sees what the network alone does, and learns nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.encoders.gmflow import GMFlow
from rac_jax.models.ta2net import FAMILY, kinematics

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compiling")]
TINY = {"width": 0.0625, "blocks": 1}
FRAMES = 4


def test_its_flow_is_that_of_the_network_alone(monkeypatch):
    monkeypatch.setitem(kinematics.NETWORKS, "gmflow_small", TINY)
    network = FAMILY.network(
        encoder="lean", width=0.0625, frames=FRAMES, flow="gmflow_small", beside=True
    )
    variables = FAMILY.initialise(network, jax.random.key(0))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, FRAMES, 32, 32, 3))
    clips = jnp.asarray(pixels / 127.5 - 1, jnp.float32)

    def loss(params, clips, flow):
        found = network.apply({**variables, "params": params}, clips, flow)
        return jnp.sum(jnp.square(found.logits[..., 1]))

    def alone(params, pixels):
        apart = {"params": params["flow_network"]}
        found = GMFlow(**TINY).apply(apart, pixels, both=True)
        return kinematics.at_every_frame(found.forward, found.backward)

    params = variables["params"]
    flow = jax.jit(alone)(params, jnp.asarray(pixels, jnp.float32))
    assert [one.shape for one in flow] == 2 * [(1, FRAMES, 32, 32, 2)]
    assert float(jnp.abs(flow[0]).max()) > 1e-3
    slopes = {}
    for name, given in (("made", None), ("given", flow)):
        value, slopes[name] = jax.jit(jax.value_and_grad(loss))(params, clips, given)
        slopes[name]["value"] = value
    for name, part in slopes["made"].items():
        if name == "flow_network":
            assert not any(np.any(leaf) for leaf in jax.tree.leaves(part))
            continue
        for ours, theirs in zip(
            jax.tree.leaves(part), jax.tree.leaves(slopes["given"][name]), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    # Another flow is seen.
    other = jax.jit(loss)(params, clips, jax.tree.map(lambda x: 2 * x + 1, flow))
    assert abs(float(other - slopes["made"]["value"])) > 1e-6


def test_what_is_stored_is_gone_on_from():
    network = FAMILY.network(
        encoder="lean", width=0.0625, frames=FRAMES, flow="tv_l1_quick", kept=True
    )
    variables = FAMILY.initialise(network, jax.random.key(0))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, FRAMES, 32, 32, 3))
    clips = jnp.asarray(pixels / 127.5 - 1, jnp.bfloat16).astype(jnp.float32)
    apply = jax.jit(network.apply, static_argnames="method")
    seen = apply({}, clips, method="features")
    assert [one.shape[-1] for one in seen] == [3, 2, 2]
    assert all(one.dtype == jnp.bfloat16 for one in seen)
    found = apply(variables, seen, method="from_features")
    flow = tuple(one.astype(jnp.float32) for one in seen[1:])
    wanted = apply(variables, clips, flow)
    np.testing.assert_allclose(found.logits, wanted.logits, rtol=1e-4, atol=1e-5)
