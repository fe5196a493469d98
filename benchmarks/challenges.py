"""The seven challenges of paper 1, each switched on in generated scenes: its Table 4.

    python -m benchmarks.challenges [--model NAME|DIR] [--scenes 40] [--seconds 8]

Renders scenes in memory, all with repetitions and with sound, and counts them by sight, by sound
and by both. A cell is the MAE (the mean of |count - label| / label) of unrounded counts, that of
rounded ones, and the OBO. The scenes of all columns are the same but for the challenge.
"""

import argparse

import jax
import numpy as np

import rac_jax
from rac_jax.counting import Counter, CountResult, enable_compilation_cache
from rac_jax.counting.scores import summarise
from rac_jax.scenes import CHALLENGES, SceneConfig, render_scene
from rac_jax.weights import DEFAULT_MODEL

FPS = 25.0
# The columns of the table: each stream by itself, and the count.
COLUMNS = ("sight", "sound", "both")


def counts_of(result: CountResult) -> dict[str, float]:
    """A column's count each; of a stream that said nothing it is 0."""
    streams = {stream.name: stream.count for stream in result.streams}
    found = {name: streams.get(name, 0.0) for name in ("sight", "sound")}
    return found | {"both": result.count}


def count_scenes(
    counter: Counter, config: SceneConfig, number: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(column to counts [N], labels [N]) of so many scenes."""
    render = jax.jit(lambda key: render_scene(key, config).replace(mask=None))
    counts, labels = {column: [] for column in COLUMNS}, []
    for index in range(number):
        key = jax.random.fold_in(jax.random.key(seed), index)
        scene = jax.device_get(render(key))
        result = counter.count(
            scene.frames, fps=FPS, waveform=scene.waveform, audio_rate=config.rate
        )
        for column, count in counts_of(result).items():
            counts[column].append(count)
        labels.append(round(float(scene.count)))
    arrays = {column: np.array(values) for column, values in counts.items()}
    return arrays, np.array(labels)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=77)
    args = parser.parse_args()
    enable_compilation_cache()
    counter = rac_jax.load(args.model)
    print(f"{counter.config['name']}, {args.scenes} scenes of {args.seconds:g} s each")
    print("| | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
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
        scores = [summarise(counts[column], labels) for column in COLUMNS]
        cells = [
            f"{one['mae']:.2f} / {one['mae_rounded']:.2f} / {one['obo']:.2f}"
            for one in scores
        ]
        print(f"| {challenge or 'none'} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
