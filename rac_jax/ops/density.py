"""Density maps: a bump of area 1 for every cycle, so that what lies under a span is its count.

As in TransRAC (Hu et al., CVPR 2022, section 3.3): a Gaussian in the middle of the cycle whose
standard deviation is a sixth of its length. Bumps are added where they overlap and integrated
over each frame. The authors' code samples 64 frames of a whole video and assigns, so that of
cycles which fall on the same frame only the last is counted.
"""

import jax
import jax.numpy as jnp

SIGMAS = 6.0  # that a cycle is long
SHORTEST = 1e-3  # frames; a cycle without length would have no width


def density_map(cycles: jax.Array, valid: jax.Array, frames: int) -> jax.Array:
    """The density of every frame.

    Args:
      cycles: [..., K, 2] start and end of each cycle, in frames; frame t is from t to t + 1.
      valid: [..., K] bool, which of them there are.
      frames: T.

    Returns:
      [..., T] float32, at least 0. The part of a bump that lies beyond the frames is lost.
    """
    start, end = cycles[..., 0], cycles[..., 1]
    width = jnp.maximum(end - start, SHORTEST) / SIGMAS
    edges = jnp.arange(frames + 1, dtype=jnp.float32)
    edges = edges.reshape((1,) * cycles.ndim + (-1,))[0]  # [..., 1, T + 1]
    far = (edges - (start + end)[..., None] / 2) / width[..., None]
    below = jax.scipy.stats.norm.cdf(far)  # [..., K, T + 1]
    bumps = jnp.diff(below, axis=-1) * valid[..., None]
    return jnp.sum(bumps, axis=-2)
