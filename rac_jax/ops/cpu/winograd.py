"""Convolutions of three taps per axis with fewer multiplications: minimal filtering.

m outputs next to each other of a filter of three taps need m + 2 products, not 3 m, once inputs
and taps are combined with constants (Winograd, "Arithmetic complexity of computations", 1980;
Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, section 4). In
more axes the combinations nest. Every product is a matmul over the channels.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rac_jax.ops.cpu import pointwise
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
    tiling = _tiling(x, kernel.shape)
    seen = under_taps(x, tiling.inputs, 0.0)
    taps = [
        kernel[i : i + 1, j : j + 1]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]
    products = [
        pointwise.convolve(inputs, filters)
        for inputs, filters in zip(
            _combined(tiling.of_inputs, seen),
            _combined(tiling.of_taps, taps),
            strict=True,
        )
    ]
    rows = _combined(tiling.of_outputs, products)
    out = interleave(rows, tiling.outputs.axes, tiling.outputs.strides)
    return lax.slice(out, [0] * out.ndim, [*x.shape[:-1], out.shape[-1]])


def filter_gradient(
    x: jax.Array, g: jax.Array, kernel_shape: Sequence[int]
) -> jax.Array:
    """dL/dkernel [kh, kw, C, O] of `convolve`, of x [B, H, W, C] and g [B, H, W, O].

    The combinations are those of `convolve`, transposed. The products are taken all at once, as
    XLA:CPU then gives every core some of its own; one alone is too small to be shared well.
    """
    tiling = _tiling(x, kernel_shape)

    def stacked(parts):
        """[products, positions, channels]."""
        return jnp.stack([part.reshape(-1, part.shape[-1]) for part in parts])

    seen = under_taps(x, tiling.inputs, 0.0)
    rows = stacked(_combined(tiling.of_inputs, seen))
    seen = under_taps(g, tiling.outputs, 0.0)
    columns = stacked(_combined(tiling.of_outputs.T, seen))
    products = jnp.einsum("npc,npo->nco", rows, columns)
    taps = _combined(tiling.of_taps.T, list(products))
    return jnp.stack(taps).reshape(kernel_shape)


class _Tiling(NamedTuple):
    """The matrices over all axes filtered, and which inputs and outputs a tile has."""

    of_outputs: np.ndarray
    of_taps: np.ndarray
    of_inputs: np.ndarray
    inputs: Window
    outputs: Window


def _tiling(x, kernel_shape) -> _Tiling:
    axes = tuple(axis + 1 for axis in (0, 1) if kernel_shape[axis] == TAPS)  # of x
    tile = TILES[len(axes)]
    matrices = (
        functools.reduce(np.kron, [matrix] * len(axes)) for matrix in MATRICES[tile]
    )
    strides, sizes = (tile,) * len(axes), (tile + TAPS - 1,) * len(axes)
    rest = [-x.shape[axis] % tile for axis in axes]
    around = tuple((1, after + 1) for after in rest)
    return _Tiling(
        *matrices,
        Window(axes, sizes, strides, around),
        Window(axes, strides, strides, tuple((0, after) for after in rest)),
    )


def _combined(matrix: np.ndarray, parts: Sequence[jax.Array]) -> list[jax.Array]:
    """A weighted sum per row of the matrix, without what weighs nothing."""
    sums = []
    for row in matrix:
        terms = []
        for weight, part in zip(row, parts, strict=True):
            if abs(weight) > 1e-9:
                terms.append(part if weight == 1 else part * np.float32(weight))
        sums.append(sum(terms[1:], terms[0]))
    return sums
