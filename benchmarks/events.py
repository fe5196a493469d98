"""How well events are marked on scenes whose contacts are known, and what is heard of a dub of them.

    python -m benchmarks.events [--scenes N] [--seed S] [--model NAME_OR_FOLDER ...]

Scenes that no model has seen: in `striking` ones something strikes a base or a floor; in
`touching nothing` much moves, and in `camera` the camera shakes, too. Models see the frames alone.
Given are F1 one to one within one and two frames (40 and 80 ms), bias and spread of the times of
what is found, and false events per minute where nothing is touched. Beside them stand the blind grid of the best n,
and a rule on flow, the peaks of its difference in time, with the threshold that is best on these
very scenes. Pointing is the share of found events whose place is near the true point of contact,
beside what the picture's middle gets. A model without events is taken at the ends of its cycles.
At last each striking scene is dubbed with clicks, and the default model hears the track alone.
"""

import argparse
import dataclasses
import pathlib
import tempfile

import jax
import numpy as np

import rac_jax
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
# The rule: at this side, the mean of the strongest share of pixels, in deviations from its median.
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


def inflection_strength(scene: Known) -> np.ndarray:
    """How abruptly the strongest pixels turn at each frame, [T], standardised."""
    shape = (FRAMES, RULE_SIDE, RULE_SIDE, 3)
    small = jax.image.resize(scene.frames.astype(np.float32), shape, "linear")
    there, back = flows(small[None] / 127.5 - 1, "tv_l1_quick")
    # Where a pixel goes next minus where it came from.
    turn = np.linalg.norm(there[0] + back[0], axis=-1).reshape(FRAMES, -1)
    number = max(1, int(STRONGEST * turn.shape[1]))
    strength = np.sort(turn, axis=1)[:, -number:].mean(1)
    return (strength - np.median(strength)) / max(float(np.std(strength)), 1e-6)


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


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=24, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S")
    parser.add_argument("--model", nargs="+", default=["compact"])
    args = parser.parse_args()
    scenes = {group: render(group, args.scenes, args.seed) for group in GROUPS}
    striking = scenes["striking"]
    quiet = [group for group in GROUPS if group != "striking"]
    names = ["F1 40 ms", "80 ms", "recall", "precision", "bias ms", "spread ms"]
    print(f"{'':28}" + "".join(f"{n:>10}" for n in [*names, "nothing", "camera"]))
    loaded = {name: rac_jax.load(name) for name in args.model}
    found = {}
    for name, counter in loaded.items():
        found[name] = {
            group: [by_model(counter, scene) for scene in scenes[group]]
            for group in GROUPS
        }
        silent = {group: found[name][group] for group in quiet}
        print(line(name, marked(striking, found[name]["striking"]), silent), flush=True)

    strengths = {
        group: [inflection_strength(s) for s in scenes[group]] for group in GROUPS
    }

    def f1(threshold: float) -> float:
        marks = by_rule(strengths["striking"], threshold)
        return event_scores.summarise(marked(striking, marks), "one-to-one")["f1"]

    best = max(RULE_THRESHOLDS, key=f1)
    rule = {group: by_rule(strengths[group], best) for group in GROUPS}
    silent = {group: rule[group] for group in quiet}
    print(
        line(f"peaks of TV-L1 over {best}", marked(striking, rule["striking"]), silent)
    )
    grid = event_scores.blind_grid(
        marked(striking, rule["striking"]), "one-to-one", TOLERANCES_S[1]
    )
    blind = np.arange(grid["step"] // 2, FRAMES, grid["step"])
    marks = Marks(blind, np.ones(len(blind)))
    silent = {group: [marks] * len(scenes[group]) for group in quiet}
    every = marked(striking, [marks] * len(striking))
    print(line(f"every {grid['step']}th frame", every, silent))
    ears = rac_jax.load()
    for name, marks_of in found.items():
        if all(mark.places is not None for mark in marks_of["striking"]):
            ours, middle, number = pointing(striking, marks_of["striking"])
            print(
                f"{name}: points at {ours:.2f} of {number} found (middle {middle:.2f})"
            )
        share = heard(ears, marks_of["striking"])
        print(f"{name}: {share:.2f} of the dubs are heard as marked, within one")


if __name__ == "__main__":
    main()
