"""The options that programs are compiled with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rac_jax.ops import compiling


@pytest.mark.skipif(
    jax.default_backend() != "cpu" or compiling.compiler_options() is None,
    reason="options of jaxlib's CPU compiler",
)
def test_convolutions_are_not_handed_to_ynnpack():
    def convolve(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=numbers
        )

    x, kernel = jnp.ones((8, 28, 28, 64)), jnp.ones((3, 3, 64, 64))
    plain = jax.jit(convolve).lower(x, kernel).compile()
    ours = compiling.jit(convolve).lower(x, kernel).compile()
    assert "ynn_fusion" in plain.as_text()
    assert "ynn_fusion" not in ours.as_text()
    np.testing.assert_allclose(ours(x, kernel), plain(x, kernel), rtol=1e-5)


def test_options_that_the_compiler_does_not_know_are_left_out(monkeypatch):
    monkeypatch.setattr(compiling, "CPU", {"xla_cpu_of_another_version": "1"})
    compiling.compiler_options.cache_clear()
    try:
        assert compiling.compiler_options() is None
        assert compiling.jit(lambda x: x + 1)(1) == 2
    finally:
        compiling.compiler_options.cache_clear()


def test_takes_the_options_of_jit():
    add = compiling.jit(lambda x, y: x + y, static_argnames="y")
    assert add(1, y=2) == 3


def test_materialised_is_the_same_array_with_the_same_gradient():
    x = jnp.arange(6.0).reshape(2, 3)

    def total(x):
        return jnp.sum(jnp.sin(compiling.materialised(2 * x)))

    np.testing.assert_array_equal(jax.jit(compiling.materialised)(x), x)
    np.testing.assert_allclose(jax.grad(total)(x), 2 * jnp.cos(2 * x), rtol=1e-6)
    got = compiling.jit(jax.vmap(compiling.materialised))(x)
    np.testing.assert_array_equal(got, x)

    def double(x, _):
        return compiling.materialised(2 * x), None

    got, _ = jax.lax.scan(double, x, None, 3)
    np.testing.assert_array_equal(got, 8 * x)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is done on CPU")
def test_materialised_is_not_fused_into_what_follows():
    def transposed(x, keep):
        y = jnp.maximum(x * 2 + 1, 0)
        return (compiling.materialised(y) if keep else y).T

    def fusions(keep):
        program = compiling.jit(lambda x: transposed(x, keep)).lower(jnp.ones((64, 32)))
        text = program.compile().as_text()
        return text[text.index("ENTRY") :].count(" fusion(")

    assert fusions(keep=False) == 1
    assert fusions(keep=True) == 2
