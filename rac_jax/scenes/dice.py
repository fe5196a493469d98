"""Random numbers for a scene: one draw, handed out number by number.

A scene needs hundreds of small draws. One draw per number would be hundreds of generator
calls in the compiled program; one vector, cut up while tracing, is a single one.
"""

import math

import jax
import jax.numpy as jnp
import jax.scipy.special


class Dice:
    """Hands out uniform numbers from one vector, in the order of the calls.

    Args:
      key: PRNG key.
      size: how many numbers there are.
    """

    def __init__(self, key: jax.Array, size: int):
        self._numbers = jax.random.uniform(key, (size,))
        self._used = 0

    def uniform(
        self, low: float = 0.0, high: float = 1.0, shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Uniform numbers in [low, high).

        Raises:
          IndexError: if the vector is used up.
        """
        size = math.prod(shape)
        if self._used + size > self._numbers.shape[0]:
            raise IndexError(
                f"Dice: {self._numbers.shape[0]} numbers are too few for this scene"
            )
        numbers = self._numbers[self._used : self._used + size].reshape(shape)
        self._used += size
        return low + (high - low) * numbers

    def log_uniform(self, low, high, shape: tuple[int, ...] = ()) -> jax.Array:
        """Log-uniform numbers in [low, high)."""
        return jnp.exp(self.uniform(math.log(low), math.log(high), shape))

    def normal(self, shape: tuple[int, ...] = ()) -> jax.Array:
        """Standard normal numbers."""
        return jax.scipy.special.ndtri(self.uniform(1e-6, 1 - 1e-6, shape))

    def chance(self, probability: float, shape: tuple[int, ...] = ()) -> jax.Array:
        """True with the given probability."""
        return self.uniform(shape=shape) < probability

    def sign(self, shape: tuple[int, ...] = ()) -> jax.Array:
        """-1.0 or 1.0."""
        return jnp.where(self.chance(0.5, shape), 1.0, -1.0)

    def choice(
        self, options: tuple[int, ...], shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Some of the given integers, int32."""
        index = jnp.floor(self.uniform(0, len(options), shape)).astype(jnp.int32)
        return jnp.asarray(options, jnp.int32)[jnp.minimum(index, len(options) - 1)]
