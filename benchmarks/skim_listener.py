"""Trains what tells, of a second of sound, whether it goes with a repetition.

    python -m benchmarks.skim_listener --sounds SOUNDS.npz --out rac_jax/counting/skim/listener.safetensors

Ten to twenty seconds at a time of the sound of procedural scenes, one after the other: half of
them backgrounds in which nothing repeats (noise, strays, now and then music or speech), some with
music or speech alone, the others sets, with or without a lead-in. They are drawn with keys of
their own, from which no scene of `benchmarks/skim.py` is drawn. `rac_jax/counting/skim/listener.py`
says what the network is given. It is trained on four fifths of the sound; what it tells of the
last fifth is printed: the area under the curve, and the share of all set seconds among the tenth
of the seconds that it believes in most, both beside the highest peak of the autocorrelation
(`rhythm`). Rendering takes some minutes and is done once, training one.
"""

import argparse
import dataclasses
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import safetensors.numpy

from rac_jax.counting.skim import listener, rhythm
from rac_jax.scenes import SOUND_DAMAGE, SceneConfig, render_scene

SEED = 90_001
FPS, RATE, TOGETHER = 25, 16_000, 16
CHUNK_S = 10
SHARED = SceneConfig(height=16, width=16, fps=FPS, rate=RATE, shot_change=0.0)
BACKGROUND = dataclasses.replace(SHARED, frames=CHUNK_S * FPS, still=1.0)
SET = dataclasses.replace(
    SHARED,
    frames=CHUNK_S * FPS,
    still=0.0,
    pause=0.0,
    min_cycles=6,
    period=(10.0, 40.0),
    max_cycles=64,
)
# Kinds of scenes, and how many times `TOGETHER` of each.
KINDS = (
    (BACKGROUND, 60),
    (SET, 20),
    (dataclasses.replace(SET, frames=2 * CHUNK_S * FPS), 8),
    # The middle of a longer one.
    (dataclasses.replace(SET, cut=1.0), 8),
    (dataclasses.replace(BACKGROUND, sound_damage=1.0), 16),
)
LOUD = ("music", "speech")  # of the last kind the others are left out

HIDDEN = 16
STEPS, BATCH, LEARNING_RATE, DECAY = 3000, 512, 3e-3, 1e-3
HELD_OUT = 0.2
BELIEVED = 0.1  # share of the seconds, for the second score


def rendered(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers [n, F] of `rhythm.listen` of all the sound, and bool [N]: seconds of sets."""
    key, rng = jax.random.key(seed), np.random.default_rng(seed)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for place, (config, batches) in enumerate(KINDS):

        def one(drawn: jax.Array, config: SceneConfig = config):
            scene = render_scene(drawn, config)
            return scene.waveform, scene.cycles, scene.cycles_mask, scene.sound_damage

        render = jax.jit(jax.vmap(one))
        times = np.arange(config.frames // FPS) + 0.5
        for batch in range(batches):
            drawn = jax.random.fold_in(key, 1000 * place + batch)
            found = jax.device_get(render(jax.random.split(drawn, TOGETHER)))
            for samples, cycles, mask, damage in zip(*found, strict=True):
                inside = np.zeros(len(times), bool)
                if config.sound_damage and SOUND_DAMAGE[int(damage)] not in LOUD:
                    continue
                if not config.still:
                    known = cycles[mask]
                    inside = (known.min() <= times) & (times < known.max())
                parts.append((halved(samples), inside))
    order = rng.permutation(len(parts))
    blocks = (parts[number][0].astype(np.float32) for number in order)
    return rhythm.listen(blocks), np.concatenate([parts[n][1] for n in order])


def halved(samples: np.ndarray) -> np.ndarray:
    """A sound at half of its rate."""
    spectrum = np.fft.rfft(samples)[: len(samples) // 4 + 1]
    return np.fft.irfft(spectrum, len(samples) // 2) / 2


def train(inputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Weights of `listener.log_odds` by cross entropy, with Adam and weight decay."""
    scaling = {"middle": inputs.mean(0), "scale": inputs.std(0) + 1e-3}
    scaled = (inputs - scaling["middle"]) / scaling["scale"]
    first, second = jax.random.split(jax.random.key(0))
    channels = inputs.shape[1]
    params = {
        "kernel1": jax.random.normal(first, (channels, HIDDEN)) / np.sqrt(channels),
        "bias1": jnp.zeros(HIDDEN),
        "kernel2": jax.random.normal(second, (HIDDEN, 1)) / np.sqrt(HIDDEN),
        "bias2": jnp.zeros(1),
    }
    schedule = optax.cosine_decay_schedule(LEARNING_RATE, STEPS)
    optimiser = optax.adamw(schedule, weight_decay=DECAY)

    def loss(params, x, y):
        hidden = jnp.tanh(x @ params["kernel1"] + params["bias1"][None])
        odds = (hidden @ params["kernel2"] + params["bias2"][None])[:, 0]
        return optax.sigmoid_binary_cross_entropy(odds, y).mean()

    @jax.jit
    def step(params, state, x, y):
        updates, state = optimiser.update(jax.grad(loss)(params, x, y), state, params)
        return optax.apply_updates(params, updates), state

    state, rng = optimiser.init(params), np.random.default_rng(0)
    for _ in range(STEPS):
        rows = rng.integers(len(scaled), size=BATCH)
        params, state = step(params, state, scaled[rows], targets[rows].astype("f4"))
    found = scaling | jax.device_get(params)
    return {name: np.asarray(one, np.float32) for name, one in found.items()}


def area(scores: np.ndarray, inside: np.ndarray) -> float:
    """How probable it is that a second of a set has a higher score than another second."""
    ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    sets, others = inside.sum(), (~inside).sum()
    return float((ranks[inside].sum() - sets * (sets - 1) / 2) / (sets * others))


def reached(scores: np.ndarray, inside: np.ndarray) -> float:
    """The share of the sets' seconds among those with the highest scores."""
    most = np.argsort(-scores, kind="stable")[: round(BELIEVED * len(scores))]
    return float(inside[most].sum() / min(inside.sum(), len(most)))


def main() -> None:
    """Renders if need be, trains, prints the scores and writes the weights."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sounds", type=pathlib.Path, required=True, help="a cache")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the weights")
    args = parser.parse_args()
    began = time.perf_counter()
    if not args.sounds.exists():
        powers, inside = rendered(SEED)
        np.savez(args.sounds, powers=powers, inside=inside)
    stored = np.load(args.sounds)
    powers, inside = stored["powers"], stored["inside"]
    inputs = listener.features(powers, len(inside))
    cut = round((1 - HELD_OUT) * len(inside))
    weights = train(inputs[:cut], inside[:cut])
    plain = rhythm.rhythm(rhythm.onset_envelope(powers), len(inside))
    for name, scores in (
        ("learnt", listener.log_odds(weights, inputs)),
        ("rhythm", plain),
    ):
        for part, rows in (("seen", slice(cut)), ("held out", slice(cut, None))):
            found = scores[rows], inside[rows]
            print(
                f"{name}, {part}: area {area(*found):.3f}, reached {reached(*found):.3f}"
            )
    safetensors.numpy.save_file(weights, args.out)
    print(
        f"{args.out}: {args.out.stat().st_size} bytes, {time.perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
