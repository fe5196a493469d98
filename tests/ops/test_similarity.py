"""Self-similarity against brute-force loops."""

import jax.numpy as jnp
import numpy as np

from rac_jax.ops import similarity


def test_distances_equal_loops():
    features = np.random.default_rng(0).normal(size=(2, 7, 5)).astype(np.float32) + 30
    ours = similarity.squared_distances(jnp.asarray(features))
    for b in range(2):
        for i in range(7):
            for j in range(7):
                expected = ((features[b, i] - features[b, j]) ** 2).sum()
                np.testing.assert_allclose(
                    ours[b, i, j], expected, rtol=1e-3, atol=1e-4
                )


def test_relative_distances_have_no_scale():
    features = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    ours = similarity.relative_distances(jnp.asarray(features))
    np.testing.assert_allclose(ours.mean(), 1, rtol=1e-5)
    scaled = similarity.relative_distances(jnp.asarray(100 * features + 3))
    np.testing.assert_allclose(scaled, ours, atol=1e-3)
    assert (np.asarray(similarity.relative_distances(jnp.ones((9, 4)))) == 0).all()


def test_lag_shear_equals_loops():
    matrix = np.random.default_rng(2).normal(size=(3, 6, 6)).astype(np.float32)
    ours, valid = similarity.lag_shear(jnp.asarray(matrix), -4, 3)
    assert ours.shape == (3, 6, 8)
    for i in range(6):
        for place, lag in enumerate(range(-4, 4)):
            inside = 0 <= i + lag < 6
            assert valid[i, place] == inside
            expected = matrix[:, i, i + lag] if inside else 0
            np.testing.assert_array_equal(ours[:, i, place], expected)


def test_a_period_becomes_a_column():
    phase = 2 * np.pi * np.arange(32) / 8
    features = jnp.stack([jnp.cos(phase), jnp.sin(phase)], axis=-1)
    sheared, valid = similarity.lag_shear(
        similarity.relative_distances(features), -16, 15
    )
    column = np.asarray(sheared[:, 16 + 8])[valid[:, 16 + 8] > 0]
    np.testing.assert_allclose(column, 0, atol=1e-5)
    off = np.asarray(sheared[:, 16 + 4])[valid[:, 16 + 4] > 0]
    assert (off > 1).all()


def test_centred_lags_keep_the_shape_and_shift_with_the_diagonal():
    matrix = np.arange(36.0).reshape(6, 6)
    found = np.asarray(similarity.centred_lags(matrix))
    assert found.shape == (6, 6)
    for row in range(6):
        for place, lag in enumerate(range(-3, 3)):
            inside = 0 <= row + lag < 6
            assert found[row, place] == (matrix[row, row + lag] if inside else 0)


def test_relative_embeddings_know_no_scale_and_no_offset():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(2, 6, 4)).astype(np.float32)
    found = np.asarray(similarity.relative_embeddings(features))
    assert np.allclose(found.mean(axis=1), 0, atol=1e-6)
    assert np.allclose(np.square(found).mean(axis=(1, 2)), 1, atol=1e-5)
    moved = similarity.relative_embeddings(7 * features + 3)
    assert np.allclose(moved, found, atol=1e-5)
    alike = np.broadcast_to(features[:, :1], features.shape)
    # But for rounding.
    assert np.allclose(similarity.relative_embeddings(alike), 0, atol=1e-2)
