"""What the compiler makes of an encoder: nothing is moved about between its layers."""

import re

import jax
import jax.numpy as jnp

from rac_jax.models import registry


def test_inference_transposes_nothing():
    module = registry.build_model("s3d", width=0.125)
    variables = registry.abstract_variables(module)
    clips = jax.ShapeDtypeStruct((2, 8, 32, 32, 3), jnp.float32)
    program = jax.jit(module.apply).lower(variables, clips).compile().as_text()
    assert re.search(r"= \S+ fusion\(", program)  # the pattern finds operations
    assert not re.findall(r"= \S+ transpose\(", program)
