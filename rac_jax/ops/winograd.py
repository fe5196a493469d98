"""Convolutions of three taps per axis with fewer multiplications: minimal filtering.

m outputs next to each other of a filter of three taps need m + 2 products, not 3 m, once inputs
and taps are combined with constants (Winograd, "Arithmetic complexity of computations", 1980;
Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, section 4). In
more axes the combinations nest. Every product is a matmul over the channels.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rac_jax.ops import pointwise
from rac_jax.ops.windows import Window, interleave, under_taps

TAPS = 3
# Outputs per tile, by the number of axes that are filtered, and where the polynomials are
# evaluated (and at infinity). More outputs save more products, and lose digits.
TILES = {1: 4, 2: 2}
POINTS = {4: (0.0, 1.0, -1.0, 0.5, -0.5), 2: (0.0, 1.0, -1.0)}
# Below, combining costs more than the products that it saves; measured on two AVX2 cores.
LEAST_CHANNELS = 40.0
LEAST_PRODUCTS = 2e8


def _matrices(tile: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(of outputs [m, n], of taps [n, 3], of inputs [n, n]), n = m + 2.

    The filter is a product of polynomials, transposed: evaluated at n points, and interpolated.
    """
    points = tile + TAPS - 1

    def powers(number: int) -> np.ndarray:
        rows = np.vander(POINTS[tile], number, increasing=True)
        infinity = np.eye(number)[-1:]
        return np.concatenate([rows, infinity])  # [n, number]

    return powers(tile).T, powers(TAPS), np.linalg.inv(powers(points)).T


MATRICES = {tile: _matrices(tile) for tile in POINTS}


def fits(taps: Sequence[int], padding: Sequence[tuple[int, int]]) -> bool:
    """Whether `convolve` takes a convolution without strides of so many taps and zeros."""
    around = {1: (0, 0), TAPS: (1, 1)}
    return TAPS in taps and all(
        around.get(n) == pad for n, pad in zip(taps, padding, strict=True)
    )


def suits(x: jax.Array, kernel: jax.Array, padding: Sequence[tuple[int, int]]) -> bool:
    """Whether `convolve` takes a convolution without strides, and is quicker at it on CPU."""
    *taps, depth, channels = kernel.shape
    return (
        x.dtype == jnp.float32
        and fits(taps, padding)
        and depth * channels / (depth + channels) >= LEAST_CHANNELS
        and x.size * channels * math.prod(taps) >= LEAST_PRODUCTS
    )


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves without strides, with a zero around every axis that has three taps.

    Args:
      x: [B, H, W, C] floats.
      kernel: [kh, kw, C, O], kh and kw 1 or 3 and one of them 3.

    Returns:
      [B, H, W, O]; in float32 within 1e-5 of the largest value of the direct sum.
    """
    axes = [axis + 1 for axis in (0, 1) if kernel.shape[axis] == TAPS]  # of x
    tile = TILES[len(axes)]
    of_outputs, of_taps, of_inputs = (
        functools.reduce(np.kron, [matrix] * len(axes)) for matrix in MATRICES[tile]
    )
    window = Window(
        tuple(axes),
        (tile + TAPS - 1,) * len(axes),
        (tile,) * len(axes),
        tuple((1, -x.shape[axis] % tile + 1) for axis in axes),
    )
    seen = under_taps(x, window, 0.0)
    taps = [
        kernel[i : i + 1, j : j + 1]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]
    products = [
        pointwise.convolve(_combined(inputs, seen), _combined(filters, taps))
        for inputs, filters in zip(of_inputs, of_taps, strict=True)
    ]
    rows = [_combined(row, products) for row in of_outputs]
    out = interleave(rows, axes, window.strides)
    return lax.slice(out, [0] * out.ndim, [*x.shape[:-1], out.shape[-1]])


def _combined(weights: np.ndarray, parts: Sequence[jax.Array]) -> jax.Array:
    """The weighted sum, without what weighs nothing."""
    terms = []
    for weight, part in zip(weights, parts, strict=True):
        if abs(weight) > 1e-9:
            terms.append(part if weight == 1 else part * np.float32(weight))
    return sum(terms[1:], terms[0])
