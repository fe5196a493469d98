"""How well events are marked on scenes whose contacts are known, and what is heard of a dub of them.

    python -m benchmarks.events [--scenes N] [--seed S] [--model NAME_OR_FOLDER ...] [--dub]
        [--windows FOLDER --encoder NAME ... [--tuned STEPS]]

Scenes that no model has seen: in `striking` ones something strikes a base or a floor; in
`touching nothing` much moves, and in `camera` the camera shakes, too. Models see the frames alone.
Given are F1 one to one within one and two frames (40 and 80 ms), bias and spread of the times of
what is found, and false events per minute where nothing is touched. A model without events is taken
at the ends of its cycles. Beside them stand the blind grid of the best n, and two rules on flow,
each with the threshold that is best on these very scenes: peaks of TV-L1's |v+ + v-|, and of the
second difference of DIS flow (the extra `flow`; left out with a line where it is not there).
Pointing is the share of found events whose place is near the true point of contact, beside what the
picture's middle gets. With --windows, the folder in which a TA2Net's training stored its windows,
the encoders named learn a head for events (`benchmarks/event_heads.py`), with --tuned after that
all of them so many steps. With --dub each striking scene is dubbed with clicks, and the default
model hears the track alone.
"""

import argparse
import dataclasses
import importlib.util
import pathlib
import sys
import tempfile
from collections.abc import Callable

import jax
import numpy as np

import rac_jax
from benchmarks import event_heads
from benchmarks.flow import by_opencv, dis
from rac_jax.counting import event_scores
from rac_jax.counting.counter import Counter
from rac_jax.counting.event_scores import MarkedVideo
from rac_jax.counting.instants import instants
from rac_jax.models.ta2net.kinematics import flows
from rac_jax.models.ta2net.peaks import peak_frames
from rac_jax.scenes import (
    SceneConfig,
    SceneContacts,
    render_scene,
    scene_contacts,
)
from rac_jax.view import dub
from rac_jax.view.cues import Cue

SEED = 30_000  # far from the seeds of the configs
FPS, FRAMES, SIZE = 25.0, 200, 112
COMMON = {"frames": FRAMES, "height": SIZE, "width": SIZE, "max_cycles": 64}
COMMON |= {"period": (8.0, 50.0), "pause": 0.3}
SILENT = {"kinds": ("orbit", "limb", "figure", "wheel", "breath")}
GROUPS = {
    "striking": COMMON | {"kinds": ("stroke", "bounce"), "still": 0.0},
    "touching nothing": COMMON | SILENT,
    "camera": COMMON | SILENT | {"camera": 3.0},
}
TOLERANCES_S = (1 / FPS, 2 / FPS)
NEAR = 0.15  # of the picture's side, of a place that is right
# The rules: the mean of the strongest share of pixels (of TV-L1 at this side), in deviations from
# its median.
RULE_SIDE, STRONGEST = 64, 0.02
RULE_THRESHOLDS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0)


@dataclasses.dataclass(frozen=True)
class Known:
    """A scene: frames uint8 [T, H, W, 3], frames of contact [k], and the contacts' points."""

    frames: np.ndarray
    labels: np.ndarray
    contacts: SceneContacts


@dataclasses.dataclass(frozen=True)
class Marks:
    """What is marked in a scene: frames [n], strengths [n], places [n, 2] of 0 to 1 or None."""

    frames: np.ndarray
    strengths: np.ndarray
    places: np.ndarray | None = None


def render(group: str, number: int, seed: int) -> list[Known]:
    """Scenes of one of `GROUPS`; of striking ones those in which something is struck."""
    config = SceneConfig(fps=FPS, **GROUPS[group])

    @jax.jit
    def one(key: jax.Array) -> tuple[tuple[jax.Array, jax.Array], SceneContacts]:
        scene = render_scene(key, config)
        return (scene.frames, scene.contacts), scene_contacts(key, config)

    found = []
    for index in range(number):
        key = jax.random.fold_in(jax.random.key(seed), index)
        (frames, touched), contacts = jax.device_get(one(key))
        if touched.any() or group != "striking":
            found.append(Known(np.asarray(frames), np.flatnonzero(touched), contacts))
    return found


