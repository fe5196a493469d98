"""Windows and interleaving against strided slices."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.ops.windows import Window, interleave, under_taps


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


def test_what_is_under_each_tap():
    x = np.random.default_rng(0).normal(size=(2, 7, 3, 8)).astype(np.float32)
    window = Window((1, 3), (3, 2), (2, 3), ((1, 0), (0, 2)))
    padded = np.pad(x, ((0, 0), (1, 0), (0, 0), (0, 2)), constant_values=-5)
    seen = under_taps(jnp.asarray(x), window, -5.0)
    assert len(seen) == len(window.taps()) == 6
    for got, (t, u) in zip(seen, window.taps(), strict=True):
        want = padded[:, t : t + 5 : 2, :, u : u + 7 : 3]
        np.testing.assert_array_equal(got, want)
