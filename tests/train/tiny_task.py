"""A task small enough to train in a moment: one dense layer with batch statistics."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rac_jax.data.labelled import LabelledVideo
from rac_jax.train.metrics import mean

VIDEOS = 12


class TinyNetwork(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(128, use_bias=False, name="first")(
            x
        )  # Adam blows up a zero gradient
        x = nn.BatchNorm(use_running_average=False, momentum=0.9, name="norm")(x)
        return nn.Dense(1, name="last")(jax.nn.relu(x))[:, 0]


class TinyTask:
    name = "tiny"
    trained = ("first", "norm", "last")

    def first(self, variables):
        return variables

    def prepare(self, batch, key):
        keys = jax.random.split(key, len(batch["x"]))
        noise = jax.vmap(lambda k: jax.random.normal(k, (128,)))(keys)
        return batch | {"x": batch["x"] + 0.01 * noise}

    def loss(self, params, stats, batch, key):
        found, updates = TinyNetwork().apply(
            {"params": params, "batch_stats": stats},
            batch["x"],
            mutable=["batch_stats"],
        )
        error = jnp.square(found - batch["y"])
        count = jnp.maximum(jnp.sum(batch["mask"]), 1)
        loss = jnp.sum(error * batch["mask"]) / count
        return loss, (updates["batch_stats"], {"error": mean(error, batch["mask"])})


def variables():
    return TinyNetwork().init(jax.random.key(0), jnp.zeros((2, 128)))


def settings(**changes):
    return ml_collections.ConfigDict(
        {
            "batch": 8,
            "accumulate": 1,
            "average_decay": 0.0,
            "rematerialise": "nothing",
            "evaluate_epochs": 1,
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
    x = rng.normal(size=(rows, 128)).astype(np.float32)
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
        return LabelledVideo(f"tiny{index}", frames, 25.0, None, count=2.0 + index)


class TinyCut:
    """Takes the video's number and a draw."""

    def blank(self):
        return {"x": np.zeros(128, np.float32), "y": np.float32(0)}

    def __call__(self, video, rng):
        x = rng.normal(size=128).astype(np.float32)
        x[0] = video.frames[0, 0, 0, 0]
        return {"x": x, "y": np.float32(video.count)}
