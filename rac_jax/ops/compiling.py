"""`jit` for programs full of convolutions: on CPU they are compiled the faster way.

jaxlib's CPU compiler hands convolutions to YNNPACK by default. On the shapes of video networks
the older way, Eigen, is up to 1.5 times as fast forward and 2 to 7 times in the filter gradient
(two AVX2 cores, jaxlib 0.10.2). Reductions and dots stay where they are: rendering scenes takes
many small dots, which Eigen is slow at. Large ones are the faster for being written as a
convolution of one tap. Operations are ordered for little memory: a training step needs a sixth
less, and is no slower for it. A program of one's own takes
`jax.jit(..., compiler_options=compiler_options())`.

A fault of jaxlib 0.10.2 to know of: compiled so, a product `x @ M` with a matrix M that the
program itself fills with one number (`jnp.ones`, `full`, `zeros`) is garbage. Nothing of ours
has such a product; an argument, or a sum in its place, is right.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

CPU = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE",
    "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
}


@functools.cache
def compiler_options() -> dict[str, str] | None:
    """What `jax.jit` takes under this name; None off the CPU, or where jaxlib has no such options.

    Asks for the default backend, so call it after `jax.distributed.initialize`.
    """
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=CPU).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return CPU


def jit(function: Callable, **options: Any) -> Callable:
    """`jax.jit` with these options; its result cannot be called inside another jitted function."""
    return jax.jit(function, compiler_options=compiler_options(), **options)


def materialised(x: jax.Array) -> jax.Array:
    """x, which XLA:CPU computes into an array of its own before anything that follows.

    It would compute it inside whatever uses it: a normalisation inside the transposition behind
    it, where that takes several times as long, and once for each of several sums. (An
    `optimization_barrier` is gone by the time that XLA:CPU fuses operations; the call of a
    function that may not be inlined is not.) On other platforms x itself.
    """
    return lax.platform_dependent(x, cpu=_called, default=lambda x: x)


@jax.jit
def _identity(x):
    return x


def _called(x):
    with set_xla_metadata(inlineable="false"):
        return _identity(x)
