"""Teaching a model one exercise by a few marked clips: a head of phases over what it sees.

Everything but the head stays as it is, so what it sees of the clips is computed once, and all of
it fits into memory: learning takes seconds. How well it went is told by clips that were left out.
"""

import dataclasses
import itertools
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rac_jax.counting.counter import Counter
from rac_jax.counting.family import Family, Layers, Pupil
from rac_jax.counting.needs import Needs
from rac_jax.counting.source import FileSource
from rac_jax.counting.steady import steady_frames
from rac_jax.data.phase_tags import TaggedClip

# Chosen on scenes (docs/experiments.md): few clips are learned by heart in fewer steps than these,
# and noise, in standard deviations of what is seen, keeps the head from it.
STEPS = 250
RATE = 3e-3
DECAY = 0.1
NOISE = 0.5
DROPPED = 0.3  # of the hidden units
SMOOTHING = 0.05  # of the targets
LEAST_CLIPS = 2
LEAST_REPETITIONS = 4
FOLDS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Lesson:
    """What is seen of a clip, and what it should be taken for.

    Attributes:
      clip: itself.
      features: float32 [m, F].
      phases: int32 [m] of the outputs: 0 background, 1 and 2 the halves of a repetition.
    """

    clip: TaggedClip
    features: np.ndarray
    phases: np.ndarray


def see(pupil: Pupil, clip: TaggedClip) -> Lesson:
    """Looks at a clip.

    Raises:
      MediaError: if it cannot be read.
      ValueError: if it is too short for one output, or all its repetitions are after its end.
    """
    source = FileSource(clip.path, Needs(pupil.needs, None))
    frames, times_s = steady_frames(source.chunks(), pupil.fps)
    if len(frames) < pupil.every:
        raise ValueError(f"{clip.path}: has {len(frames)} frames, too few to teach")
    if clip.cycles and clip.cycles[0][0] > times_s[-1]:
        raise ValueError(
            f"{clip.path}: ends at {times_s[-1]:.1f} s, its first repetition begins at "
            f"{clip.cycles[0][0]:g} s"
        )
    features = pupil.features(np.stack(frames))
    newest_s = np.array(times_s[pupil.every - 1 :: pupil.every])
    return Lesson(clip, features, phases_at(clip, newest_s))


def phases_at(clip: TaggedClip, times_s: np.ndarray) -> np.ndarray:
    """The phases of a clip at some times: int32, as many."""
    phases = np.zeros(len(times_s), np.int32)
    for start_s, middle_s, end_s in clip.cycles:
        phases[(times_s >= start_s) & (times_s < middle_s)] = 1
        phases[(times_s >= middle_s) & (times_s < end_s)] = 2
    return phases


def learn(
    pupil: Pupil,
    lessons: Sequence[Lesson],
    key: jax.Array,
    without: Collection[int] = (),
) -> Layers:
    """Learns the head.

    Args:
      pupil: whose head it is.
      lessons: at least one.
      key: PRNG key.
      without: places of lessons that are left out.

    Returns:
      The layers of the head.
    """
    x = np.concatenate([one.features for one in lessons])  # [N, F]
    phases = np.concatenate([one.phases for one in lessons])
    # Lessons that are left out weigh nothing, so that one program learns without any of them.
    weights = np.concatenate(
        [
            np.full(len(one.phases), float(place not in without), np.float32)
            for place, one in enumerate(lessons)
        ]
    )
    shown = x[weights > 0]
    mean, deviation = shown.mean(0), shown.std(0) + 1e-3
    hot = np.eye(pupil.phases, dtype=np.float32)[phases]
    targets = hot * (1 - SMOOTHING) + SMOOTHING / pupil.phases  # [N, P]

    # The last layer begins at nothing, those before it at what keeps the scale.
    sizes = (x.shape[1], *pupil.hidden, pupil.phases)
    layers = []
    for place, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        scale = 0.0 if place == len(sizes) - 2 else inputs**-0.5
        drawn = jax.random.normal(jax.random.fold_in(key, place), (inputs, outputs))
        layers.append((scale * drawn, jnp.zeros(outputs)))
    fitted = _fit(layers, (x - mean) / deviation, targets, weights, key)
    found = [tuple(map(np.asarray, layer)) for layer in fitted]
    # What was seen is standardised by the first layer from here on.
    kernel, bias = found[0]
    kernel = kernel / deviation[:, None]
    found[0] = (kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32))
    return found


