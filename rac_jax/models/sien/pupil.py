"""How a SI-EN is taught one exercise: a head of phases over its frozen encoder (paper 3, 3.6)."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.family import Layers, Model, Pupil
from rac_jax.encoders.strided_inflated import STRIDE
from rac_jax.models.sien import FAMILY, SIENOptions
from rac_jax.models.sien.estimator import step_program
from rac_jax.models.sien.phases import SCHEMES

SCHEME = "halves"
HEAD = "phase_head"


def make_pupil(model: Model) -> Pupil:
    """The model with a head of the scheme "halves" that is to be taught."""
    _, variables, config = model
    phases = len(SCHEMES[SCHEME])
    arguments = config["arguments"] | {"phases": phases, "activities": 0}
    encoder = FAMILY.network(**(arguments | {"phases": 0}))
    kept = {
        kind: {name: one for name, one in tree.items() if name == "encoder"}
        for kind, tree in variables.items()
    }
    step = step_program(
        encoder, config["preprocessing"], "features", lambda found: found.features
    )
    program = functools.partial(step, jax.device_put(kept))

    def features(frames: np.ndarray) -> np.ndarray:
        state, rows = encoder.start(1, *frames.shape[1:3]), []
        for first in range(0, len(frames) - STRIDE + 1, STRIDE):
            state, found = program(state, frames[None, first : first + STRIDE])
            rows.append(np.asarray(found)[0])
        return np.concatenate(rows)

    def make(layers: Layers) -> Model:
        ((kernel, bias),) = layers
        head = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
        made: dict[str, Any] = kept | {"params": kept["params"] | {HEAD: head}}
        fields: Mapping[str, Any] = {
            "arguments": arguments,
            "preprocessing": config["preprocessing"],
            "scheme": SCHEME,
            "decoder": "thresholds",
        }
        return FAMILY.network(**arguments), made, fields

    needs = FAMILY.needs(config, SIENOptions()).frames
    fps = float(config["preprocessing"]["fps"])
    return Pupil(needs, fps, STRIDE, (), phases, features, make)
