"""Interleaving against strided slices."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.ops.interleave import interleave


@pytest.mark.parametrize(
    "axes,strides", [((1,), (3,)), ((1, 2), (2, 3)), ((0, 3), (2, 1)), ((2,), (1,))]
)
def test_every_part_lies_a_stride_apart(axes, strides):
    shape = (2, 3, 4, 5)
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=shape).astype(np.float32) for _ in range(np.prod(strides))]
    whole = interleave([jnp.asarray(part) for part in parts], axes, strides)
    for part, place in zip(parts, itertools.product(*map(range, strides)), strict=True):
        index = [slice(None)] * len(shape)
        for axis, first, stride in zip(axes, place, strides, strict=True):
            index[axis] = slice(first, None, stride)
        np.testing.assert_array_equal(whole[tuple(index)], part)
