"""The seven challenges of paper 1, each switched on in generated scenes: its Table 4.

    python -m benchmarks.challenges [--model NAME|DIR] [--scenes 40] [--seconds 8]

Renders scenes in memory, all with repetitions and with sound, and counts them by sight, by sound
and by both. MAE is the mean of |count - label| / label of unrounded counts. The scenes of all
columns are the same but for the challenge.
"""

import argparse

import jax
import numpy as np

from rac_jax import counting
from rac_jax.counting.scores import summarise
from rac_jax.scenes import CHALLENGES, SceneConfig, render_scene
from rac_jax.weights import DEFAULT_MODEL

FPS = 25.0
WAYS = ("sight", "sound", "fused")


def count_scenes(counter, config: SceneConfig, number: int, seed: int):
    """(way to counts [N], labels [N])."""
    render = jax.jit(lambda key: render_scene(key, config).replace(mask=None))
    counts, labels = {way: [] for way in WAYS}, []
    for index in range(number):
        key = jax.random.fold_in(jax.random.key(seed), index)
        scene = jax.device_get(render(key))
        result = counter.count(
            scene.frames, fps=FPS, waveform=scene.waveform, audio_rate=config.rate
        )
        counts["sight"].append(result.sight.count)
        counts["sound"].append(result.sound.count if result.sound else 0.0)
        counts["fused"].append(result.count)
        labels.append(round(float(scene.count)))
    return {way: np.array(values) for way, values in counts.items()}, np.array(labels)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=77)
    args = parser.parse_args()
    counting.enable_compilation_cache()
    counter = counting.load(args.model)
    print(f"{counter.config['name']}, {args.scenes} scenes of {args.seconds:g} s each")
    print("| | " + " | ".join(WAYS) + " |\n|---|" + "---|" * len(WAYS))
    for challenge in ("", *CHALLENGES):
        config = SceneConfig(
            frames=round(args.seconds * FPS),
            height=128,
            width=128,
            fps=FPS,
            period=(8.0, 75.0),
            max_cycles=80,
            still=0.0,
            challenges=(challenge,) if challenge else (),
        )
        counts, labels = count_scenes(counter, config, args.scenes, args.seed)
        scores = [summarise(counts[way], labels) for way in WAYS]
        cells = [f"{one['mae']:.2f} / {one['obo']:.2f}" for one in scores]
        print(f"| {challenge or 'none'} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