@jax.jit
def _fit(
    layers: Layers,
    seen: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    key: jax.Array,
) -> Layers:
    """Layers after `STEPS` steps on seen [N, F], targets [N, P], weights [N]."""
    optimiser = optax.adamw(
        optax.cosine_decay_schedule(RATE, STEPS), weight_decay=DECAY
    )

    def loss(layers: Layers, key: jax.Array) -> jax.Array:
        noise, drop = jax.random.split(key)
        x = seen + NOISE * jax.random.normal(noise, seen.shape)
        for place, (kernel, bias) in enumerate(layers):
            x = x @ kernel + bias
            if place < len(layers) - 1:
                own = jax.random.fold_in(drop, place)
                kept = jax.random.bernoulli(own, 1 - DROPPED, x.shape)
                x = jax.nn.relu(x) * kept / (1 - DROPPED)
        cross = optax.softmax_cross_entropy(x, targets)
        return jnp.sum(weights * cross) / jnp.sum(weights)

    def step(carry, number):
        layers, state = carry
        slope = jax.grad(loss)(layers, jax.random.fold_in(key, 1000 + number))
        change, state = optimiser.update(slope, state, layers)
        return (optax.apply_updates(layers, change), state), None

    carry = (layers, optimiser.init(layers))
    return jax.lax.scan(step, carry, jnp.arange(STEPS))[0][0]


@dataclasses.dataclass(frozen=True)
class Taught:
    """A model that was taught.

    Attributes:
      counter: of the model, with its whole config.
      left_out: (marked repetitions, what was counted) of each clip, by a head that had not seen
        it.
    """

    counter: Counter
    left_out: tuple[tuple[int, int], ...]


def check_clips(clips: Sequence[TaggedClip], source: str | os.PathLike) -> None:
    """Checks that there is something to learn.

    Raises:
      ValueError: naming the file of tags.
    """
    number = sum(len(clip.cycles) for clip in clips)
    shown = sum(bool(clip.cycles) for clip in clips)
    if shown < LEAST_CLIPS or number < LEAST_REPETITIONS:
        raise ValueError(
            f"{source}: marks {number} repetitions in {shown} clips; at least "
            f"{LEAST_REPETITIONS} in {LEAST_CLIPS} are needed"
        )


def teach(
    family: Family,
    pupil: Pupil,
    lessons: Sequence[Lesson],
    config: Mapping[str, Any],
    seed: int = 0,
) -> Taught:
    """Teaches an exercise.

    Args:
      family: of the pupil.
      pupil: who is taught.
      lessons: of all the clips.
      config: "name" of the model, and what else its config should have.
      seed: of the head's first weights, of noise, and of which clips are left out together.

    Returns:
      The model, taught by all of the clips.
    """
    key = jax.random.key(seed)
    # Of few clips each is left out once, of more several at a time.
    order = np.random.default_rng(seed).permutation(len(lessons))
    found: dict[int, int] = {}
    for fold in np.array_split(order, min(FOLDS, len(lessons))):
        counter = taught_counter(family, pupil, lessons, key, fold.tolist(), {})
        for place in fold.tolist():
            found[place] = counter.count(lessons[place].clip.path).rounded
    left_out = tuple(
        (len(one.clip.cycles), found[place]) for place, one in enumerate(lessons)
    )
    errors = [abs(counted - marked) for marked, counted in left_out]
    training = {
        "clips": len(lessons),
        "repetitions": sum(marked for marked, _ in left_out),
        "seed": seed,
    }
    accuracy = {
        "left_out": {
            "clips": len(lessons),
            "right": sum(error == 0 for error in errors),
            "one_off_at_most": sum(error <= 1 for error in errors),
        }
    }
    extra = dict(config) | {"training": training, "accuracy": accuracy}
    return Taught(taught_counter(family, pupil, lessons, key, (), extra), left_out)


def taught_counter(
    family: Family,
    pupil: Pupil,
    lessons: Sequence[Lesson],
    key: jax.Array,
    without: Collection[int],
    config: Mapping[str, Any],
) -> Counter:
    """The pupil with a head that has learned from some lessons.

    Args:
      family, pupil, lessons: as in `teach`.
      key, without: as in `learn`.
      config: further fields of the model's config.
    """
    network, variables, own = pupil.make(learn(pupil, lessons, key, without))
    full = {"name": "", "family": family.name} | dict(own) | dict(config)
    return Counter(family, network, variables, full)
