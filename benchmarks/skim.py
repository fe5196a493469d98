"""Counting long scenes at a part of their cost: how well, beside other ways to choose the part.

    python -m benchmarks.skim --folder FOLDER --json results.json
    python -m benchmarks.skim --folder FOLDER --fit

Ten-minute scenes of 64 x 64 pixels at 25 frames per second, spliced of procedural ones of 10 s
(20 s for the set where there is one), a keyframe every two seconds: backgrounds in which nothing
repeats, still or with irregular movements, every one of them a cut, so that a cut is no cue. In
`audible` scenes sets have their own sounds, and four backgrounds have the sound of somebody
else's repetitions: decoys. In `silent` ones nothing is heard, in `music` ones only music.

Policies at the same budget: ours (`rac_jax/counting/skim`); `rhythm`, `loudness` and `uniform`
look at the spans that are most rhythmic, loudest, or evenly apart, whatever they find there.
Everything else is the same, and beliefs that are all alike are followed, where `rac count` would
look at everything (`fallback` in the rows). `--fit` fits what our policy believes of a preview, on other seeds.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Callable

import av
import jax
import numpy as np

import rac_jax
from rac_jax.counting.result import CountResult
from rac_jax.counting.skim import policy, skimmer
from rac_jax.counting.skim.preview import Preview, preview
from rac_jax.scenes import SOUND_DAMAGE, Scene, SceneConfig, render_scene

FPS, SIZE, RATE = 25, 64, 22050
CHUNK_S = 10
CHUNKS = 60
DECOYS = 4
KEYFRAME_EVERY = 50  # frames
BASELINES = ("loudness", "uniform")  # or "rhythm"
BUDGETS = (0.02, 0.05, 0.10, 0.20)
# Sound, number of sets and how many such scenes.
CASES = (
    ("audible", 0, 1),
    ("audible", 1, 1),
    ("audible", 5, 1),
    ("silent", 5, 1),
    ("music", 5, 1),
)

FIT_SEED = 1000  # from here on, scenes to fit on

SHARED = SceneConfig(height=SIZE, width=SIZE, fps=FPS, rate=RATE, shot_change=0.0)
BACKGROUND = dataclasses.replace(SHARED, frames=CHUNK_S * FPS, still=1.0)
SETS = {
    length: dataclasses.replace(
        SHARED,
        frames=length * FPS,
        still=0.0,
        pause=0.0,
        min_cycles=6,
        period=(10.0, 40.0),
        max_cycles=64,
    )
    for length in (10, 20)
}
MUSIC = dataclasses.replace(BACKGROUND, sound_damage=1.0)


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


@functools.cache
def backgrounds(fit: bool) -> list[Scene]:
    """What scenes to fit on, or to measure with, have between their sets."""
    key = jax.random.key(FIT_SEED - 1 if fit else 0)
    return [
        jax.device_get(render(jax.random.fold_in(key, n), BACKGROUND))
        for n in range(24)
    ]


def music(key: jax.Array) -> np.ndarray:
    """Ten seconds of music."""
    for number in range(100):
        samples, damage = render_sound(jax.random.fold_in(key, number), MUSIC)
        if SOUND_DAMAGE[int(damage)] == "music":
            return np.asarray(samples)
    raise RuntimeError("a hundred scenes without music")


def make(path: pathlib.Path, sound: str, sets: int, seed: int) -> Truth:
    """Writes a long scene; the same arguments give the same one."""
    key, rng = jax.random.key(seed), np.random.default_rng(seed)
    pool = backgrounds(seed >= FIT_SEED)
    length = 20 if sets == 1 else CHUNK_S
    moving = [
        jax.device_get(render(jax.random.fold_in(key, 2000 + n), SETS[length]))
        for n in range(sets)
    ]
    tune = music(jax.random.fold_in(key, 3)) if sound == "music" else None
    # Sets never touch; decoys lie among the backgrounds.
    slots = CHUNKS - (1 if length == 20 else 0)
    while True:
        places = np.sort(rng.choice(slots - 1, sets, replace=False))
        if sets < 2 or np.diff(places).min() > 1:
            break
    free = [n for n in range(slots) if n not in places]
    decoys = rng.choice(free, DECOYS, replace=False) if sound == "audible" else ()
    spans, count, begin_s = [], 0.0, 0.0
    draft = path.with_suffix(".part.mp4")
    with av.open(draft, "w") as file:
        picture = file.add_stream("libx264", rate=FPS)
        picture.width = picture.height = SIZE
        picture.pix_fmt = "yuv420p"
        picture.options = {"crf": "23", "preset": "veryfast", "g": str(KEYFRAME_EVERY)}
        track = None
        if sound != "silent":
            track = file.add_stream("aac", rate=RATE, layout="mono")
        heard = 0
        for slot in range(slots):
            if slot in places:
                scene = moving[list(places).index(slot)]
                cycles = scene.cycles[scene.cycles_mask] + begin_s
                spans.append((float(cycles.min()), float(cycles.max())))
                count += float(scene.count)
            else:
                scene = pool[rng.integers(len(pool))]
            samples = np.asarray(scene.waveform)
            if slot in decoys:
                other = jax.random.fold_in(key, 5000 + slot)
                samples = np.asarray(render_sound(other, SETS[CHUNK_S])[0])
            if tune is not None:
                samples = np.resize(tune, len(samples))
            for pixels in scene.frames:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels))
                file.mux(picture.encode(frame))
            if track is not None:
                block = av.AudioFrame.from_ndarray(
                    np.clip(samples, -1, 1)[None].astype(np.float32), "fltp", "mono"
                )
                block.sample_rate, block.pts = RATE, heard
                heard += len(samples)
                file.mux(track.encode(block))
            begin_s += len(scene.frames) / FPS
        file.mux(picture.encode(None))
        if track is not None:
            file.mux(track.encode(None))
    draft.rename(path)
    return Truth(count, tuple(spans))


def scenes(folder: pathlib.Path, fit: bool = False):
    """Yields (sound, sets, path, truth) of every scene; made if it is not there.

    To fit on, there is one of each case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seed = FIT_SEED if fit else 1
    for sound, sets, number in CASES:
        for _ in range(1 if fit else number):
            path = folder / f"{sound}-{sets}-{seed}.mp4"
            labels = path.with_suffix(".json")
            if not labels.exists():
                truth = make(path, sound, sets, seed)
                labels.write_text(json.dumps(dataclasses.asdict(truth)))
            known = json.loads(labels.read_text())
            spans = tuple((a, b) for a, b in known["spans"])
            yield sound, sets, path, Truth(known["count"], spans)
            seed += 1


