"""Images seen through an optical flow: sampling between pixels, warping, and what has no match.

A flow [..., 2] is in pixels, right and down: a pixel at (x, y) of one image is at (x + u, y + v) of
the other. Pixel centres are at whole numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Of the check of two flows against each other (Meister et al., "UnFlow", AAAI 2018, Eq. 1).
SLOPE, OFFSET = 0.01, 0.5


def pixel_grid(height: int, width: int) -> np.ndarray:
    """Where the pixels are: float32 [H, W, 2], x before y."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([columns, rows], axis=-1).astype(np.float32)


def sample(x: jax.Array, places: jax.Array) -> jax.Array:
    """Values of images between their pixels, bilinear.

    Args:
      x: [B, H, W, C] floats.
      places: [B, h, w, 2] where, in pixels, x before y; beyond the image all values are 0, so
        that they fade to 0 over the pixel before its edge.

    Returns:
      [B, h, w, C].
    """
    batch, height, width, channels = x.shape
    flat = x.reshape(batch, height * width, channels)
    first = jnp.floor(places)
    after = places - first  # [B, h, w, 2] share of the next pixel
    first = first.astype(jnp.int32)
    total = 0.0
    # Four pixels around each place, by the areas opposite of them.
    for right in (0, 1):
        for down in (0, 1):
            column, row = first[..., 0] + right, first[..., 1] + down
            share_x = after[..., 0] if right else 1 - after[..., 0]
            share_y = after[..., 1] if down else 1 - after[..., 1]
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = jnp.where(inside, row * width + column, 0).reshape(batch, -1, 1)
            seen = jnp.take_along_axis(flat, index, axis=1)  # [B, h · w, C]
            share = jnp.where(inside, share_x * share_y, 0.0)  # [B, h, w]
            total += share[..., None] * seen.reshape(*places.shape[:-1], channels)
    return total


def warp(x: jax.Array, flow: jax.Array) -> jax.Array:
    """Where every pixel's partner is in another image, what is there.

    Args:
      x: [B, H, W, C] the image that the flow leads to.
      flow: [B, H, W, 2] from the other image, in pixels.

    Returns:
      [B, H, W, C], 0 where the partner lies outside.
    """
    return sample(x, pixel_grid(*flow.shape[1:3])[None] + flow)


def unmatched(forward: jax.Array, backward: jax.Array) -> jax.Array:
    """Which pixels of the first image the second does not show, by two flows that disagree.

    |f + b(x + f)| > 0.01 (|f| + |b|) + 0.5, as GMFlow's authors have it: the length of b is that
    at the same pixel, where UnFlow (Eq. 1) takes the squares, and b at its partner.

    Args:
      forward: [B, H, W, 2] from the first image to the second, in pixels.
      backward: [B, H, W, 2] from the second to the first.

    Returns:
      [B, H, W] bool.
    """
    apart = jnp.linalg.norm(forward + warp(backward, forward), axis=-1)
    length = jnp.linalg.norm(forward, axis=-1) + jnp.linalg.norm(backward, axis=-1)
    return apart > SLOPE * length + OFFSET
