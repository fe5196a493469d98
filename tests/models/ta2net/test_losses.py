"""TA2Net's losses against loops."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.models.ta2net import losses


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(0)


def test_soft_labels_are_bumps_that_add_up():
    events = np.zeros((2, 12), np.float32)
    events[0, [0, 6, 8]] = 1
    found = np.asarray(losses.soft_labels(jnp.asarray(events)))
    for frame in range(12):
        near = [abs(frame - e) for e in (0, 6, 8) if abs(frame - e) <= 3]
        wanted = min(1.0, sum(math.exp(-(d**2) / 8) for d in near))
        assert found[0, frame] == pytest.approx(wanted, abs=1e-6)
    np.testing.assert_allclose(
        found[0, 1:4], [0.8825, 0.6065, 0.3247 + 0.3247], atol=1e-3
    )
    assert not found[1].any()


def test_terms_of_frames(rng):
    logits = rng.normal(size=(2, 9, 2)).astype(np.float32)
    events = (rng.uniform(size=(2, 9)) < 0.3).astype(np.float32)
    soft = np.asarray(losses.soft_labels(jnp.asarray(events)))
    entropy = np.asarray(losses.cross_entropy(logits, jnp.asarray(events)))
    focal = np.asarray(losses.focal(logits, jnp.asarray(events)))
    for b in range(2):
        for n in range(9):
            p = np.exp(logits[b, n]) / np.exp(logits[b, n]).sum()
            y = soft[b, n]
            wanted = -(1 - y) * math.log(p[0]) - y * math.log(p[1])
            assert entropy[b, n] == pytest.approx(wanted, rel=1e-4)
            right = p[int(events[b, n])]
            wanted = -((1 - right) ** 2) * math.log(right)
            assert focal[b, n] == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def _cosine(a, b):
    value = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return min(max(value, 0.0005), 0.9995)


def _positive(frames, released):
    k, total = len(frames), 0.0
    for p in range(k):
        others = [q for q in range(k) if q != p]
        likest = sorted(others, key=lambda q: -_cosine(frames[p], frames[q]))
        for rank, q in enumerate(likest):
            total -= math.exp(-0.25 * rank) * math.log(_cosine(frames[p], frames[q]))
        if released:
            total -= math.exp(0.25) * math.log(0.9995)
    return total / (k * k if released else k * (k - 1))


@pytest.mark.parametrize("released", [False, True])
def test_contrast(rng, released):
    motion = rng.uniform(-0.2, 1, (6, 5)).astype(np.float32)
    rest = rng.uniform(-0.2, 1, (6, 5)).astype(np.float32)
    # Two frames that are none: of clips without sound.
    known = np.asarray([True, False, True, True, False, True])
    ours, theirs = motion[known], rest[known]
    wanted = np.mean([[-math.log(1 - _cosine(p, q)) for q in theirs] for p in ours])
    found = losses.negative_contrast(motion, rest, known)
    assert float(found) == pytest.approx(wanted, rel=1e-4)
    for features, own in ((motion, ours), (rest, theirs)):
        found = losses.positive_contrast(features, known, released)
        assert float(found) == pytest.approx(_positive(own, released), rel=1e-4)
        wanted += _positive(own, released)
    total = losses.contrast(motion, rest, known, released)
    assert float(total) == pytest.approx(wanted, rel=1e-4)
    assert float(losses.contrast(motion, rest, known & False)) == 0


def test_smoothness(rng):
    maps = rng.uniform(size=(3, 7, 2, 2)).astype(np.float32)
    found = np.asarray(losses.smoothness(jnp.asarray(maps)))
    for clip, value in zip(maps, found, strict=True):
        second = [clip[i + 2] + clip[i] - 2 * clip[i + 1] for i in range(5)]
        assert value == pytest.approx(sum(np.linalg.norm(d) for d in second), rel=1e-4)
    flat = maps.reshape(21, 2, 2)
    jumps = [flat[i + 2] + flat[i] - 2 * flat[i + 1] for i in range(19)]
    wanted = 0.1 * np.abs(jumps).sum()
    assert float(losses.released_smoothness(jnp.asarray(maps))) == pytest.approx(
        wanted, rel=1e-4
    )
    # A map that does not move can still be learned from.
    still = jnp.ones((1, 5, 2, 2))
    slope = jax.grad(lambda m: losses.smoothness(m).sum())(still)
    assert np.isfinite(slope).all()
