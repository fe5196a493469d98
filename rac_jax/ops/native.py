"""XLA's own convolution, channels last."""

from collections.abc import Sequence

import jax
from jax import lax


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    groups: int = 1,
) -> jax.Array:
    """Convolves [B, *space, C] with a kernel [taps..., C, O], of x's type, to [B, *space', O].

    With groups the channels of both sides fall into so many parts that do not see each other,
    and the kernel is [taps..., C / groups, O].

    XLA accumulates low-precision convolutions in float32 on every platform; asking for a float32
    result only to round it would deny GPUs their low-precision kernels.
    """
    axes = tuple(range(1, x.ndim - 1))
    last = x.ndim - 1
    numbers = lax.ConvDimensionNumbers(
        lhs_spec=(0, last, *axes),
        rhs_spec=(last, last - 1, *range(last - 1)),
        out_spec=(0, last, *axes),
    )
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides,
        padding=padding,
        dimension_numbers=numbers,
        feature_group_count=groups,
    )
