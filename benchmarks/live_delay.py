"""How late a repetition is said live, how often one is said that is none, and whether it adds up.

    python -m benchmarks.live_delay [--scenes 40] [--seconds 20] [--rest 600]
    python -m benchmarks.live_delay --clips DIR/labels.csv [DIR/more.csv ...] [--shortest 16]

Frames are fed at a simulated pace: a reading comes when its frames are there and takes no time, so
that nothing here hangs on how busy the machine is. Scenes have cycles with known ends, periods of
0.5 to 2.5 s, and all that scenes have by default: jitter, drift of tempo, pauses, other things that
move, a moving camera, cuts. The scenes without repetition are still, fidget (the thing moves
irregularly) or walk (others pass by before a camera that moves). Clips are other people's videos
with counts; of them it is asked whether what was said live is what `rac count` says of the file, by
sight, at the end.
"""

import argparse
import csv
import pathlib
from collections.abc import Iterator, Sequence

import jax
import numpy as np

import rac_jax
from rac_jax.counting import Counter, CountResult, enable_compilation_cache
from rac_jax.counting.live import LiveCount, live_counter
from rac_jax.counting.reading import Reading
from rac_jax.counting.said import Said
from rac_jax.counting.source import FileSource
from rac_jax.scenes import SceneConfig, render_scene
from rac_jax.weights import DEFAULT_MODEL

FPS = 25.0
SIDE = 128  # pixels
PERIODS_S = (0.5, 2.5)
DELAYS_S = (0.0, 0.5, 1.0, 2.0)
MISSED_S = np.inf  # the delay of a cycle that was never said

# Nothing in them has a rhythm.
REST = {
    "still": {"gestures": 0.0, "distractor": 0.0},
    "fidget": {"gestures": 1.0, "distractor": 0.35, "distractor_rhythm": 0.0},
    "walk": {
        "gestures": 0.0,
        "distractor": 1.0,
        "distractor_rhythm": 0.0,
        "camera": 2.0,
    },
}


def readings(
    live: LiveCount, frames: np.ndarray, times_s: np.ndarray
) -> Iterator[Reading]:
    """Every reading of a stream."""
    last = None
    for index in range(len(frames)):
        live.feed(frames[index : index + 1], times_s[index : index + 1])
        if live.reading is not last:
            last = live.reading
            yield last


def tell(found: Sequence[Reading], delay_s: float) -> tuple[list[float], Said, int]:
    """What is said of readings while it happens, before the source has ended.

    Returns:
      (when each increment that stayed was said, in seconds; what is said with the last reading;
      how many were taken back).
    """
    said, times_s, back = Said(delay_s), [], 0
    for reading in found:
        said = said.hear(reading)
        back += max(0, len(times_s) - said.count)
        del times_s[said.count :]
        times_s += [reading.until_s] * (said.count - len(times_s))
    return times_s, said, back


def scene_readings(
    counter: Counter, config: SceneConfig, key: jax.Array
) -> tuple[list[Reading], np.ndarray]:
    """Readings of a scene, and the labelled ends of its cycles in seconds."""
    scene = jax.device_get(_render(key, config))
    live = LiveCount(counter, "scene", FPS, **by_sight(counter))
    side = live.needs.size
    frames = rac_jax.media.resize_frames(scene.frames, side, live.needs.interpolation)
    frames = rac_jax.media.pixels.to_grey(frames)[..., None]
    found = list(readings(live, frames, np.arange(len(frames)) / FPS))
    return found, scene.cycles[scene.cycles_mask, 1]


_render = jax.jit(
    lambda key, config: render_scene(key, config).replace(mask=None),
    static_argnums=1,
)


def by_sight(counter: Counter) -> dict[str, bool]:
    """The option that leaves sound out, of a family that has it."""
    fields = counter.family.Options.__dataclass_fields__
    return {"sound": False} if "sound" in fields else {}


def delays(times_s: Sequence[float], ends_s: np.ndarray) -> list[float]:
    """By how much each cycle was said after its labelled end; infinite for one that was not."""
    said = [*times_s, *[MISSED_S] * (len(ends_s) - len(times_s))]
    return [one - end for one, end in zip(said, ends_s)]