def by_model(counter: Counter, scene: Known) -> Marks:
    """What a model marks: its events, or the ends of its cycles."""
    result = counter.count(scene.frames, fps=FPS)
    times = instants(result, "events" if result.events is not None else "ends")
    places = result.details.get("places")
    strengths = result.details.get("strengths") or [1.0] * len(times)
    return Marks(
        np.asarray(times) * FPS,
        np.asarray(strengths),
        np.asarray(places).reshape(-1, 2) if places is not None else None,
    )


def by_head(head: event_heads.EventHead, scene: Known) -> Marks:
    """What a frozen encoder with a head marks."""
    frames = head.mark(scene.frames)
    return Marks(frames, np.ones(len(frames)))


def turning(frames: np.ndarray) -> np.ndarray:
    """|v+ + v-| by TV-L1 of frames [T, H, W, 3], of each pixel at `RULE_SIDE`: [T, H · W]."""
    shape = (len(frames), RULE_SIDE, RULE_SIDE, 3)
    small = jax.image.resize(frames.astype(np.float32), shape, "linear")
    there, back = flows(small[None] / 127.5 - 1, "tv_l1_quick")
    # Where a pixel goes next minus where it came from.
    return np.linalg.norm(there[0] + back[0], axis=-1).reshape(len(frames), -1)


def second_difference(frames: np.ndarray) -> np.ndarray:
    """Flow by DIS to the next frame minus that from the one before, at each pixel: [T, H · W]."""
    flow = by_opencv(dis)(frames)  # [T - 1, H, W, 2]
    change = np.linalg.norm(np.diff(flow, axis=0), axis=-1)
    # Of the ends nothing is known.
    return np.pad(change.reshape(len(change), -1), ((1, 1), (0, 0)))


RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "TV-L1, peaks": turning,
    "DIS, peaks": second_difference,
}


def strength(change: np.ndarray) -> np.ndarray:
    """How much the strongest pixels of each frame change, [T], standardised; of [T, pixels]."""
    number = max(1, int(STRONGEST * change.shape[1]))
    strongest = np.sort(change, axis=1)[:, -number:].mean(1)
    deviation = max(float(np.std(strongest)), 1e-6)
    return (strongest - np.median(strongest)) / deviation


def by_rule(strengths: list[np.ndarray], threshold: float) -> list[Marks]:
    """Peaks of the rule."""
    found = [peak_frames(one, threshold) for one in strengths]
    return [Marks(one, np.ones(len(one))) for one in found]


def marked(scenes: list[Known], marks: list[Marks]) -> list[MarkedVideo]:
    """For the scores, scenes with labels."""
    return [
        MarkedVideo(mark.frames, scene.labels, FRAMES, FPS)
        for scene, mark in zip(scenes, marks, strict=True)
        if len(scene.labels)
    ]


def pointing(scenes: list[Known], marks: list[Marks]) -> tuple[float, float, int]:
    """(share of found events whose place is near the true one, that of the middle, number)."""
    near = []
    for scene, mark in zip(scenes, marks, strict=True):
        there = np.asarray(scene.contacts.mask)
        times = np.asarray(scene.contacts.times)[there] * FPS
        points = (np.asarray(scene.contacts.points)[there] + 0.5) / SIZE
        order = np.argsort(times)
        for i, j in event_scores.matched(mark.frames, times[order], 2.0):
            point = points[order][j]
            far = [np.linalg.norm(place - point) for place in (mark.places[i], 0.5)]
            near.append([one <= NEAR for one in far])
    shares = np.mean(near, axis=0) if near else (0.0, 0.0)
    return float(shares[0]), float(shares[1]), len(near)


def heard(counter: Counter, marks: list[Marks]) -> float:
    """Share of scenes whose dub, heard alone, is counted as marked, within one."""
    right = []
    with tempfile.TemporaryDirectory() as folder:
        for mark in marks:
            path = pathlib.Path(folder) / "dub.wav"
            cues = [
                Cue(float(frame) / FPS, float(strength))
                for frame, strength in zip(mark.frames, mark.strengths, strict=True)
            ]
            dub.write_dub(path, cues, FRAMES / FPS, dub.click())
            right.append(abs(counter.count(path).rounded - len(cues)) <= 1)
    return float(np.mean(right))


