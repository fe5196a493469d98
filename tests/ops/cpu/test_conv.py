"""What becomes of convolutions and their gradients when they are lowered for CPU."""

import jax
import jax.numpy as jnp
import pytest

from rac_jax.ops import compiling, conv, native
from rac_jax.ops.cpu import conv as cpu_conv

pytestmark = pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="what is done on CPU"
)


def gradients_of(shape, size, strides, padding):
    """The program, as text, of both gradients of a convolution."""

    def total(x, kernel):
        return jnp.square(conv.conv_image(x, kernel, strides, padding)).sum()

    x, kernel = jnp.ones(shape), jnp.ones(size)
    return jax.jit(jax.grad(total, (0, 1))).lower(x, kernel).as_text()


def test_strided_in_time_its_gradients_are_not_dilated():
    shape, size = (1, 9, cpu_conv.LEAST_PLACES, 4), (3, 1, 4, 5)
    text = gradients_of(shape, size, (2, 1), ((1, 1), (0, 0)))
    assert "convolution" in text and "dot_general" in text
    assert "dilate = [2" not in text


def test_pointwise_its_filter_gradient_transposes_nothing():
    x, kernel = jnp.ones((2, 4, 6, 6, 64)), jnp.ones((1, 1, 1, 64, 32))

    def total(kernel):
        out = conv.conv_video(x, kernel, (1, 1, 1), ((0, 0),) * 3)
        return jnp.square(out).sum()

    text = compiling.jit(jax.grad(total)).lower(kernel).compile().as_text()
    assert " dot(" in text and " transpose(" not in text


def test_minimal_filtering_is_for_large_convolutions_of_three_taps():
    def convolutions(taps, shape, channels):
        size = (*taps, shape[-1], channels)
        padding = tuple((k // 2, k // 2) for k in taps)
        text = gradients_of(shape, size, (1, 1), padding)
        return text.count("stablehlo.convolution")

    # 4 x 4 products forward and for the input's gradient, a convolution for the filter's.
    assert convolutions((3, 3), (2, 64, 64, 96), 96) == 2 * 4**2 + 1
    assert convolutions((3, 3), (2, 64, 64, 32), 96) == 3  # few channels
    assert convolutions((3, 3), (2, 8, 8, 96), 96) == 3  # a small picture
    # 6 products for 4 frames, and no convolution in the filter's gradient.
    assert convolutions((3, 1), (2, 32, 196, 96), 96) == 2 * 6


ZERO, ONE = (0, 0), (1, 1)


@pytest.mark.parametrize(
    "shape, size, strides, padding, wanted",
    [
        ((2, 64, 64, 96), (3, 3, 96, 96), (1, 1), (ONE, ONE), cpu_conv.filtered),
        ((2, 64, 64, 96), (3, 3, 96, 96), (2, 1), (ONE, ONE), cpu_conv.strided),
        ((2, 64, 64, 96), (3, 3, 96, 96), (1, 1), (ZERO, ZERO), None),
        ((2, 8, 8, 8), (3, 3, 8, 8), (1, 1), (ONE, ONE), None),
        ((2, 9, 64, 64, 96), (3, 3, 3, 96, 96), (1, 1, 1), (ONE, ONE, ONE), None),
    ],
)
def test_a_lowering_is_found_where_it_is_faster(shape, size, strides, padding, wanted):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    kernel = jax.ShapeDtypeStruct(size, jnp.float32)
    assert cpu_conv.find_lowering(x, kernel, strides, padding) is wanted


@pytest.mark.parametrize("lowering", [cpu_conv.filtered, cpu_conv.strided])
def test_on_other_platforms_they_are_xlas_convolutions(lowering):
    strides = (1, 1) if lowering is cpu_conv.filtered else (2, 1)
    x, kernel = jnp.ones((2, 9, 8, 4)), jnp.ones((3, 1, 4, 5))
    padding = (ONE, ZERO)

    def program(convolve):
        def total(x, kernel):
            return jnp.square(convolve(x, kernel, strides, padding)).sum()

        traced = jax.jit(jax.grad(total, (0, 1))).trace(x, kernel)
        return traced.lower(lowering_platforms=("cuda",)).as_text()

    ours, plain = program(lowering), program(native.convolve)
    for operation in ("stablehlo.convolution", "stablehlo.dot_general"):
        assert ours.count(operation) == plain.count(operation)
