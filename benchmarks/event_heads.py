"""A network that counts, with a head of its own for events: what its encoder sees of them.

RepNet's encoder looks at each window as it does when it counts; of the frames' features (of
TransRAC's, those of its first scale: TransRAC small looks by RepNet small's encoder, so its row is
the same) the means and the strongest places are read by two convolutions over nine frames each.
They learn TA2Net's labels by its cross entropy from windows that `rac train --config
configs/ta2net.py:small` stored. The threshold is the best of those on the last tenth of these
windows, which nothing learns from. The encoder learns nothing at first; then, if so wanted, it
learns with the head, at a tenth of the rate and from the pictures.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

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
TUNED_RATE = 1e-4  # where the encoder learns, too
HELD_OUT = 10  # every so many'th part of the windows, the last
THRESHOLDS = np.arange(0.1, 0.61, 0.05)
CLIP = "features.0"  # of what is stored, the pictures

# The variables of a network, and windows [B, N, H, W, 3] in [-1, 1], to features [B, N, C].
Encode = Callable[[Any, jax.Array], jax.Array]


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
    """An encoder with a head.

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


class StoredWindows:
    """Windows that a training of TA2Net stored, a batch at a time.

    Args:
      folder: that holds their `index.json`.

    Raises:
      ValueError: if it does not hold stored windows.
    """

    def __init__(self, folder: pathlib.Path):
        index = json.loads((folder / INDEX).read_text())
        self._stored = StoredFeatures(folder, index["key"])
        self._rows = sorted(row for shard in index["rows"] for row in shard)
        self.batches = self._stored.batches

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pictures [B, N, H, W, 3] in [-1, 1], events [B, N] and real frames [B, N]."""
        batch = self._stored.read(number, self._rows)
        return batch[CLIP].astype(np.float32), batch["rate"], batch["periodic"]


def encoder_of(name: str) -> tuple[Encode, Any, int, int]:
    """(a model's encoder, with means and maxima over places, its variables, size and frames)."""
    network, variables, config = loading.load_model(name)

    def encode(variables: Any, windows: jax.Array) -> jax.Array:
        maps = network.apply(variables, windows, method="features")[0]
        maps = maps.astype(jnp.float32)  # [B, N, h, w, C]
        return jnp.concatenate([maps.mean((2, 3)), maps.max((2, 3))], axis=-1)

    return encode, variables, int(config["preprocessing"]["size"]), network.frames


def learn(
    name: str,
    windows: StoredWindows,
    seed: int = 0,
    steps: int = STEPS,
    tuned_steps: int = 0,
) -> EventHead:
    """A model's encoder with a head that has learned events.

    Args:
      name: of a model with `features`, of pictures as large as those stored.
      windows: to learn from.
      seed: of the first weights and the order.
      steps: of `BATCH` windows, in which the head learns alone.
      tuned_steps: of a stored batch each, in which the encoder learns, too, after that.
    """
    encode, variables, size, frames = encoder_of(name)
    frozen = jax.jit(functools.partial(encode, variables))
    found = []
    for number in range(windows.batches):
        pictures, events, real = windows.read(number)
        found.append((np.asarray(frozen(pictures)), events, real))
    features, events, real = (np.concatenate(part) for part in zip(*found, strict=True))
    centre, scale = features.mean((0, 1)), features.std((0, 1)) + 1e-6
    known = len(events) - len(events) // HELD_OUT
    head, rng = Head(), np.random.default_rng(seed)
    params = head.init(jax.random.key(seed), jnp.zeros((1, *features.shape[1:])))

    def loss(params, x, events, real):
        each = losses.cross_entropy(head.apply(params, (x - centre) / scale), events)
        return jnp.sum(each * real) / jnp.sum(real)

    def drawn() -> tuple[np.ndarray, ...]:
        rows = rng.integers(known, size=BATCH)
        return features[rows], events[rows], real[rows]

    params = descended(loss, params, drawn, steps, RATE)
    whole = {"encoder": variables, "head": params}
    if tuned_steps:

        def seen(whole, pictures, *others):
            # What is no parameter, such as statistics of batches, stays.
            own = variables | {"params": whole["encoder"]["params"]}
            return loss(whole["head"], encode(own, pictures), *others)

        batches = known * windows.batches // len(events)
        whole = descended(
            seen,
            whole,
            lambda: windows.read(int(rng.integers(batches))),
            tuned_steps,
            TUNED_RATE,
        )

    @jax.jit
    def sound(pictures: jax.Array) -> jax.Array:
        x = (encode(whole["encoder"], pictures) - centre) / scale
        return jax.nn.softmax(head.apply(whole["head"], x))[..., 1]

    held = [
        (probability, row)
        for number in range(
            windows.batches - windows.batches // HELD_OUT, windows.batches
        )
        for pictures, events, _ in [windows.read(number)]
        for probability, row in zip(np.asarray(sound(pictures)), events, strict=True)
        if row.any()
    ]

    def f1(threshold: float) -> float:
        scores = [
            one_to_one(peak_frames(p, threshold), np.flatnonzero(y)).f1 for p, y in held
        ]
        return float(np.mean(scores)) if scores else 0.0

    best = float(max(THRESHOLDS, key=f1))
    return EventHead(size, lambda one: np.asarray(sound(one)), best, frames)


def descended(
    loss: Callable, params: Any, draw: Callable[[], tuple], steps: int, rate: float
) -> Any:
    """Parameters after so many steps of Adam, its rate falling as a cosine."""
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))
    state = optimiser.init(params)

    @jax.jit
    def step(params, state, *batch):
        gradient = jax.grad(loss)(params, *batch)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state, *draw())
    return params
