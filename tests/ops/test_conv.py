"""Convolutions against XLA's own, forward and both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rac_jax.ops import conv
from rac_jax.ops.cpu import conv as cpu_conv
from rac_jax.ops.cpu import winograd

VIDEO_CASES = {
    "space": ((2, 3, 9, 7, 4), (1, 3, 3), (1, 1, 1), (0, 1, 1)),
    "space, stride 2": ((2, 3, 9, 8, 4), (1, 3, 3), (1, 2, 2), (0, 1, 1)),
    "space, 7x7": ((1, 2, 11, 13, 3), (1, 7, 7), (1, 2, 2), (0, 3, 3)),
    "time": ((2, 5, 3, 4, 4), (3, 1, 1), (1, 1, 1), (1, 0, 0)),
    "time, stride 2": ((2, 7, 3, 4, 4), (3, 1, 1), (2, 1, 1), (1, 0, 0)),
    "time, 7": ((1, 9, 3, 2, 4), (7, 1, 1), (2, 1, 1), (3, 0, 0)),
    "pointwise": ((2, 3, 4, 5, 6), (1, 1, 1), (1, 1, 1), (0, 0, 0)),
    "pointwise, stride 2": ((2, 5, 7, 6, 6), (1, 1, 1), (2, 2, 2), (0, 0, 0)),
    "pointwise, padded": ((1, 3, 4, 5, 2), (1, 1, 1), (1, 2, 2), (1, 1, 1)),
    "full": ((2, 5, 6, 7, 3), (3, 3, 3), (1, 2, 1), (1, 1, 0)),
    "many channels": ((1, 4, 6, 7, 18), (1, 3, 3), (1, 2, 1), (0, 1, 1)),
    "many channels over time": ((1, 7, 3, 2, 18), (3, 1, 1), (2, 1, 1), (1, 0, 0)),
    "one frame": ((1, 1, 5, 5, 3), (3, 1, 1), (2, 1, 1), (1, 0, 0)),
    "time and stride of space": ((1, 5, 7, 6, 3), (3, 1, 1), (1, 2, 2), (1, 0, 0)),
}
IMAGE_CASES = {
    "3x3": ((2, 9, 7, 4), (3, 3), (1, 1), (1, 1)),
    "3x3, stride 2": ((2, 9, 8, 4), (3, 3), (2, 2), (1, 1)),
    "7x7": ((1, 13, 15, 1), (7, 7), (2, 2), (3, 3)),
    "5x2": ((1, 9, 8, 3), (5, 2), (3, 2), (2, 0)),
    "pointwise": ((2, 5, 4, 3), (1, 1), (2, 2), (0, 0)),
}
# Those that can go a quicker way on CPU.
QUICK_VIDEO_CASES = ("space", "time", "time, stride 2", "time, 7", "one frame")


def by_xla(x, kernel, strides, padding):
    letters = "DHW"[-len(strides) :]
    spec = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=spec, precision="highest"
    )


def assert_same_with_gradients(ours, shape, size, strides, pads):
    rng = np.random.default_rng(0)
    channels = 5
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*size, shape[-1], channels)), jnp.float32)
    padding = tuple((pad, pad) for pad in pads)

    def run(convolve):
        out, pull = jax.vjp(lambda x, k: convolve(x, k, strides, padding), x, kernel)
        weights = np.random.default_rng(1).normal(size=out.shape)
        return out, *pull(jnp.asarray(weights, jnp.float32))

    got, want = jax.jit(run, static_argnums=0)(ours), run(by_xla)
    for have, wish in zip(got, want, strict=True):
        assert have.shape == wish.shape
        np.testing.assert_allclose(have, wish, rtol=1e-4, atol=1e-4)


@pytest.fixture
def quick_for_all(monkeypatch):
    """Lets every convolution that can go a quicker way do so, so that tests stay small."""
    monkeypatch.setattr(cpu_conv, "LEAST_PLACES", 1)
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 0)
    monkeypatch.setattr(winograd, "LEAST_PRODUCTS", 0)


@pytest.mark.parametrize("case", VIDEO_CASES.values(), ids=VIDEO_CASES)
def test_video(case):
    assert_same_with_gradients(conv.conv_video, *case)


@pytest.mark.parametrize("name", QUICK_VIDEO_CASES)
def test_video_quickly(name, quick_for_all):
    assert_same_with_gradients(conv.conv_video, *VIDEO_CASES[name])


@pytest.mark.parametrize("case", IMAGE_CASES.values(), ids=IMAGE_CASES)
def test_image(case):
    assert_same_with_gradients(conv.conv_image, *case)


def test_image_quickly(quick_for_all):
    assert_same_with_gradients(conv.conv_image, *IMAGE_CASES["3x3"])


def test_uneven_padding():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 6, 7, 2)), jnp.float32)
    kernel = jnp.ones((3, 2, 2, 3))
    padding = ((2, 0), (0, 1))
    got = conv.conv_image(x, kernel, (2, 1), padding)
    np.testing.assert_allclose(got, by_xla(x, kernel, (2, 1), padding), rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 3, 3), (3, 1, 1), (1, 1, 1)])
def test_bfloat16_stays_bfloat16(size):
    x = jnp.ones((1, 3, 5, 5, 2), jnp.bfloat16)
    kernel = jnp.ones((*size, 2, 4), jnp.bfloat16)
    padding = tuple((k // 2, k // 2) for k in size)

    def total(x, kernel):
        out = conv.conv_video(x, kernel, (1, 1, 1), padding)
        assert out.dtype == jnp.bfloat16
        return out.astype(jnp.float32).sum()

    gradients = jax.grad(total, (0, 1))(x, kernel)
    assert [g.dtype for g in gradients] == [jnp.bfloat16] * 2


@pytest.mark.parametrize(
    "shape,kernel,strides,message",
    [
        ((1, 4, 5, 3), (3, 3, 3, 2), (1, 1, 1), "must both have 5 axes"),
        ((1, 2, 4, 5, 3), (1, 3, 3, 2, 2), (1, 1, 1), "has 3 channels"),
        ((1, 2, 4, 5, 3), (1, 3, 3, 3, 2), (1, 1), "strides"),
        ((1, 2, 4, 5, 3), (1, 5, 5, 3, 2), (1, 1, 1), "smaller than the kernel"),
    ],
)
def test_misfits_raise(shape, kernel, strides, message):
    with pytest.raises(ValueError, match=message):
        conv.conv_video(jnp.ones(shape), jnp.ones(kernel), strides, ((0, 0),) * 3)