def line(name: str, videos: list[MarkedVideo], silent: dict[str, list[Marks]]) -> str:
    """A row of the table."""
    near, usual = (
        event_scores.summarise(videos, "one-to-one", tolerance)
        for tolerance in TOLERANCES_S
    )
    cells = [f"{near['f1']:.3f}", f"{usual['f1']:.3f}"]
    cells += [f"{usual['recall']:.3f}", f"{usual['precision']:.3f}"]
    for value in (usual["bias_s"], usual["spread_s"]):
        cells.append("-" if value is None else f"{1000 * value:.0f}")
    for marks in silent.values():
        minutes = len(marks) * FRAMES / FPS / 60
        cells.append(f"{sum(len(one.frames) for one in marks) / minutes:.1f}")
    return f"{name:28}" + "".join(f"{cell:>10}" for cell in cells)


def best_rule(
    scenes: dict[str, list[Known]], change: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, dict[str, list[Marks]]]:
    """(the threshold with the highest F1 on the striking scenes, what it marks in each group)."""
    strengths = {
        group: [strength(change(scene.frames)) for scene in known]
        for group, known in scenes.items()
    }

    def f1(threshold: float) -> float:
        marks = by_rule(strengths["striking"], threshold)
        videos = marked(scenes["striking"], marks)
        return event_scores.summarise(videos, "one-to-one")["f1"]

    best = max(RULE_THRESHOLDS, key=f1)
    return best, {group: by_rule(one, best) for group, one in strengths.items()}


def blind(scenes: dict[str, list[Known]]) -> tuple[int, dict[str, list[Marks]]]:
    """(the n of the best grid on the striking scenes, every n-th frame of each scene)."""
    none = Marks(np.zeros(0), np.zeros(0))
    videos = marked(scenes["striking"], [none] * len(scenes["striking"]))
    step = event_scores.blind_grid(videos, "one-to-one", TOLERANCES_S[1])["step"]
    frames = np.arange(step // 2, FRAMES, step)
    grid = Marks(frames, np.ones(len(frames)))
    return step, {group: [grid] * len(known) for group, known in scenes.items()}


def main() -> None:
    """Prints the table, row by row as they are known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=24, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S")
    parser.add_argument("--model", nargs="*", default=["ta2net-small", "compact"])
    parser.add_argument("--windows", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument(
        "--encoder", nargs="*", default=["repnet-small", "transrac-small"]
    )
    parser.add_argument("--tuned", type=int, default=0, metavar="STEPS")
    parser.add_argument("--dub", action="store_true")
    args = parser.parse_args()
    loaded = {name: rac_jax.load(name) for name in args.model}
    scenes = {group: render(group, args.scenes, args.seed) for group in GROUPS}
    striking = scenes["striking"]
    names = ["F1 40 ms", "80 ms", "recall", "precision", "bias ms", "spread ms"]
    print(f"{'':28}" + "".join(f"{n:>10}" for n in [*names, "nothing", "camera"]))

    def row(name: str, found: dict[str, list[Marks]]) -> None:
        silent = {group: found[group] for group in GROUPS if group != "striking"}
        print(line(name, marked(striking, found["striking"]), silent), flush=True)

    step, found = blind(scenes)
    row(f"every {step}th frame", found)
    for name, change in RULES.items():
        if change is second_difference and importlib.util.find_spec("cv2") is None:
            print(f'{name}: pip install "rac_jax[flow]"', file=sys.stderr)
            continue
        threshold, found = best_rule(scenes, change)
        row(f"{name} over {threshold}", found)
    windows = args.windows and event_heads.StoredWindows(args.windows)
    for name in args.encoder if windows else ():
        for tuned in sorted({0, args.tuned}):
            head = event_heads.learn(name, windows, tuned_steps=tuned)
            found = {
                group: [by_head(head, scene) for scene in known]
                for group, known in scenes.items()
            }
            row(f"{name}, {'whole' if tuned else 'head'}", found)
    ears = rac_jax.load() if args.dub else None
    for name, counter in loaded.items():
        found = {
            group: [by_model(counter, scene) for scene in known]
            for group, known in scenes.items()
        }
        row(name[-27:], found)
        marks = found["striking"]
        if all(mark.places is not None for mark in marks):
            ours, middle, number = pointing(striking, marks)
            print(f"  points at {ours:.2f} of {number} found (middle {middle:.2f})")
        if ears is not None:
            share = heard(ears, marks)
            print(f"  {share:.2f} of the dubs are heard as marked, within one")


if __name__ == "__main__":
    main()
