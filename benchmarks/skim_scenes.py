"""Long scenes for `benchmarks/skim.py`: sets between backgrounds in which nothing repeats.

An hour of H.264 at 320 x 240 pixels and 25 frames per second, a keyframe at least every two
seconds, spliced of procedural scenes of 10 s and sets of 10 to 60 s: backgrounds are still or move
irregularly, nothing in them repeats, and each is a cut, so that a cut is no cue. Scenes are drawn
at 64 x 64 pixels and scaled up. In `audible` scenes sets have their own sounds, and twelve
backgrounds have the sound of somebody else's repetitions: decoys. In `silent` ones nothing is
heard, in `music` ones only music.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from benchmarks.long_video import LongVideo
from rac_jax.scenes import SOUND_DAMAGE, Scene, SceneConfig, render_scene

FPS, SIZE, RATE = 25, 64, 22050
SHOWN = (240, 320)
CHUNK_S = 10
LENGTH_S = 3600
DECOYS = 12
POOL = 60  # different backgrounds
# Lengths of the sets of a scene, in seconds.
SET_LENGTHS = {
    0: (),
    1: (60,),
    5: (60, 40, 30, 20, 10),
    12: (60, 40, 40, 30, 30, 20, 20, 20, 10, 10, 10, 10),
}
# Sound, number of sets, and how many such scenes there are to measure.
CASES = (
    ("audible", 0, 1),
    ("audible", 1, 2),
    ("audible", 5, 2),
    ("audible", 12, 2),
    ("music", 5, 1),
    ("silent", 5, 1),
)

FIT_SEED = 1000  # from here on, scenes to fit on

SHARED = SceneConfig(height=SIZE, width=SIZE, fps=FPS, rate=RATE, shot_change=0.0)
# Now and then another thing in a scene has a rhythm: not where nothing is to repeat.
BACKGROUND = dataclasses.replace(
    SHARED, frames=CHUNK_S * FPS, still=1.0, distractor=0.0
)
MUSIC = dataclasses.replace(BACKGROUND, sound_damage=1.0)
SET = dataclasses.replace(
    SHARED, still=0.0, pause=0.0, min_cycles=6, period=(10.0, 40.0), max_cycles=128
)


def set_config(length_s: int) -> SceneConfig:
    """The distribution of sets of a length."""
    return dataclasses.replace(SET, frames=length_s * FPS)


@functools.partial(jax.jit, static_argnums=1)
def render(key: jax.Array, config: SceneConfig) -> Scene:
    """A scene without its mask."""
    return render_scene(key, config).replace(mask=None)


@functools.partial(jax.jit, static_argnums=1)
def render_sound(key: jax.Array, config: SceneConfig) -> tuple[jax.Array, jax.Array]:
    """A scene's samples and what is wrong with them."""
    scene = render_scene(key, config)
    return scene.waveform, scene.sound_damage


@dataclasses.dataclass(frozen=True)
class Truth:
    """What a long scene holds: its count and (start_s, end_s) of every set."""

    count: float
    spans: tuple[tuple[float, float], ...]

    def inside(self, seconds: int) -> np.ndarray:
        """Which seconds' middles are of sets: bool [seconds]."""
        times = np.arange(seconds) + 0.5
        found = np.zeros(seconds, bool)
        for start_s, end_s in self.spans:
            found |= (start_s <= times) & (times < end_s)
        return found


@functools.cache
def backgrounds(fit: bool) -> list[Scene]:
    """What scenes to fit on, or to measure with, have between their sets."""
    key = jax.random.key(FIT_SEED - 1 if fit else 0)
    return [
        jax.device_get(render(jax.random.fold_in(key, n), BACKGROUND))
        for n in range(POOL)
    ]


def music(key: jax.Array) -> np.ndarray:
    """Ten seconds of music."""
    for number in range(100):
        samples, damage = render_sound(jax.random.fold_in(key, number), MUSIC)
        if SOUND_DAMAGE[int(damage)] == "music":
            return np.asarray(samples)
    raise RuntimeError("a hundred scenes without music")


def order(lengths: Sequence[int], rng: np.random.Generator) -> list[int | None]:
    """The numbers of the sets, None for a background: two sets never touch."""
    between = (LENGTH_S - sum(lengths)) // CHUNK_S
    # Each set after another background.
    after = dict(
        zip(
            rng.choice(between - 1, len(lengths), replace=False),
            rng.permutation(len(lengths)),
            strict=True,
        )
    )
    found: list[int | None] = []
    for place in range(between):
        found.append(None)
        if place in after:
            found.append(int(after[place]))
    return found


def make(
    path: pathlib.Path,
    sound: str,
    sets: int,
    seed: int,
    shown: tuple[int, int] = SHOWN,
) -> Truth:
    """Writes a long scene of (height, width); the same arguments give the same one."""
    key, rng = jax.random.key(seed), np.random.default_rng(seed)
    pool = backgrounds(seed >= FIT_SEED)
    lengths = SET_LENGTHS[sets]
    tune = music(jax.random.fold_in(key, 3)) if sound == "music" else None
    slots = order(lengths, rng)
    free = [place for place, number in enumerate(slots) if number is None]
    decoys = rng.choice(free, DECOYS, replace=False) if sound == "audible" else ()
    spans, count = [], 0.0
    rate = 0 if sound == "silent" else RATE
    with LongVideo(path, shown, FPS, rate) as file:
        for slot, number in enumerate(slots):
            if number is None:
                scene = pool[rng.integers(len(pool))]
            else:
                drawn = jax.random.fold_in(key, 2000 + number)
                scene = jax.device_get(render(drawn, set_config(lengths[number])))
                cycles = scene.cycles[scene.cycles_mask] + file.end_s
                spans.append((float(cycles.min()), float(cycles.max())))
                count += float(scene.count)
            samples = np.asarray(scene.waveform)
            if slot in decoys:
                other = jax.random.fold_in(key, 5000 + slot)
                samples = np.asarray(render_sound(other, set_config(CHUNK_S))[0])
            if tune is not None:
                samples = np.resize(tune, len(samples))
            file.add(scene.frames, samples)
    return Truth(count, tuple(spans))


def scenes(
    folder: pathlib.Path, fit: int = 0
) -> Iterator[tuple[str, int, pathlib.Path, Truth]]:
    """Yields (sound, sets, path, truth) of every scene; made if it is not there.

    To fit on, there are so many of each audible case; beliefs matter in no other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seed, cases = 1, CASES
    if fit:
        heard = [(sound, sets, 1) for sound, sets, _ in CASES if sound == "audible"]
        seed, cases = FIT_SEED, fit * heard
    for sound, sets, number in cases:
        for _ in range(number):
            path = folder / f"{sound}-{sets}-{seed}.mp4"
            labels = path.with_suffix(".json")
            if not labels.exists():
                truth = make(path, sound, sets, seed)
                labels.write_text(json.dumps(dataclasses.asdict(truth)))
            known = json.loads(labels.read_text())
            spans = tuple((a, b) for a, b in known["spans"])
            yield sound, sets, path, Truth(known["count"], spans)
            seed += 1
