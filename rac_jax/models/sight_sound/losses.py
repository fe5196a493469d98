"""Losses of paper 1, elementwise: the caller reduces.

Every function takes a prediction, a target and a mask of the same shape and returns that shape,
zero where the mask is; the diversity terms look at a whole batch and return a scalar.
"""

import jax
import jax.numpy as jnp

# Repetitions: the paper's data has no count under 2, ours has.
COUNT_FLOOR = 1.0
NORM_FLOOR = 1e-8


def _check_shapes(name: str, *arrays: jax.Array) -> None:
    shapes = [array.shape for array in arrays]
    if any(shape != shapes[0] for shape in shapes):
        listed = ", ".join(str(shape) for shape in shapes)
        raise ValueError(f"{name}: shapes differ: {listed}")


def squared_error(
    prediction: jax.Array, target: jax.Array, mask: jax.Array
) -> jax.Array:
    """The L2 term of Eq. 4: (C − l)².

    Args:
      prediction: predicted counts.
      target: true counts, same shape.
      mask: bool, same shape.

    Returns:
      Same shape, 0 where masked.

    Raises:
      ValueError: if the shapes differ.
    """
    _check_shapes("squared_error", prediction, target, mask)
    return jnp.where(mask, jnp.square(prediction - target), 0.0)


def relative_error(
    prediction: jax.Array,
    target: jax.Array,
    mask: jax.Array,
    floor: float = COUNT_FLOOR,
) -> jax.Array:
    """The relative term of Eq. 4, and Eq. 11 of a fused count: |C − l| / l.

    Args:
      prediction: predicted counts.
      target: true counts, same shape.
      mask: bool, same shape.
      floor: smallest divisor, so that clips with less than one repetition do not rule.

    Returns:
      Same shape, 0 where masked.

    Raises:
      ValueError: if the shapes differ.
    """
    _check_shapes("relative_error", prediction, target, mask)
    error = jnp.abs(prediction - target) / jnp.maximum(target, floor)
    return jnp.where(mask, error, 0.0)


def class_cosine_diversity(classes: jax.Array, mask: jax.Array) -> jax.Array:
    """The diversity term as the paper prints it, Eq. 5: Σ_{q<j} cos(T^q, T^j).

    T^q is one repetition class's outputs over the batch, so that classes are to answer to
    different samples.

    Args:
      classes: [B, P] softmax over repetition classes.
      mask: [B] bool.

    Returns:
      Scalar in [0, P (P − 1) / 2].

    Raises:
      ValueError: if the batches differ.
    """
    _check_shapes("class_cosine_diversity", classes[:, 0], mask)
    classes = jnp.where(mask[:, None], classes, 0.0)
    norms = jnp.sqrt(jnp.sum(jnp.square(classes), axis=0) + NORM_FLOOR**2)
    unit = classes / norms[None]  # [B, P]
    # Over all pairs, |Σ_q u_q|² = Σ_q |u_q|² + 2 Σ_{q<j} u_q · u_j.
    total = jnp.sum(jnp.square(jnp.sum(unit, axis=1)))
    return 0.5 * (total - jnp.sum(jnp.square(unit)))


def sample_product_diversity(classes: jax.Array, mask: jax.Array) -> jax.Array:
    """The diversity term of the authors' code: Σ_{i≠k} T_i · T_k.

    T_i is one sample's softmax, so that samples are to answer with different classes.

    Args:
      classes: [B, P] softmax over repetition classes.
      mask: [B] bool.

    Returns:
      Scalar in [0, B (B − 1)].

    Raises:
      ValueError: if the batches differ.
    """
    _check_shapes("sample_product_diversity", classes[:, 0], mask)
    classes = jnp.where(mask[:, None], classes, 0.0)
    total = jnp.sum(jnp.square(jnp.sum(classes, axis=0)))
    return total - jnp.sum(jnp.square(classes))


def mean_sample_product(classes: jax.Array, mask: jax.Array) -> jax.Array:
    """The diversity term of our own recipes: the mean of T_i · T_k over pairs of samples.

    `sample_product_diversity` by the number of pairs of real samples. Over random batches its
    expectation is that of one pair, whatever the size of a batch, the pieces it is cut into
    or the devices it lies on; the sums grow with all of them.

    Args:
      classes: [B, P] softmax over repetition classes.
      mask: [B] bool.

    Returns:
      Scalar in [0, 1], 0 without a pair.

    Raises:
      ValueError: if the batches differ.
    """
    real = jnp.sum(mask)
    return sample_product_diversity(classes, mask) / jnp.maximum(real * (real - 1), 1)


# By the name in a config: Eq. 5 as it is printed, the sum of the authors' code, and ours.
DIVERSITIES = {
    "paper": class_cosine_diversity,
    "released": sample_product_diversity,
    "mean": mean_sample_product,
}


def margin_ranking(
    negative: jax.Array, positive: jax.Array, mask: jax.Array, margin: float
) -> jax.Array:
    """Eq. 8: max(0, s⁻ − s⁺ + m).

    Args:
      negative: scores of negative strides.
      positive: scores of the positive strides, same shape.
      mask: bool, same shape.
      margin: m; the paper uses 2.9.

    Returns:
      Same shape, 0 where masked.

    Raises:
      ValueError: if the shapes differ.
    """
    _check_shapes("margin_ranking", negative, positive, mask)
    return jnp.where(mask, jnp.maximum(0.0, negative - positive + margin), 0.0)
