"""Scores of naming classes against hand-computed values."""

import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.train import class_scores


def test_among_the_best_with_equal_scores():
    scores = jnp.array([[0.1, 0.5, 0.4], [0.3, 0.3, 0.4], [0.2, 0.2, 0.2]])
    labels = jnp.array([1, 1, 2])
    assert class_scores.among_best(scores, labels, 1).tolist() == [True, False, False]
    assert class_scores.among_best(scores, labels, 2).tolist() == [True, False, False]
    assert class_scores.among_best(scores, labels, 3).tolist() == [True, True, True]


def test_average_precision_by_hand():
    # Positives at ranks 1 and 3: (1/1 + 2/3) / 2.
    found = class_scores.average_precision(
        np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 1, 0], bool)
    )
    assert found == pytest.approx(5 / 6)
    # All equal is one threshold: the share of positives, whatever the order.
    for positive in ([1, 0, 0, 0], [0, 0, 0, 1]):
        found = class_scores.average_precision(np.ones(4), np.array(positive, bool))
        assert found == pytest.approx(0.25)
    assert np.isnan(class_scores.average_precision(np.ones(2), np.zeros(2, bool)))


def test_scores_of_a_split():
    scores = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    found = class_scores.class_scores(scores, [0, 1, 2])
    # Class 1 has its positive first among 0.3, 0.2, 0.2; the others, too.
    assert found == {"n": 3, "top1": pytest.approx(2 / 3), "top5": 1.0, "map": 1.0}
    # A network that says the same of everything gets no more than its luck.
    same = class_scores.class_scores(np.ones((4, 4)), [0, 1, 2, 3])
    assert same["top1"] == 0.25 and same["map"] == 0.25


def test_the_steps_scores_are_those_of_the_split():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(50, 8)).round(1), rng.integers(0, 8, 50)
    found = class_scores.class_scores(scores, labels)
    for name, number in (("top1", 1), ("top5", 5)):
        right = class_scores.among_best(
            jnp.asarray(scores), jnp.asarray(labels), number
        )
        assert float(right.mean()) == pytest.approx(found[name])
