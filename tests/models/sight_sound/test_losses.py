"""Every equation against a value worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.models.sight_sound import losses

TRUE = jnp.asarray([2.0, 4.0, 10.0, 0.0])
PREDICTED = jnp.asarray([3.0, 4.5, 6.0, 0.5])
ALL = jnp.ones(4, bool)
NOT_THIRD = jnp.asarray([True, True, False, True])


def test_squared_error_is_the_l2_term_of_equation_4():
    np.testing.assert_allclose(
        losses.squared_error(PREDICTED, TRUE, ALL), [1.0, 0.25, 16.0, 0.25]
    )
    np.testing.assert_allclose(
        losses.squared_error(PREDICTED, TRUE, NOT_THIRD), [1.0, 0.25, 0.0, 0.25]
    )


def test_relative_error_is_the_second_term_of_equation_4_and_equation_11():
    np.testing.assert_allclose(
        losses.relative_error(PREDICTED, TRUE, ALL), [0.5, 0.125, 0.4, 0.5]
    )
    np.testing.assert_allclose(
        losses.relative_error(PREDICTED, TRUE, NOT_THIRD, floor=0.25),
        [0.5, 0.125, 0.0, 2.0],
    )


def test_class_cosine_is_equation_5():
    # Columns (classes) over two samples: (3, 4), (4, 3), (0, 1) up to scale.
    classes = jnp.asarray([[0.3, 0.4, 0.0], [0.4, 0.3, 0.1]])
    # cos: (12 + 12) / 25, 4 / 5, 3 / 5.
    expected = 24 / 25 + 4 / 5 + 3 / 5
    both = jnp.ones(2, bool)
    assert losses.class_cosine_diversity(classes, both) == pytest.approx(expected, 1e-5)
    # One sample alone: all classes point the same way, but the third is zero.
    first = jnp.asarray([True, False])
    assert losses.class_cosine_diversity(classes, first) == pytest.approx(1.0, 1e-4)


def test_sample_product_is_the_released_form():
    classes = jnp.asarray([[0.5, 0.5], [1.0, 0.0], [0.2, 0.8]])
    # Products of pairs: 0.5, 0.5, 0.2; each counted both ways.
    three = jnp.ones(3, bool)
    assert losses.sample_product_diversity(classes, three) == pytest.approx(2.4, 1e-5)
    two = jnp.asarray([True, True, False])
    assert losses.sample_product_diversity(classes, two) == pytest.approx(1.0, 1e-5)


def test_the_mean_over_pairs_is_the_same_however_a_batch_is_cut():
    classes = jnp.asarray([[0.5, 0.5], [1.0, 0.0], [0.2, 0.8], [0.3, 0.7]])

    def term(*rows):
        part = classes[jnp.asarray(rows)]
        return float(losses.DIVERSITIES["mean"](part, jnp.ones(len(rows), bool)))

    whole = term(0, 1, 2, 3)
    # On average over all ways to cut it into two pieces.
    ways = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
    cut = np.mean([[term(*piece) for piece in way] for way in ways])
    assert cut == pytest.approx(whole, rel=1e-5)
    # A sample alone has no pair; what is masked is in none.
    assert 0.0 < whole < 1.0 and term(0) == 0.0
    masked = jnp.asarray([True, True, False, False])
    assert float(losses.mean_sample_product(classes, masked)) == pytest.approx(0.5)


def test_margin_ranking_is_equation_8():
    negative, positive = jnp.asarray([1.0, 0.0, 5.0]), jnp.asarray([2.0, 4.0, 1.0])
    mask = jnp.asarray([True, True, False])
    np.testing.assert_allclose(
        losses.margin_ranking(negative, positive, mask, 2.9), [1.9, 0.0, 0.0]
    )


@pytest.mark.parametrize("loss", [losses.squared_error, losses.relative_error])
def test_shapes_must_agree(loss):
    with pytest.raises(ValueError, match="shapes differ"):
        loss(PREDICTED, TRUE[:, None], ALL)
    with pytest.raises(ValueError, match="shapes differ"):
        losses.margin_ranking(PREDICTED, TRUE, ALL[:2], 1.0)
    with pytest.raises(ValueError, match="shapes differ"):
        losses.class_cosine_diversity(jnp.ones((3, 2)), ALL)
