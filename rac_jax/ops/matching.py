"""Optical flow from features by matching (Xu et al., "GMFlow", CVPR 2022), and its enlargement.

Features are [B, H, W, C]; flows [B, H, W, 2] are in pixels of their own resolution, right and down.
Everything is float32 at full precision: a match is an expected position, and hundredths of a pixel
of a small map are tenths of the picture.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rac_jax.ops.warp import pixel_grid
from rac_jax.ops.windows import Window, interleave, under_taps

APART = -1e9  # the score of a place outside the image
EXACT = lax.Precision.HIGHEST
einsum = functools.partial(jnp.einsum, precision=EXACT)


def match_globally(first: jax.Array, second: jax.Array, both: bool) -> jax.Array:
    """Each pixel's expected partner among all of the other image (section 3.2, Eq. 1 to 4).

    Args:
      first: [B, H, W, C].
      second: [B, H, W, C].
      both: whether the way back is asked for, too: the same correlation, transposed.

    Returns:
      [D, B, H, W, 2]: the flow from the first to the second, then, with `both`, back.
    """
    batch, height, width, channels = first.shape
    places = pixel_grid(height, width).reshape(-1, 2)  # [H · W, 2]
    flat = [x.reshape(batch, -1, channels).astype(jnp.float32) for x in (first, second)]
    scores = einsum("bic,bjc->bij", *flat) / np.sqrt(channels)  # [B, HW, HW]
    flows = []
    for axis in (2, 1) if both else (2,):
        weights = jax.nn.softmax(scores, axis=axis)
        pattern = "bij,jx->bix" if axis == 2 else "bij,ix->bjx"
        flows.append(einsum(pattern, weights, places) - places[None])
    return jnp.stack(flows).reshape(len(flows), batch, height, width, 2)


def _offsets(low: int, high: int) -> np.ndarray:
    """Places of a window from low to high, row by row: int [K, 2], x before y."""
    rows, columns = np.mgrid[low : high + 1, low : high + 1]
    return np.stack([columns.ravel(), rows.ravel()], axis=-1)


def _dots(
    first: jax.Array, second: jax.Array, places: jax.Array, offsets: np.ndarray
) -> jax.Array:
    """Products of each pixel's features with those around its place: [B, H, W, K].

    `places` [B, H, W, 2] are whole numbers; outside of the image there are zeros.
    """
    batch, height, width, channels = first.shape
    flat = second.reshape(batch, -1, channels)

    # One place of the window after another, and again in the backward pass: all of them at once
    # would be hundreds of copies of the features.
    @jax.checkpoint
    def at(offset: jax.Array) -> jax.Array:
        column, row = places[..., 0] + offset[0], places[..., 1] + offset[1]
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = jnp.where(inside, row * width + column, 0).reshape(batch, -1, 1)
        seen = jnp.take_along_axis(flat, index, axis=1).reshape(first.shape)
        return jnp.where(inside, jnp.sum(first * seen, axis=-1), 0.0)

    return jnp.moveaxis(lax.map(at, jnp.asarray(offsets, jnp.int32)), 0, -1)


def correlate_locally(
    first: jax.Array, second: jax.Array, flow: jax.Array, radius: int
) -> jax.Array:
    """How well each pixel fits to those around where a flow leads to.

    The places of a window share one fraction of a pixel, and products are linear: instead of the
    features, the products with whole pixels are interpolated.

    Args:
      first: [B, H, W, C].
      second: [B, H, W, C].
      flow: [B, H, W, 2], in pixels.
      radius: of the window around its end, in pixels.

    Returns:
      [B, H, W, (2 radius + 1)²], row by row; products divided by the root of C.
    """
    places = pixel_grid(*flow.shape[1:3])[None] + flow
    whole = jnp.floor(places)
    after = (places - whole)[..., None, None, :]  # [B, H, W, 1, 1, 2]
    side = 2 * radius + 2
    dots = _dots(first, second, whole.astype(jnp.int32), _offsets(-radius, radius + 1))
    dots = dots.reshape(*flow.shape[:3], side, side)  # [B, H, W, rows, columns]
    dots = (1 - after[..., 1]) * dots[..., :-1, :] + after[..., 1] * dots[..., 1:, :]
    dots = (1 - after[..., 0]) * dots[..., :-1] + after[..., 0] * dots[..., 1:]
    return dots.reshape(*flow.shape[:3], -1) / np.sqrt(first.shape[-1])


def match_locally(first: jax.Array, second: jax.Array, radius: int) -> jax.Array:
    """Each pixel's expected partner among those that are near.

    Args:
      first: [B, H, W, C].
      second: [B, H, W, C].
      radius: of the window, in pixels; of it only what is in the image counts.

    Returns:
      [B, H, W, 2].
    """
    height, width, channels = first.shape[1:]
    grid, offsets = pixel_grid(height, width), _offsets(-radius, radius)
    places = jnp.broadcast_to(grid.astype(np.int32), (*first.shape[:3], 2))
    scores = _dots(first, second, places, offsets) / np.sqrt(channels)
    ends = grid[:, :, None] + offsets[None, None]  # [H, W, K, 2]
    inside = (ends >= 0) & (ends < np.array([width, height])[None, None, None])
    scores = jnp.where(inside.all(-1)[None], scores, APART)
    return einsum("bhwk,kx->bhwx", jax.nn.softmax(scores), offsets.astype(np.float32))


def propagate_locally(
    query: jax.Array, key: jax.Array, flow: jax.Array, radius: int
) -> jax.Array:
    """Each pixel's flow as a mean of those around it, by how alike their features are.

    Args:
      query: [B, H, W, C].
      key: [B, H, W, C]; beyond the image it is 0, and so is the flow there, as published.
      flow: [B, H, W, 2].
      radius: of the window, in pixels.

    Returns:
      [B, H, W, 2].
    """
    side = 2 * radius + 1
    window = Window((1, 2), (side, side), (1, 1), ((radius, radius),) * 2)
    dots = [jnp.sum(query * seen, axis=-1) for seen in under_taps(key, window, 0.0)]
    scores = jnp.stack(dots, axis=-1) / np.sqrt(query.shape[-1])  # [B, H, W, K]
    flows = jnp.stack(under_taps(flow, window, 0.0), axis=-2)  # [B, H, W, K, 2]
    return jnp.sum(jax.nn.softmax(scores)[..., None] * flows, axis=-2)


def _stretch(size: int, factor: int) -> np.ndarray:
    """Linear interpolation from `size` points to so many times more, ends upon ends."""
    place = np.linspace(0, size - 1, size * factor)[:, None]
    return np.maximum(0, 1 - np.abs(place - np.arange(size)[None])).astype(np.float32)


def enlarge(flow: jax.Array, factor: int) -> jax.Array:
    """A flow of larger pictures: bilinear, corner pixels upon corner pixels.

    Args:
      flow: [B, H, W, 2].
      factor: how much larger.

    Returns:
      [B, factor · H, factor · W, 2], in pixels of the larger pictures.
    """
    rows, columns = (_stretch(size, factor) for size in flow.shape[1:3])
    flow = einsum("ih,bhwx->biwx", rows, flow)
    return factor * einsum("jw,biwx->bijx", columns, flow)


def enlarge_convexly(flow: jax.Array, scores: jax.Array, factor: int) -> jax.Array:
    """A flow of larger pictures, each pixel a learned mean of the nine around its origin.

    As in RAFT (Teed and Deng, ECCV 2020, section 3.3); beyond the edges there are zeros.

    Args:
      flow: [B, H, W, 2].
      scores: [B, H, W, 9 · factor²], of which the softmax is taken over the nine; they change
        slowest, then the rows and the columns of the larger picture.
      factor: how much larger.

    Returns:
      [B, factor · H, factor · W, 2], in pixels of the larger pictures.
    """
    window = Window((1, 2), (3, 3), (1, 1), ((1, 1), (1, 1)))
    near = jnp.stack(under_taps(factor * flow, window, 0.0), axis=3)  # [B, H, W, 9, 2]
    scores = scores.astype(jnp.float32).reshape(*flow.shape[:3], 9, factor * factor)
    fine = einsum("bhwkp,bhwkx->pbhwx", jax.nn.softmax(scores, axis=3), near)
    return interleave(list(fine), (1, 2), (factor, factor))
