"""The maximum under a window against loops, and where its gradient goes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rac_jax.ops.window_max import window_max
from rac_jax.ops.windows import Window


def by_loops(x, window, g):
    """(maxima, gradient): of each window the first largest input, row by row, gets g."""
    (first, second), (a, b), (s, t) = window.axes, window.sizes, window.strides
    assert (first, second) == (1, 2)
    around = ((0, 0), *window.padding, (0, 0))
    padded = np.pad(x, around, constant_values=-np.inf)
    gradient, maxima = np.zeros_like(padded), np.zeros_like(g)
    for n, i, j, c in np.ndindex(g.shape):
        seen = padded[n, i * s : i * s + a, j * t : j * t + b, c]
        u, v = np.unravel_index(seen.argmax(), seen.shape)
        maxima[n, i, j, c] = seen[u, v]
        gradient[n, i * s + u, j * t + v, c] += g[n, i, j, c]
    (top, _), (left, _) = window.padding
    rows, columns = x.shape[1:3]
    return maxima, gradient[:, top : top + rows, left : left + columns]


@pytest.mark.usefixtures("quick_compiling")
@pytest.mark.parametrize(
    "sizes, strides, padding",
    [
        ((3, 3), (2, 2), ((1, 1), (1, 1))),
        ((2, 3), (1, 2), ((0, 1), (2, 0))),
        ((2, 2), (3, 2), ((0, 0), (0, 0))),
        # Too many taps for their number to be a byte.
        ((16, 17), (1, 2), ((2, 0), (0, 3))),
    ],
)
@pytest.mark.parametrize("tied", [False, True])
def test_maxima_and_gradient_are_those_of_loops(sizes, strides, padding, tied):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 18, 19, 2)).astype(np.float32)
    x = np.round(x) if tied else x
    window = Window((1, 2), sizes, strides, padding)
    shape = jax.eval_shape(lambda x: window_max(x, window), x).shape
    g = rng.normal(size=shape).astype(np.float32)

    @jax.jit
    def both(x, g):
        y, pull = jax.vjp(lambda x: window_max(x, window), x)
        return y, pull(g)[0]

    y, found = both(x, g)
    maxima, gradient = by_loops(x, window, g)
    np.testing.assert_array_equal(y, maxima)
    np.testing.assert_allclose(found, gradient, atol=1e-4)


def test_a_byte_per_window_is_saved():
    window = Window((1,), (3,), (2,), ((1, 1),))
    x = jnp.ones((4, 64, 8))
    saved = jax.eval_shape(lambda x: jax.vjp(lambda x: window_max(x, window), x)[1], x)
    leaves = [leaf for leaf in jax.tree.leaves(saved) if leaf.size]
    assert [(leaf.shape, leaf.dtype) for leaf in leaves] == [((4, 32, 8), jnp.uint8)]


def test_inputs_that_no_window_sees_have_no_gradient():
    window = Window((0,), (1,), (3,), ((0, 0),))
    gradient = jax.grad(lambda x: window_max(x, window).sum())(jnp.ones(7))
    assert gradient.tolist() == [place % 3 == 0 for place in range(7)]
