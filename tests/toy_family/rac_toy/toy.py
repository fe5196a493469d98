"""The toy's network, how it counts, and how it learns to."""

import dataclasses
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rac_jax.counting.estimator import Partial
from rac_jax.counting.result import Measurement, RepetitionSet, Stream, rate_of_sets
from rac_jax.scenes import render_scene
from rac_jax.train.recipe import Recipe, RenderedExamples, Stage, Task
from rac_jax.train.report import report, validation_scores
from rac_jax.train.run import Run
from rac_jax.train.splits import scene_config
from rac_toy import SIDE


class PixelSum(nn.Module):
    """Differences from the first frame [B, 64] in 0..1 to one number, positive if far."""

    dtype: str = "float32"

    @nn.compact
    def __call__(self, differences):
        return nn.Dense(1, dtype=self.dtype, name="sum")(differences)[:, 0]  # [B]


@dataclasses.dataclass(frozen=True)
class ToyState:
    """What is remembered between chunks: the first frame, and when the sum rose."""

    first: np.ndarray | None = None
    above: bool = True
    rises_s: tuple[float, ...] = ()
    end_s: float = 0.0


class ToyEstimator:
    """Cycles begin where the sum rises."""

    def __init__(self, variables):
        self._sum = jax.device_get(variables["params"]["sum"])

    def start(self, info, options):
        return ToyState()

    def feed(self, state, chunk):
        if not len(chunk.times_s):
            return state, Partial()
        pixels = chunk.frames.reshape(len(chunk.frames), -1) / 255
        first = pixels[0] if state.first is None else state.first
        far = np.abs(pixels - first) @ self._sum["kernel"] + self._sum["bias"]
        above = far[:, 0] > 0  # [n]
        rises = above & ~np.append(state.above, above[:-1])
        rises_s = (*state.rises_s, *chunk.times_s[rises].tolist())
        state = ToyState(first, bool(above[-1]), rises_s, float(chunk.times_s[-1]))
        return state, Partial(float(len(rises_s)))

    def finish(self, state):
        cycles = tuple(itertools.pairwise((*state.rises_s, state.end_s)))
        count, sets = float(len(cycles)), ()
        if cycles:
            sets = (RepetitionSet(cycles[0][0], cycles[-1][1], count, cycles),)
        streams = (Stream("sight", count, 1.0),)
        return Measurement(count, rate_of_sets(sets), streams, sets, end_s=state.end_s)


@dataclasses.dataclass(frozen=True)
class PixelTask(Task):
    """Tells near from far, on scenes that are rendered inside the step."""

    run: Run

    name = "pixels"
    trained = ("sum",)
    examples = RenderedExamples()

    def prepare(self, batch, key):
        easy = scene_config(self.run.config.data.train.scenes, height=32, width=32)
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(batch["row"])
        scenes = jax.vmap(lambda k: render_scene(k, easy))(keys)
        grey = jnp.mean(scenes.frames.astype("float32"), -1).reshape(-1, 32, 32, 1)
        frames = jax.image.resize(grey, (len(grey), SIDE, SIDE, 1), "linear")
        pixels = frames.reshape(len(keys), -1, SIDE * SIDE) / 255  # [B, T, 64]
        since = (scenes.phase - scenes.phase[:, :1]) % 1  # [B, T] cycles
        far = (since > 0.25) & (since < 0.75)
        return {"differences": jnp.abs(pixels - pixels[:, :1]), "far": far}

    def loss(self, params, batch_stats, batch, key):
        differences = batch["differences"].reshape(-1, SIDE * SIDE)
        logits = self.run.network.apply({"params": params}, differences)
        far = batch["far"].reshape(-1).astype("float32")
        loss = optax.sigmoid_binary_cross_entropy(logits, far)
        return jnp.mean(loss), (batch_stats, {})

    def validate(self, variables, epoch):
        found = self.run.counts(variables, "val")
        return validation_scores(found, self.run.videos("val"))


RECIPE = Recipe(
    stages=(Stage("pixels", lambda run, _: PixelTask(run), ("data",), ("sum",)),),
    model_config=lambda run: {
        "name": run.config.name,
        "family": "toy",
        "arguments": {},
        "preprocessing": {"size": SIDE},
    },
    evaluate=lambda run, variables: report(
        {"sight": run.counts(variables, "test")}, run.videos("test")
    ),
)
