"""Errors and the loss of flow against values worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.ops.flow_loss import endpoint_error, sequence_loss


def test_endpoint_error():
    flow = np.float32([[3, 4], [1, 1]])
    np.testing.assert_allclose(endpoint_error(flow, np.zeros((2, 2))), [5, 2**0.5])
    with pytest.raises(AssertionError):
        endpoint_error(flow, np.zeros((1, 2)))


def test_later_predictions_weigh_more():
    target = jnp.zeros((1, 3, 2))
    steps = [jnp.full((1, 3, 2), size) for size in (1.0, 2.0, 4.0)]
    found = sequence_loss(steps, target, gamma=0.5)
    np.testing.assert_allclose(found, np.full((1, 3), 0.25 * 1 + 0.5 * 2 + 4))
    # The mean over both directions.
    sideways = [jnp.full((1, 1, 2), 3.0).at[..., 1].set(0.0)]
    np.testing.assert_allclose(sequence_loss(sideways, jnp.zeros((1, 1, 2))), [[1.5]])


def test_what_is_unknown_or_too_far_teaches_nothing():
    target = jnp.asarray([[np.nan, 0], [300, 300], [0, 399]], jnp.float32)

    def loss(step):
        return jnp.sum(sequence_loss([step], target))

    step = jnp.ones((3, 2))
    value, slope = jax.value_and_grad(loss)(step)
    assert float(value) == (1 + 398) / 2
    np.testing.assert_array_equal(slope[:2], np.zeros((2, 2)))
    assert np.abs(slope[2]).min() > 0


def test_no_predictions_are_refused():
    with pytest.raises(ValueError, match="steps: there are none"):
        sequence_loss([], jnp.zeros((1, 2)))
