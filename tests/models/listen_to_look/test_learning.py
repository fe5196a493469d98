"""What Listen to Look learns by: losses against values worked out by hand, batches, optimisers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rac_jax.models.listen_to_look import distillation, training
from rac_jax.models.listen_to_look.skimming import Skimming


def test_losses_by_hand():
    student = np.array([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
    teacher = np.array([[0.0, 1.0, 0.5], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(distillation.descriptor_loss(student, teacher), [4, 0])
    # Logits 2 ln 3 and 0, softened by 2, are 3/4 and 1/4; the student's equal ones 1/2 each.
    scores = np.array([[2 * np.log(3), 0.0]])
    equal = np.zeros((1, 2))
    wanted = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    found = distillation.score_loss(equal, scores)
    np.testing.assert_allclose(found, [wanted], rtol=1e-5)
    both = distillation.distillation_loss(
        (student[:1], teacher[:1]), (equal, scores), weight=10.0
    )
    np.testing.assert_allclose(both, [4 + 10 * wanted], rtol=1e-5)
    # Not the other way round, and the teacher is given no gradient.
    other = distillation.score_loss(scores, equal)
    assert abs(float(other[0]) - wanted) > 0.01
    gradient = jax.grad(
        lambda given: distillation.distillation_loss(
            (student, teacher), (np.ones((2, 2)), given)
        ).sum()
    )(jnp.eye(2))
    assert not np.asarray(gradient).any()
    with pytest.raises(ValueError, match=r"descriptors: the student's are \[2, 3\]"):
        distillation.descriptor_loss(student, teacher[:, :2])
    with pytest.raises(ValueError, match="temperature"):
        distillation.score_loss(equal, scores, 0.0)


def test_batches_are_of_one_length():
    rng = np.random.default_rng(0)
    long = (np.arange(50.0)[:, None], -np.arange(50.0)[:, None])
    short = (np.arange(7.0)[:, None], -np.arange(7.0)[:, None])
    tiny = (np.arange(2.0)[:, None], -np.arange(2.0)[:, None])
    lengths = set()
    for _ in range(20):
        batch = training.cut_batch([long, short, tiny], rng, (10, 14), least=4)
        image, sound = batch.banks
        lengths.add(image.shape[1])
        assert image.shape == sound.shape == (3, batch.valid.shape[1], 1)
        np.testing.assert_array_equal(image, -sound)
        # A random part of the long one, the whole of the short one, the tiny one's last again.
        np.testing.assert_array_equal(np.diff(image[0, :, 0]), 1)
        assert batch.valid[0].all()
        assert batch.valid[1].sum() == 7
        assert not image[1, 7:].any()
        np.testing.assert_array_equal(image[2, :4, 0], [0, 1, 1, 1])
        assert batch.valid[2].sum() == 4
    assert lengths == {10, 11, 12, 13, 14}
    with pytest.raises(ValueError, match=r"video 1: its banks have \[2, 7\] moments"):
        training.cut_batch([long, (short[0], tiny[1])], rng, (10, 10))


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compiling")
def test_every_part_learns_the_attention_too():
    network = Skimming(
        classes=3, features=4, hidden=8, keys=4, fused=4, fusion_hidden=4
    )
    rng = np.random.default_rng(1)
    banks = tuple(rng.normal(0, 1, (4, 6, 4)).astype(np.float32) for _ in range(2))
    valid, classes = np.ones((4, 6), bool), np.array([0, 1, 2, 0])
    variables = network.init(jax.random.key(0), banks, valid, steps=3)
    # Beginning near zero, queries would differ by rounding only.
    params = jax.tree.map(
        lambda p: p + 0.3 * jnp.cos(jnp.arange(p.size).reshape(p.shape)),
        variables["params"],
    )

    @jax.jit
    def loss(params):
        found, changed = network.apply(
            variables | {"params": params},
            banks,
            valid,
            steps=3,
            train=True,
            mutable=["batch_stats"],
        )
        return training.skimming_loss(found, classes, last_state=True).mean(), (
            found,
            changed,
        )

    (value, (found, changed)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    by_hand = [
        -np.log(np.exp(row)[label] / np.exp(row).sum())
        for logits in (found.logits, found.state_logits[:, -1])
        for row, label in zip(np.asarray(logits), classes, strict=True)
    ]
    assert float(value) == pytest.approx(2 * np.mean(by_hand), rel=1e-4)
    for name, part in gradient.items():
        assert float(optax.tree.norm(part)) > 1e-6, name
    assert not np.allclose(
        changed["batch_stats"]["query_0"]["norm"]["mean"],
        variables["batch_stats"]["query_0"]["norm"]["mean"],
    )
    for released, frozen in ((False, ()), (True, ("fusion",))):
        sgd = training.optimiser(steps_per_epoch=10, released=released)
        updates, _ = sgd.update(gradient, sgd.init(params), params)
        for name, part in updates.items():
            assert (float(optax.tree.norm(part)) == 0) == (name in frozen), name


def test_rates_fall():
    sgd = distillation.optimiser(steps_per_epoch=1)
    params = {"a": jnp.zeros(())}
    state, sizes = sgd.init(params), []
    for _ in range(60):
        update, state = sgd.update({"a": jnp.ones(())}, state, params)
        sizes.append(-float(update["a"]))
    # Nesterov: the first step is 1.9 times the rate.
    assert sizes[0] == pytest.approx(1.9e-3)
    assert sizes[29] / sizes[31] == pytest.approx(10, rel=0.1)
    assert sizes[49] / sizes[51] == pytest.approx(10, rel=0.1)
