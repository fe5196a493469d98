"""Temporal self-similarity matrices (TSM) and their lag coordinates."""

import jax
import jax.numpy as jnp
import numpy as np


def squared_distances(features: jax.Array) -> jax.Array:
    """Squared Euclidean distances between all pairs of frames.

    Args:
      features: [..., T, C] float.

    Returns:
      [..., T, T] float32, at least 0.
    """
    features = features.astype(jnp.float32)
    # Rounding in the expansion below grows with the distance from the origin.
    features = features - jnp.mean(features, axis=-2, keepdims=True)
    squares = jnp.sum(jnp.square(features), axis=-1)  # [..., T]
    products = jnp.einsum("...ic,...jc->...ij", features, features)  # [..., T, T]
    return jnp.maximum(
        0.0, squares[..., :, None] + squares[..., None, :] - 2 * products
    )


def relative_distances(features: jax.Array) -> jax.Array:
    """Squared distances divided by their mean over the window, so that no scale is fixed.

    Args:
      features: [..., T, C] float.

    Returns:
      [..., T, T] float32 of mean 1, or zeros where all frames are alike.
    """
    distances = squared_distances(features)
    mean = jnp.mean(distances, axis=(-2, -1), keepdims=True)
    return distances / jnp.maximum(mean, 1e-9)


def relative_embeddings(features: jax.Array) -> jax.Array:
    """Embeddings less their mean over the window and divided by their size, as above.

    Args:
      features: [..., T, C] float.

    Returns:
      [..., T, C] float32 of mean square 1, or zeros where all frames are alike.
    """
    features = features.astype(jnp.float32)
    features = features - jnp.mean(features, axis=-2, keepdims=True)
    square = jnp.mean(jnp.square(features), axis=(-2, -1), keepdims=True)
    return features * jax.lax.rsqrt(jnp.maximum(square, 1e-9))


def lag_shear(
    matrix: jax.Array, first_lag: int, last_lag: int
) -> tuple[jax.Array, np.ndarray]:
    """Writes a TSM in lag coordinates: out[..., i, l] = matrix[..., i, i + first_lag + l].

    A repetition of constant period is a diagonal of a TSM and a column here, so that a small
    convolution sees it alike wherever it lies.

    Args:
      matrix: [..., T, T].
      first_lag: smallest lag, in frames.
      last_lag: largest lag, included.

    Returns:
      (sheared [..., T, L], valid float32 [T, L]): entries outside the matrix are 0 in both.
    """
    frames = matrix.shape[-1]
    row = np.arange(frames)[:, None]
    column = row + np.arange(first_lag, last_lag + 1)  # [T, L]
    valid = ((column >= 0) & (column < frames)).astype(np.float32)
    flat = row * frames + np.clip(column, 0, frames - 1)
    sheared = matrix.reshape(*matrix.shape[:-2], frames * frames)[
        ..., flat
    ]  # [..., T, L]
    return sheared * jnp.asarray(
        valid.reshape((1,) * (matrix.ndim - 2) + valid.shape)
    ), valid


def centred_lags(matrix: jax.Array) -> jax.Array:
    """A TSM in as many lag coordinates, -T / 2 to T / 2 - 1: [..., T, T] to the same shape."""
    half = matrix.shape[-1] // 2
    return lag_shear(matrix, -half, matrix.shape[-1] - half - 1)[0]
