"""What the machine can do at best, measured: a large matrix product, and a large sum."""

import statistics
import time

import jax
import jax.numpy as jnp


def _seconds(run, *arrays) -> float:
    jax.block_until_ready(run(*arrays))
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        jax.block_until_ready(run(*arrays))
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def measure(dtype: str) -> dict[str, float]:
    """{"flops", "bytes"} per second: of a square matrix product, and of y = a + b."""
    large = jax.default_backend() != "cpu"
    size = 8192 if large else 2048
    a = jnp.ones((size, size), dtype)
    product = 2 * size**3 / _seconds(jax.jit(jnp.matmul), a, a)
    long = jnp.ones((2**28 if large else 2**25,), jnp.float32)
    moved = 3 * long.nbytes / _seconds(jax.jit(jnp.add), long, long)
    return {"flops": product, "bytes": moved}
