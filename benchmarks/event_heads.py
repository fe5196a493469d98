"""Networks that count, with a head of their own for events: what their frozen encoders see of them.

RepNet's and TransRAC's encoders look at each window as they do when they count; of the frames'
features the means and the strongest places are read by two convolutions over nine frames each, which
learn TA2Net's labels by its cross entropy from windows that `rac train --config
configs/ta2net.py:small` stored. The threshold is the best of those on the last tenth of these
windows, which the head does not learn from. The encoders learn nothing.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rac_jax.counting.event_scores import one_to_one
from rac_jax.counting.window_runs import window_weights
from rac_jax.models import loading
from rac_jax.models.ta2net import losses
from rac_jax.models.ta2net.peaks import peak_frames
from rac_jax.train.feature_cache import INDEX, StoredFeatures

CHANNELS, TAPS = 64, 9
STEPS, BATCH, RATE = 800, 8, 1e-3
HELD_OUT = 10  # every so many'th part of the windows, the last
THRESHOLDS = np.arange(0.1, 0.61, 0.05)
CLIP = "features.0"  # of what is stored, the pictures

Encode = Callable[[jax.Array], jax.Array]  # windows [B, N, H, W, 3] to [B, N, C]


class Head(nn.Module):
    """From frames' features to silence and sound."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, N, C] to [B, N, 2]."""
        for name in ("first", "second"):
            x = nn.relu(nn.Conv(CHANNELS, (TAPS,), name=name)(x))
        return nn.Dense(2, name="output")(x)


@dataclasses.dataclass(frozen=True, eq=False)
class EventHead:
    """A frozen encoder with a head.

    Attributes:
      size: height and width of the frames that it sees.
      probability: windows [B, N, H, W, 3] in [-1, 1] to that of sound [B, N].
      threshold: of events.
      frames: N.
    """

    size: int
    probability: Callable[[jax.Array], jax.Array]
    threshold: float
    frames: int

    def mark(self, frames: np.ndarray) -> np.ndarray:
        """Frames of events in a video uint8 [T, H, W, 3], T at least N: [k]."""
        shape = (len(frames), self.size, self.size, 3)
        small = jax.image.resize(frames.astype(np.float32), shape, "linear")
        last = len(frames) - self.frames
        starts = sorted({*range(0, last, self.frames // 2), last})
        weights, sums = window_weights(self.frames), np.zeros((2, len(frames)))
        for start in starts:
            part = slice(start, start + self.frames)
            found = self.probability(small[None, part] / 127.5 - 1)[0]
            sums[:, part] += weights * np.stack([found, np.ones(self.frames)])
        return peak_frames(sums[0] / sums[1], self.threshold)


def encoder_of(name: str) -> tuple[Encode, int, int]:
    """(the encoder of a model with means and maxima over places, its size, its frames)."""
    network, variables, config = loading.load_model(name)

    @jax.jit
    def encode(windows: jax.Array) -> jax.Array:
        maps = network.apply(variables, windows, method="features")[0]
        maps = maps.astype(jnp.float32)  # [B, N, h, w, C]
        return jnp.concatenate([maps.mean((2, 3)), maps.max((2, 3))], axis=-1)

    return encode, int(config["preprocessing"]["size"]), network.frames


def read_windows(
    folder: pathlib.Path, encode: Encode
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [n, N, C], events [n, N] and real frames [n, N] of all stored windows."""
    index = json.loads((folder / INDEX).read_text())
    stored = StoredFeatures(folder, index["key"])
    rows = sorted(row for shard in index["rows"] for row in shard)
    found = []
    for number in range(stored.batches):
        batch = stored.read(number, rows)
        features = encode(jnp.asarray(batch[CLIP], jnp.float32))
        found.append((np.asarray(features), batch["rate"], batch["periodic"]))
    features, events, real = (np.concatenate(part) for part in zip(*found, strict=True))
    return features, events, real


def learn(
    name: str, folder: pathlib.Path, seed: int = 0, steps: int = STEPS
) -> EventHead:
    """A model's frozen encoder with a head that has learned events.

    Args:
      name: of a model with `features`, of pictures as large as those stored.
      folder: that holds the stored windows' `index.json`.
      seed: of the first weights and the order.
      steps: of `BATCH` windows.

    Raises:
      ValueError: if the folder does not hold stored windows.
    """
    encode, size, frames = encoder_of(name)
    features, events, real = read_windows(folder, encode)
    centre, scale = features.mean((0, 1)), features.std((0, 1)) + 1e-6
    known = len(events) - len(events) // HELD_OUT
    head = Head()
    params = head.init(jax.random.key(seed), jnp.zeros((1, *features.shape[1:])))
    rates = optax.cosine_decay_schedule(RATE, steps)
    optimiser = optax.adam(rates)

    def loss(params, x, events, real):
        each = losses.cross_entropy(head.apply(params, x), events)
        return jnp.sum(each * real) / jnp.sum(real)

    @jax.jit
    def step(params, state, x, events, real):
        gradient = jax.grad(loss)(params, x, events, real)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, updates), state

    rng, state = np.random.default_rng(seed), optimiser.init(params)
    for _ in range(steps):
        rows = rng.integers(known, size=BATCH)
        x = (features[rows] - centre) / scale
        params, state = step(params, state, x, events[rows], real[rows])

    @jax.jit
    def sound(x: jax.Array) -> jax.Array:
        logits = head.apply(params, (x - centre) / scale)
        return jax.nn.softmax(logits)[..., 1]

    held = np.asarray(sound(features[known:]))

    def f1(threshold: float) -> float:
        scores = [
            one_to_one(peak_frames(p, threshold), np.flatnonzero(y)).f1
            for p, y in zip(held, events[known:], strict=True)
            if y.any()
        ]
        return float(np.mean(scores)) if scores else 0.0

    return EventHead(
        size,
        lambda windows: np.asarray(sound(encode(windows))),
        float(max(THRESHOLDS, key=f1)),
        frames,
    )
