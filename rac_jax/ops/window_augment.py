"""What is done to windows in the step: a camera that moves, light, and colour."""

import jax
import jax.numpy as jnp


def camera_motion(key: jax.Array, windows: jax.Array, strength: float) -> jax.Array:
    """Moves, zooms and shakes the camera smoothly over each window (RepNet, section 3.3).

    Args:
      key: PRNG key.
      windows: [B, N, H, W, 3] floats.
      strength: of shifts, as a share of the picture, and of the zoom; 0 for a tripod.

    Returns:
      The windows as the camera sees them; beyond the picture its edge goes on.
    """
    batch, frames, height, width, _ = windows.shape
    time = jnp.linspace(0, 1, frames)[None, :, None]  # [1, N, 1]
    keys = jax.random.split(key, 3)
    # Three slow waves each for both shifts and the zoom.
    speed = jax.random.uniform(keys[0], (batch, 1, 3, 3), maxval=2.0)
    phase = jax.random.uniform(keys[1], (batch, 1, 3, 3), maxval=2 * jnp.pi)
    size = strength * jax.random.normal(keys[2], (batch, 1, 3, 3)) / 2
    angle = 2 * jnp.pi * speed * time[..., None] + phase
    waves = jnp.sum(size * jnp.sin(angle), axis=-1)  # [B, N, 3]
    zoom = jnp.exp(jnp.clip(waves[..., 2], -0.4, 0.4))
    rows = jnp.arange(height)[None, None] - (height - 1) / 2
    columns = jnp.arange(width)[None, None] - (width - 1) / 2
    y = rows * zoom[..., None] + (height - 1) / 2 + height * waves[..., :1]
    x = columns * zoom[..., None] + (width - 1) / 2 + width * waves[..., 1:2]

    def look(picture: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
        grid = jnp.meshgrid(y, x, indexing="ij")

        def sample(channel: jax.Array) -> jax.Array:
            return jax.scipy.ndimage.map_coordinates(
                channel, grid, order=1, mode="nearest"
            )

        return jax.vmap(sample, in_axes=-1, out_axes=-1)(picture)

    return jax.vmap(jax.vmap(look))(windows, y, x)


def colours(key: jax.Array, windows: jax.Array) -> jax.Array:
    """Brightness, contrast and tint of each window: [B, N, H, W, 3] in [-1, 1] likewise."""
    keys = jax.random.split(key, 3)
    shape = (len(windows), 1, 1, 1)
    contrast = jnp.exp(0.25 * jax.random.normal(keys[0], (*shape, 1)))
    bright = 0.15 * jax.random.normal(keys[1], (*shape, 1))
    tint = 0.08 * jax.random.normal(keys[2], (*shape, 3))
    return jnp.clip(contrast * windows + bright + tint, -1, 1)