def overlap(found: list[tuple[float, float]], truth: Truth) -> float:
    """Intersection over union of the found and the true sets; 1 where there are none of either."""
    ends = [end for _, end in (*found, *truth.spans)]
    if not ends:
        return 1.0
    times = np.arange(0, max(ends), 0.05)
    ours, theirs = (
        np.any([(a <= times) & (times < b) for a, b in spans], axis=0)
        if spans
        else np.zeros(len(times), bool)
        for spans in (found, list(truth.spans))
    )
    return float((ours & theirs).sum() / (ours | theirs).sum())


def scores(seen: Preview, name: str) -> np.ndarray:
    """What a policy that takes no feedback looks at first, as beliefs of its ranks."""
    if name == "uniform":
        # Bit-reversed places: any first so many of them lie about evenly.
        places = range(0, seen.seconds, policy.PROBE_S)
        order = sorted(range(len(places)), key=lambda n: f"{n:012b}"[::-1])
        values = np.zeros(seen.seconds)
        for rank, block in enumerate(order):
            values[places[block] :][: policy.PROBE_S] = len(places) - rank
        return 0.05 + 0.9 * values / len(places)
    values = np.nan_to_num(getattr(seen, name))
    kernel = np.ones(policy.PROBE_S) / policy.PROBE_S
    values = np.convolve(values, kernel, mode="same")
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return 0.05 + 0.9 * ranks / max(1, len(ranks) - 1)


class Deaf(policy.Policy):
    """A policy that takes no feedback."""

    def found(self, span, repeats, open_start, open_end) -> None:
        """Nothing."""


