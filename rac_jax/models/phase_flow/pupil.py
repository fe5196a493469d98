"""How an exercise is taught: what the head reads of a clip, and the model that it becomes."""

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.family import Layers, Pupil
from rac_jax.counting.needs import FrameNeeds
from rac_jax.models.phase_flow.network import EVERY, PhaseFlow, flow_features
from rac_jax.models.sien.phases import SCHEMES

FPS = 16.0  # that are looked at, as in paper 3
SIZE = 64  # pixels a side
HIDDEN = 24
SCHEME = "halves"
# Of the ways to count, the one with the fewest mistakes on taught scenes (docs/experiments.md).
COUNTING = {"scheme": SCHEME, "decoder": "thresholds", "average": 2}
PREPROCESSING = {
    "size": SIZE,
    "fps": FPS,
    "colour": "grey",
    "mean": [0.0],
    "std": [1.0],
}


def make_pupil() -> Pupil:
    """One that knows nothing yet."""
    phases = len(SCHEMES[SCHEME])
    program = jax.jit(flow_features)

    def features(frames: np.ndarray) -> np.ndarray:
        state = PhaseFlow().start(1, SIZE, SIZE)
        rows = [np.zeros((0, 1), np.float32)]
        for first in range(0, len(frames) - EVERY + 1, EVERY):
            piece = frames[None, first : first + EVERY].astype(np.float32) / 255
            state, found = program(state, piece)
            rows.append(np.asarray(found)[0])
        return np.concatenate(rows[1:] or rows)

    def make(layers: Layers):
        (inner, inner_bias), (outer, outer_bias) = layers
        params = {
            "hidden_head": {"kernel": inner, "bias": inner_bias},
            "phase_head": {"kernel": outer, "bias": outer_bias},
        }
        arguments = {"hidden": HIDDEN, "phases": phases}
        config = {"arguments": arguments, "preprocessing": PREPROCESSING} | COUNTING
        variables = {"params": jax.tree.map(jnp.asarray, params), "batch_stats": {}}
        return PhaseFlow(**arguments), variables, config

    needs = FrameNeeds((SIZE, SIZE), colour="grey", most_fps=2 * FPS)
    return Pupil(needs, FPS, EVERY, (HIDDEN,), phases, features, make)
