"""A task small enough to train in a moment: one dense layer with batch statistics."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rac_jax.data.labelled import LabelledVideo
from rac_jax.train.metrics import mean
from rac_jax.train.recipe import Examples, Task, VideoExamples
from rac_jax.train.report import validation_scores
from rac_jax.train.run import Run

VIDEOS = 12
FEATURES = 128


class TinyNetwork(nn.Module):
    """Features [B, 128] to counts [B]."""

    dtype: str = "float32"

    @nn.compact
    def __call__(self, x, train=False):
        # Without a bias: Adam blows up a zero gradient.
        x = nn.Dense(FEATURES, use_bias=False, name="first")(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")(x)
        return nn.Dense(1, name="last")(jax.nn.relu(x))[:, 0]


class TinySampler:
    """Takes the video's number and a draw."""

    def blank(self):
        return {"x": np.zeros(FEATURES, np.float32), "y": np.float32(0)}

    def __call__(self, video, rng):
        x = rng.normal(size=FEATURES).astype(np.float32)
        x[0] = video.frames[0, 0, 0, 0]
        return {"x": x, "y": np.float32(video.count)}


TINY_EXAMPLES = VideoExamples(TinySampler())


@dataclasses.dataclass(frozen=True)
class TinyTask(Task):
    """Regresses a number; where there is a run, it is validated by the family's counter."""

    run: Run | None = None
    examples: Examples = TINY_EXAMPLES

    name = "tiny"
    trained = ("first", "norm", "last")

    def prepare(self, batch, key):
        if "row" in batch:
            batch = self.rendered(batch["row"], key)
        keys = jax.random.split(key, len(batch["x"]))
        noise = jax.vmap(lambda k: jax.random.normal(k, (FEATURES,)))(keys)
        return batch | {"x": batch["x"] + 0.01 * noise}

    def rendered(self, rows, key):
        """A batch that is drawn on the device."""
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)
        x = jax.vmap(lambda k: jax.random.normal(k, (FEATURES,)))(keys)
        return {"x": x, "y": x[:, :3].sum(1), "mask": jnp.ones(len(rows), bool)}

    def loss(self, params, batch_stats, batch, key):
        found, updates = TinyNetwork().apply(
            {"params": params, "batch_stats": batch_stats},
            batch["x"],
            train=True,
            mutable=["batch_stats"],
        )
        error = jnp.square(found - batch["y"])
        count = jnp.maximum(jnp.sum(batch["mask"]), 1)
        loss = jnp.sum(error * batch["mask"]) / count
        return loss, (updates["batch_stats"], {"error": mean(error, batch["mask"])})

    def validate(self, variables, epoch):
        if self.run is None:
            return {"error": 1 / epoch}
        counts = self.run.counts(variables, "val")
        return validation_scores(counts, self.run.videos("val"))


def variables():
    return TinyNetwork().init(jax.random.key(0), jnp.zeros((2, FEATURES)))


def settings(**changes):
    return ml_collections.ConfigDict(
        {
            "epochs": 5,
            "epoch_steps": 12,
            "batch": 8,
            "accumulate": 1,
            "average_decay": 0.0,
            "rematerialise": "nothing",
            "evaluate_epochs": 1,
            "keep_best": False,
            "log_steps": 5,
            "checkpoint_steps": 3,
            "optimiser": {
                "name": "adamw",
                "learning_rate": 0.01,
                "momentum": 0.0,
                "weight_decay": 1e-4,
                "clip": 1.0,
                "schedule": "cosine",
                "warmup": 2,
            },
        }
        | changes
    )


def batch(step, rows=8):
    rng = np.random.default_rng(step)
    x = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    return {"x": x, "y": x[:, :3].sum(1), "mask": np.ones(rows, bool)}


class TinyVideos:
    """Videos of a few pixels; the ones in `broken` cannot be read."""

    def __init__(self, number=VIDEOS, broken=()):
        self.number, self.broken = number, broken

    def __len__(self):
        return self.number

    def name(self, index):
        return f"tiny{index}.mp4"

    def __getitem__(self, index):
        if index in self.broken:
            raise ValueError(f"tiny{index}.mp4: is broken")
        frames = np.full((16, 2, 2, 3), index, np.uint8)
        return LabelledVideo(f"tiny{index}", frames, 25.0, count=2.0 + index)