def on_scenes(counter: Counter, args: argparse.Namespace) -> None:
    """Prints delays and false counts over `DELAYS_S`."""
    config = SceneConfig(
        frames=round(args.seconds * FPS),
        height=SIDE,
        width=SIDE,
        fps=FPS,
        period=tuple(FPS * one for one in PERIODS_S),
        max_cycles=64,
        still=0.0,
    )
    root = jax.random.key(args.seed)
    moving = [
        scene_readings(counter, config, jax.random.fold_in(root, index))
        for index in range(args.scenes)
    ]
    resting = {}
    number = max(1, round(args.rest / args.seconds / len(REST)))
    for name, fields in REST.items():
        still = SceneConfig(**vars(config) | fields | {"still": 1.0})
        resting[name] = [
            scene_readings(counter, still, jax.random.fold_in(root, 10**6 + index))[0]
            for index in range(number)
        ]
    minutes = number * args.seconds / 60
    print(
        f"{counter.config['name']}: {args.scenes} scenes with repetitions, "
        f"{sum(len(ends) for _, ends in moving)} cycles; {number} scenes of each kind "
        f"without, {minutes:.1f} min each; {args.seconds:g} s a scene"
    )
    heads = ["delay", "median", "90th percentile", "final, median", "never said"]
    heads += ["too many", "taken back", *(f"false/min, {name}" for name in REST)]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for delay_s in DELAYS_S:
        late, missed, extra, back = [], 0, 0, 0
        for found, ends_s in moving:
            times_s, _, taken = tell(found, delay_s)
            late += delays(times_s, ends_s)
            missed += max(0, len(ends_s) - len(times_s))
            extra += max(0, len(times_s) - len(ends_s))
            back += taken
        false = [
            sum(tell(one, delay_s)[1].count for one in resting[name]) / minutes
            for name in REST
        ]
        cells = [f"{delay_s:g} s", f"{np.median(late):.2f} s"]
        cells += [f"{np.quantile(late, 0.9, method='higher'):.2f} s"]
        cells += [f"{np.median(late) + delay_s:.2f} s"]
        share = [100 * one / len(late) for one in (missed, extra, back)]
        cells += [f"{one:.1f} %" for one in share] + [f"{one:.2f}" for one in false]
        print("| " + " | ".join(cells) + " |", flush=True)


def clip_rows(path: pathlib.Path) -> list[dict[str, str]]:
    """Rows of a CSV with file, start_s, end_s and count; files lie beside it."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            row | {"file": str(path.parent / row["file"])}
            for row in csv.DictReader(file)
        ]


def clip_readings(
    counter: Counter, row: dict[str, str]
) -> tuple[list[Reading], CountResult]:
    """Readings of a clip, and the result of the same frames as a whole file."""
    options = by_sight(counter)
    span = {"start_s": float(row["start_s"]), "end_s": float(row["end_s"])}
    needs = counter.family.needs(counter.config, counter.options(**options))
    source = FileSource(row["file"], needs, **span)
    live = LiveCount(
        counter, row["file"], source.fps, start_s=span["start_s"], **options
    )
    found = [
        one
        for chunk in source.chunks()
        for one in readings(live, chunk.frames, chunk.times_s)
    ]
    return found, counter.count(row["file"], **span, **options)


def on_clips(
    counter: Counter, paths: Sequence[pathlib.Path], shortest: int | None
) -> None:
    """Prints how often what was said before and at the end is what a whole file is counted."""
    rows = [row for path in paths for row in clip_rows(path)]
    rows.sort(key=lambda row: float(row["end_s"]) - float(row["start_s"]))
    rows = rows[:shortest]
    clips = [(float(row["count"]), *clip_readings(counter, row)) for row in rows]
    print(f"{counter.config['name']}: {len(clips)} clips, by sight")
    print(
        "| delay | before the end as offline | one off at most | at the end as offline | "
        "one off at most | OBO live | OBO offline |\n|" + "---|" * 7
    )
    labels = np.array([label for label, _, _ in clips])
    whole = np.array([result.rounded for _, _, result in clips])
    for delay_s in DELAYS_S:
        said = [tell(found, delay_s)[1] for _, found, _ in clips]
        before = np.array([one.count for one in said])
        live = np.array(
            [one.conclude(count).count for one, count in zip(said, whole.tolist())]
        )
        shares = [before == whole, np.abs(before - whole) <= 1]
        shares += [live == whole, np.abs(live - whole) <= 1]
        shares += [np.abs(live - labels) <= 1, np.abs(whole - labels) <= 1]
        cells = [f"{100 * one.mean():.0f} %" for one in shares]
        print(f"| {delay_s:g} s | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rest", type=float, default=600.0, help="seconds without")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--clips", nargs="+", type=pathlib.Path, metavar="CSV")
    parser.add_argument("--shortest", type=int, metavar="N", help="of the clips only")
    args = parser.parse_args()
    enable_compilation_cache()
    counter = live_counter(rac_jax.load(args.model))
    if args.clips:
        on_clips(counter, args.clips, args.shortest)
    else:
        on_scenes(counter, args)


if __name__ == "__main__":
    main()
