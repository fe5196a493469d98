"""The streams' loss term by term, against hand-computed values."""

import types

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from rac_jax.models.sight_sound import repetition_loss as repetitions

# Two clips, three classes: counts by class and class probabilities.
COUNTS = np.array([[2.0, 4.0, 6.0], [1.0, 3.0, 5.0]])
CLASSES = np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])
PREDICTED = np.array([3.5, 3.8])  # Eq. 3: sums of the products
TRUE = np.array([4.0, 2.0])


def settings(**changes):
    return ml_collections.ConfigDict(
        {
            "terms": ("squared", "relative", "diversity"),
            "squared": 1.0,
            "relative": 10.0,
            "diversity": "released",
            "diversity_weight": 10.0,
            "local": 0.0,
        }
        | changes
    )


def loss(labels=(0, 2), mask=(True, True), **changes):
    output = types.SimpleNamespace(
        count=jnp.asarray(np.sum(COUNTS * CLASSES, axis=1)),
        classes=jnp.asarray(CLASSES),
    )
    np.testing.assert_allclose(output.count, PREDICTED, rtol=1e-6)
    batch = {
        "count": jnp.asarray(TRUE),
        "label": jnp.asarray(labels),
        "mask": jnp.asarray(mask),
    }
    value, terms = repetitions.repetition_loss(settings(**changes), output, None, batch)
    return float(value), {name: float(term.value()) for name, term in terms.items()}


SQUARED = (0.5**2 + 1.8**2) / 2  # 1.745
RELATIVE = (0.5 / 4 + 1.8 / 2) / 2  # 0.5125
PRODUCT = 2 * (0.5 * 0.2 + 0.25 * 0.2 + 0.25 * 0.6)  # T1 · T2, both ways round: 0.6
NORMS = np.sqrt((CLASSES**2).sum(0))
COSINE = sum(
    CLASSES[:, q] @ CLASSES[:, j] / NORMS[q] / NORMS[j]
    for q, j in ((0, 1), (0, 2), (1, 2))
)


def test_equation_6_in_the_released_reading():
    value, terms = loss()
    assert value == pytest.approx(SQUARED + 10 * RELATIVE + 10 * PRODUCT, rel=1e-5)
    assert terms["squared"] == pytest.approx(1.745)
    assert terms["relative"] == pytest.approx(0.5125)
    assert terms["diversity"] == pytest.approx(0.6)


def test_equation_6_in_the_papers_reading():
    value, _ = loss(diversity="paper")
    assert value == pytest.approx(SQUARED + 10 * RELATIVE + 10 * COSINE, rel=1e-5)


def test_diversity_as_a_mean_over_pairs():
    assert loss(diversity="mean")[1]["diversity"] == pytest.approx(0.3)


def test_the_parts_of_the_loss_add_up_to_it():
    for terms in (("squared", "relative", "diversity"), ("squared",)):
        value, found = loss(terms=terms)
        parts = {k: v for k, v in found.items() if k.startswith("part_")}
        assert set(parts) == {f"part_{name}" for name in terms}
        assert sum(parts.values()) == pytest.approx(value)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (("squared",), SQUARED),
        (("squared", "diversity"), SQUARED + 10 * PRODUCT),
        (("diversity", "relative"), 10 * PRODUCT + 10 * RELATIVE),
        (("squared", "relative"), SQUARED + 10 * RELATIVE),
    ],
)
def test_the_rows_of_table_3(terms, expected):
    assert loss(terms=terms)[0] == pytest.approx(expected, rel=1e-5)


def test_action_labels_in_place_of_diversity():
    value, terms = loss(diversity="action_class")
    entropy = -(np.log(0.5) + np.log(0.6)) / 2
    assert terms["diversity"] == pytest.approx(entropy, rel=1e-5)
    assert value == pytest.approx(SQUARED + 10 * RELATIVE + 10 * entropy, rel=1e-5)
    # A clip without a label has no such term.
    alone = loss(labels=(-1, 2), diversity="action_class")[1]["diversity"]
    assert alone == pytest.approx(-np.log(0.6), rel=1e-5)


def test_masked_clips_do_not_count():
    value, _ = loss(mask=(True, False), terms=("squared", "relative"))
    assert value == pytest.approx(0.25 + 10 * 0.125, rel=1e-5)
    assert loss(mask=(False, False))[0] == 0.0


def test_the_local_term_by_hand():
    # Two steps for four frames: rates 1 and 0 a frame are 4 and 0 in repetitions per clip.
    timeline = jnp.asarray([[[1.0], [2.0]]])
    rates = jnp.asarray([[1.0, 1.0, 0.0, 0.0]])
    local = {"kernel": jnp.asarray([[1.0]]), "bias": jnp.asarray([0.5])}
    found = repetitions.local_term(timeline, local, rates, jnp.asarray([True]))
    assert float(found) == pytest.approx((abs(1.5 - 4) + abs(2.5 - 0)) / 2)


@pytest.mark.parametrize(
    ("field", "value"),
    [("terms", ("l1",)), ("terms", ()), ("diversity", "x")],
)
def test_wrong_settings_are_named(field, value):
    with pytest.raises(ValueError, match=f"loss.{field}: .* is not one of"):
        repetitions.check_loss(settings(**{field: value}))