def measure(counter, path: pathlib.Path, truth: Truth) -> list[dict]:
    """A row per policy and budget."""
    began = time.perf_counter()
    seen = preview(path)
    previewed_s = time.perf_counter() - began
    known: dict[tuple[float, float | None], CountResult] = {}
    used: list[CountResult] = []

    def count(start_s: float, end_s: float | None) -> CountResult:
        # Spans come again at the next budget; the time of the first time counts.
        if (start_s, end_s) not in known:
            known[start_s, end_s] = counter.count(path, start_s=start_s, end_s=end_s)
        used.append(known[start_s, end_s])
        return used[-1]

    whole = count(0.0, None)
    rows = []

    def add(name: str, budget: float, parts: list[CountResult], **more) -> None:
        spans = [(s.start_s, s.end_s) for part in parts for s in part.sets or ()]
        rows.append(
            {
                "policy": name,
                "budget": budget,
                "count": sum(part.count for part in parts),
                "overlap": overlap(spans, truth),
                "seconds": sum(one.seconds for one in used),
            }
            | more
        )

    add("everything", 1.0, [whole])
    beliefs = policy.believe(seen)
    makers: dict[str, Callable[[int], policy.Policy]] = {
        "skim": lambda left: policy.Policy(beliefs, left)
    }
    for name in BASELINES:
        makers[name] = functools.partial(Deaf, scores(seen, name))
    for name, maker in makers.items():
        for budget in BUDGETS:
            used.clear()
            chosen = maker(int(budget * seen.seconds))
            parts = skimmer.look(chosen, seen, count)
            more = {"looked": float(chosen.looked.mean())}
            if name == "skim":
                lost = [
                    span
                    for span in truth.spans
                    if not chosen.looked[int(span[0]) : int(np.ceil(span[1]))].all()
                ]
                more |= {
                    "fallback": policy.says_nothing(seen, beliefs),
                    "missed_probability": chosen.missed(),
                    "missed": bool(lost),
                }
            add(name, budget, parts, **more)
            rows[-1]["seconds"] += previewed_s if name != "uniform" else 0.0
    return [
        row | {"truth": truth.count, "whole": whole.count, "preview_s": previewed_s}
        for row in rows
    ]


def fit(folder: pathlib.Path) -> policy.Evidence:
    """The evidence of scenes of other seeds, by logistic regression."""
    columns, labels = [], []
    for _, _, path, truth in scenes(folder, fit=True):
        seen = preview(path)
        times = np.arange(seen.seconds) + 0.5
        inside = np.zeros(seen.seconds, bool)
        for start_s, end_s in truth.spans:
            inside |= (start_s <= times) & (times < end_s)
        columns.append(np.stack([seen.rhythm, np.log1p(seen.motion)], axis=1))
        labels.append(inside)
    evidence, target = np.concatenate(columns), np.concatenate(labels).astype(float)
    middles = np.nanmean(evidence, axis=0)
    inputs = np.nan_to_num(evidence - middles)
    inputs = np.concatenate([np.ones((len(inputs), 1)), inputs], axis=1)
    weights = np.zeros(3)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-inputs @ weights))
        # A weak prior, so that evidence that tells nothing gets no weight.
        slope = inputs.T @ (target - chance) - 1e-3 * weights
        curve = (inputs * (chance * (1 - chance))[:, None]).T @ inputs
        weights += np.linalg.solve(curve + 1e-3 * np.eye(3), slope)
    return policy.Evidence(*map(float, (*weights, *middles)))


def table(rows: list[dict]) -> str:
    """The results as Markdown: by sound, policy and budget."""
    heads = (
        *(
            "sound",
            "policy",
            "budget",
            "error of the count",
            "within one of everything",
        ),
        *("IoU of sets", "false count without a set", "time, share of everything"),
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for sound in dict.fromkeys(row["sound"] for row in rows):
        for name in dict.fromkeys(row["policy"] for row in rows):
            for budget in (1.0,) if name == "everything" else BUDGETS:
                here = [
                    row
                    for row in rows
                    if (row["sound"], row["policy"], row["budget"])
                    == (sound, name, budget)
                ]
                some = [row for row in here if row["sets"]]
                none = [row for row in here if not row["sets"]]
                whole = [
                    row["seconds"]
                    for row in rows
                    if row["sound"] == sound and row["policy"] == "everything"
                ]
                error = [abs(r["count"] - r["truth"]) / r["truth"] for r in some]
                same = [abs(round(r["count"]) - round(r["whole"])) <= 1 for r in some]
                false = f"{np.mean([r['count'] for r in none]):.1f}" if none else "-"
                taken = sum(row["seconds"] for row in here) / sum(whole)
                lines.append(
                    f"| {sound} | {name} | {100 * budget:.0f} % | {np.mean(error):.2f} "
                    f"| {sum(same)} of {len(same)} "
                    f"| {np.mean([r['overlap'] for r in some]):.2f} | {false} "
                    f"| {taken:.2f} |"
                )
    return "\n".join(lines)


def main() -> None:
    """Makes the scenes, measures, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for scenes")
    parser.add_argument("--json", type=pathlib.Path, help="rows, as they are measured")
    parser.add_argument("--fit", action="store_true", help="fit the policy's evidence")
    args = parser.parse_args()
    if args.fit:
        print(fit(args.folder / "fit"))
        return
    counter = rac_jax.load()
    rows: list[dict] = []
    for sound, sets, path, truth in scenes(args.folder / "test"):
        found = measure(counter, path, truth)
        rows += [{"file": path.name, "sound": sound, "sets": sets} | r for r in found]
        print(
            f"{path.name}: {truth.count:.1f}, all {found[0]['count']:.1f}", flush=True
        )
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
