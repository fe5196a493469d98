"""MAE and OBO as the papers define them, added over batches."""

import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.train import metrics

TRUE = jnp.asarray([4.0, 10.0, 0.0, 5.0])
PREDICTED = jnp.asarray([5.5, 9.0, 0.5, 6.49])
ALL = jnp.ones(4, bool)


def test_mae_is_relative_unrounded_and_over_positives():
    pair = metrics.mae(PREDICTED, TRUE, ALL)
    assert float(pair.weight) == 3
    assert float(pair.value()) == pytest.approx((1.5 / 4 + 1 / 10 + 1.49 / 5) / 3)


def test_obo_is_of_the_rounded_count():
    # 5.5 rounds to 6 (off by two), 0.5 to 1, 6.49 to 6.
    pair = metrics.obo(PREDICTED, TRUE, ALL)
    assert float(pair.value()) == pytest.approx(3 / 4)


def test_pairs_add_up_over_batches_of_different_size():
    mask = jnp.asarray([True, True, True, False])
    whole = metrics.obo(PREDICTED, TRUE, mask)
    parts = metrics.obo(PREDICTED[:1], TRUE[:1], mask[:1]) + metrics.obo(
        PREDICTED[1:], TRUE[1:], mask[1:]
    )
    assert float(whole.value()) == pytest.approx(2 / 3)
    np.testing.assert_allclose(parts.value(), whole.value())


def test_mean_count_of_negatives():
    assert float(metrics.mean_count(PREDICTED, TRUE == 0).value()) == 0.5


def test_nothing_gives_no_number():
    assert np.isnan(metrics.mae(PREDICTED, TRUE, ~ALL).value())


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.mae(PREDICTED, TRUE[:2], ALL)
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.obo(PREDICTED, TRUE[:2], ALL)
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.mean_count(PREDICTED, ALL[:2])
