"""What the compiler makes of an encoder: nothing is moved about between its layers."""

import re

import jax
import jax.numpy as jnp

from rac_jax.encoders import Encoder


def test_inference_transposes_nothing():
    encoder = Encoder("s3d")
    module = encoder.network(width=0.125)
    inputs = encoder.example_inputs(module)
    variables = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    clips = jax.ShapeDtypeStruct((2, 8, 32, 32, 3), jnp.float32)
    program = jax.jit(module.apply).lower(variables, clips).compile().as_text()
    assert re.search(r"= \S+ fusion\(", program)  # the pattern finds operations
    assert not re.findall(r"= \S+ transpose\(", program)
