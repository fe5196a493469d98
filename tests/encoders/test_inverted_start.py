"""First weights that are standardised on examples."""

import jax
import numpy as np
import pytest

from rac_jax.encoders import inverted_residuals
from rac_jax.encoders.inverted_start import CHANGES, seeing_changes, standardised
from rac_jax.encoders.strided_inflated import StridedInflated

pytestmark = pytest.mark.usefixtures("quick_compiling")


def test_every_channel_has_a_mean_of_0_and_its_variance():
    network = StridedInflated("mobilenet", 0.1, 0.5, head=16)
    rng = np.random.default_rng(0)
    # Nearly the same in all of them, as pictures of one camera are.
    clips = 0.5 + 0.05 * rng.normal(size=(2, 8, 16, 16, 3)).astype(np.float32)
    variables = jax.jit(network.init)(jax.random.key(0), clips[:1, :4])
    before = jax.tree.map(np.shape, variables)
    found = standardised(network, dict(variables), clips)
    assert jax.tree.map(np.shape, found) == before

    @jax.jit
    def outputs(variables):
        return network.apply(
            variables, clips, capture_intermediates=True, mutable=["intermediates"]
        )[1]["intermediates"]

    layers = outputs(found)
    seen = 0
    for entry, block in enumerate(network.blocks, start=1):
        result = np.asarray(layers[f"entry{entry}"]["project"]["__call__"][0])
        mean, variance = result.mean((0, 1, 2)), result.var((0, 1, 2))
        wanted = inverted_residuals.ADDED if block.adds else 1
        np.testing.assert_allclose(mean, 0, atol=0.02)
        # Less where a channel hardly changes.
        assert (variance < 1.01 * wanted).all() and variance.mean() > 0.8 * wanted
        seen += block.adds
    assert seen
    # Without it the last features hardly change from frame to frame.
    spread = [
        np.asarray(layers["__call__"][0]).std(1).mean()
        for layers in (outputs(variables), layers)
    ]
    assert spread[1] > 5 * spread[0]


def test_every_second_filter_of_a_first_convolution_sees_changes():
    drawn = np.random.default_rng(0).normal(size=(3, 3, 9, 8)).astype(np.float32)
    oldest, middle, newest = np.split(np.asarray(seeing_changes(drawn)), 3, axis=2)
    np.testing.assert_array_equal(
        np.concatenate([oldest, middle, newest], 2)[..., ::2], drawn[..., ::2]
    )
    np.testing.assert_array_equal(newest[..., 1::2], CHANGES * drawn[:, :, 6:, 1::2])
    # Of what stands still these say nothing; the changes are those of one frame and of two.
    np.testing.assert_array_equal((oldest + middle + newest)[..., 1::2], 0)
    assert not oldest[..., 1::4].any() and not middle[..., 3::4].any()
