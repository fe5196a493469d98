"""Means that are added over batches."""

import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.train import metrics

VALUES = jnp.asarray([1.0, 0.0, 1.0, 5.0])


def test_pairs_add_up_over_batches_of_different_size():
    mask = jnp.asarray([True, True, True, False])
    whole = metrics.mean(VALUES, mask)
    parts = metrics.mean(VALUES[:1], mask[:1]) + metrics.mean(VALUES[1:], mask[1:])
    assert float(whole.value()) == pytest.approx(2 / 3) and float(whole.weight) == 3
    np.testing.assert_allclose(parts.value(), whole.value())


def test_nothing_gives_no_number():
    assert np.isnan(metrics.mean(VALUES, jnp.zeros(4, bool)).value())


def test_what_is_masked_may_be_anything():
    values = VALUES.at[3].set(jnp.nan)
    found = metrics.mean(values, jnp.asarray([True, True, True, False]))
    assert float(found.value()) == pytest.approx(2 / 3)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.mean(VALUES, jnp.ones(2, bool))


def test_the_largest_share_is_of_the_parts_alone():
    parts = {metrics.part_name("a"): -1.0, metrics.part_name("b"): 3.0, "error": 100.0}
    assert metrics.largest_share(parts) == ("b", 0.75)
    assert metrics.largest_share({metrics.part_name("a"): 1.0, "error": 1.0}) is None
    assert metrics.largest_share(dict.fromkeys(parts, 0.0)) is None
