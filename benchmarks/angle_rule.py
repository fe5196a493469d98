"""An exercise that was taught, beside the usual rule on the angle of a joint, on real clips.

    python -m benchmarks.angle_rule --clips LABELS.csv [MORE.csv ...] --poses FOLDER \
        [--models MEDIAPIPE.whl]

The clips are other people's squats, push-ups, curls and pull-ups with their counts, the files
beside the CSV (file, start_s, end_s, count, alt_count, activity). Five ways to count them:

- the rule of the many small programs that count over a pose estimator's joints: one when the knee
  (or elbow) has been straighter than one angle and is bent more than another. The angles are those
  such programs have: 160 and 90 degrees, for curls 160 and 30. Joints are BlazePose's, as `rac pose`
  finds them, stored in FOLDER once; of the two sides the surer one is read in every frame.
- a head of phases (`rac teach`) taught by ten scenes of a figure that does something alike.
- one taught by the other clips of the same exercise. Only counts are labelled, so each clip's span
  is cut into as many equal parts, which is where its repetitions are only about.
- the compact counter, by sight.
- always the median of the other clips' counts.

Nothing was chosen on the clips. Where two counts are right (`alt_count`, a pair of arms) the nearer
one is the label, for every way.
"""

import argparse
import dataclasses
import pathlib
import statistics
import tempfile
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

import rac_jax
from benchmarks.live_delay import clip_rows
from rac_jax import media
from rac_jax.counting import Counter, enable_compilation_cache
from rac_jax.counting.scores import nearer, summarise
from rac_jax.data import blazepose
from rac_jax.data.phase_tags import TaggedClip, read_tags
from rac_jax.data.skeletons import LANDMARKS, Skeletons, read_skeletons, write_skeletons
from rac_jax.models.phase_flow import FAMILY
from rac_jax.scenes import motion, timeline
from rac_jax.train import teaching
from rac_jax.weights import DEFAULT_MODEL
from tests.models.phase_flow import exercise as scenes

POSE_FPS = 8.0
SCENES = 10
KEY = 0
LEAST_TAUGHT = teaching.LEAST_CLIPS


@dataclasses.dataclass(frozen=True)
class Exercise:
    """What the usual rule knows of an exercise.

    Attributes:
      joints: three, the angle is that of the middle one.
      straight: degrees over which it is straight.
      bent: degrees under which it is bent.
      arms: whether it is the arms that move in the scenes to teach by, or the trunk.
    """

    joints: tuple[str, str, str]
    straight: float
    bent: float
    arms: bool


LEG, ARM = ("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")
EXERCISES = {
    "squat": Exercise(LEG, 160.0, 90.0, arms=False),
    "push-up": Exercise(ARM, 160.0, 90.0, arms=False),
    "biceps curl": Exercise(ARM, 160.0, 30.0, arms=True),
    "pull-up": Exercise(ARM, 160.0, 90.0, arms=False),
}


@dataclasses.dataclass(frozen=True)
class Clip:
    """A labelled span of a file."""

    path: str
    exercise: str
    start_s: float
    end_s: float
    count: float
    alternative: float | None


def read_clips(paths: Sequence[pathlib.Path]) -> list[Clip]:
    """The clips of `EXERCISES`, told by their activity; with what was understood to be what."""
    found = []
    for path in paths:
        for row in clip_rows(path):
            kinds = [name for name in EXERCISES if name in row["activity"]]
            if kinds and float(row["count"]) > 0:
                span = float(row["start_s"]), float(row["end_s"])
                other = float(row["alt_count"]) if row["alt_count"] else None
                count = float(row["count"])
                found.append(Clip(row["file"], kinds[0], *span, count, other))
    order = list(EXERCISES)
    return sorted(found, key=lambda clip: (order.index(clip.exercise), clip.path))


def poses(clip: Clip, folder: pathlib.Path, models: str | None) -> Skeletons:
    """The clip's joints: those in the folder, or found and put there."""
    path = folder / f"{pathlib.Path(clip.path).stem}.csv"
    if not path.exists():
        frames = (
            pair
            for chunk in media.stream_frames(
                clip.path, start_s=clip.start_s, end_s=clip.end_s, most_fps=POSE_FPS
            )
            for pair in zip(chunk.frames, chunk.times_s.tolist(), strict=True)
        )
        model = blazepose.BlazePose(*blazepose.load_networks(models))
        write_skeletons(blazepose.pose_skeletons(clip.path, frames, model), path)
    return read_skeletons(path)


def angles(
    record: Skeletons, joints: tuple[str, str, str], aspect: float
) -> np.ndarray:
    """Degrees at the middle joint in every frame, of the surer side. [T]

    Args:
      record: of one person.
      joints: without their side.
      aspect: width of the picture over its height.

    Returns:
      Not a number where nobody is found.
    """
    sides = []
    for side in ("left", "right"):
        places = [LANDMARKS.index(f"{side}_{name}") for name in joints]
        sides.append(record.poses[:, 0, places])  # [T, 3, 3]
    both = np.stack(sides)
    sure = both[..., 2].mean(-1)  # [2, T]
    chosen = np.take_along_axis(both, sure.argmax(0)[None, :, None, None], 0)[0]
    xy = chosen[..., :2] * (aspect, 1.0)
    one, other = xy[:, 0] - xy[:, 1], xy[:, 2] - xy[:, 1]
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (one * other).sum(-1) / lengths
    found = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return np.where(sure.max(0) > 0, found, np.nan)


def by_rule(degrees: np.ndarray, straight: float, bent: float) -> int:
    """How often the joint is bent after it was straight."""
    count, extended = 0, False
    for one in degrees:
        if one > straight:
            extended = True
        elif one < bent and extended:
            count, extended = count + 1, False
    return count


def equal_parts(clip: Clip) -> TaggedClip:
    """The clip with as many equal repetitions as are labelled."""
    edges = np.linspace(clip.start_s, clip.end_s, round(clip.count) + 1)
    marks = zip(edges[:-1], (edges[:-1] + edges[1:]) / 2, edges[1:], strict=True)
    return TaggedClip(clip.path, tuple(tuple(map(float, one)) for one in marks))


@jax.jit
def _travels(number: jax.Array) -> tuple[jax.Array, jax.Array]:
    """By how far a figure's trunk moves towards its feet, and by how much its arms turn."""
    config = scenes.CONFIG
    when = timeline.make_timeline(jax.random.key(0), config)
    tracks, _ = motion.make_tracks(
        jax.random.key(number), when, config, jnp.array(False)
    )
    leg, trunk, *arms = (motion.OTHERS + body for body in (0, 2, 4, 5))
    apart = jnp.hypot(tracks.x[trunk] - tracks.x[leg], tracks.y[trunk] - tracks.y[leg])
    return jnp.ptp(apart), jnp.max(jnp.ptp(tracks.angle[jnp.array(arms)], axis=-1))


def figure_like(*, arms: bool) -> int:
    """The first figure that only moves its arms, or only its trunk, clearly."""
    for number in range(10_000):
        trunk, turn = map(float, _travels(number))
        if (turn > 1.5 and trunk < 0.02) if arms else (trunk > 0.06 and turn < 0.3):
            return number
    raise AssertionError("no figure moves so")


def taught_by_scenes(*, arms: bool) -> Counter:
    """A head taught by ten scenes of one figure."""
    number = figure_like(arms=arms)
    pupil = FAMILY.pupil(None)
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        written = scenes.write(place, number, 0, SCENES)
        clips = read_tags(scenes.write_tags(place / "tags.csv", written), None)
        lessons = [teaching.see(pupil, clip) for clip in clips]
        found = teaching.teach(FAMILY, pupil, lessons, {"name": "figure"}, KEY)
    right = found.counter.config["accuracy"]["left_out"]
    print(f"figure {number}, {'arms' if arms else 'trunk'}: of scenes left out {right}")
    return found.counter


def taught_by_others(clips: Sequence[Clip]) -> dict[Clip, float]:
    """What a head taught by the other clips of the same exercise counts in each."""
    found: dict[Clip, float] = {}
    pupil = FAMILY.pupil(None)
    for name in EXERCISES:
        own = [clip for clip in clips if clip.exercise == name]
        if len(own) <= LEAST_TAUGHT:
            continue
        lessons = [teaching.see(pupil, equal_parts(clip)) for clip in own]
        for place, clip in enumerate(own):
            key = jax.random.key(KEY)
            counter = teaching.taught_counter(FAMILY, pupil, lessons, key, [place], {})
            found[clip] = counted(counter, clip)
    return found


def counted(counter: Counter, clip: Clip, **options: bool) -> float:
    """What a counter says of the clip, a whole number."""
    span = {"start_s": clip.start_s, "end_s": clip.end_s}
    return float(counter.count(clip.path, **span, **options).rounded)


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--clips", nargs="+", type=pathlib.Path, metavar="CSV", required=True
    )
    parser.add_argument("--poses", type=pathlib.Path, required=True)
    parser.add_argument("--models", help="MediaPipe's wheel, for what is not in FOLDER")
    args = parser.parse_args()
    enable_compilation_cache()
    args.poses.mkdir(parents=True, exist_ok=True)
    clips = read_clips(args.clips)

    ways: dict[str, dict[Clip, float]] = {"angle rule": {}, "taught by scenes": {}}
    for arms in (False, True):
        counter = taught_by_scenes(arms=arms)
        for clip in clips:
            if EXERCISES[clip.exercise].arms == arms:
                ways["taught by scenes"][clip] = counted(counter, clip)
    ways["taught by the others"] = taught_by_others(clips)
    compact = rac_jax.load(DEFAULT_MODEL)
    ways["compact"] = {clip: counted(compact, clip, sound=False) for clip in clips}
    ways["median"] = {
        clip: statistics.median(one.count for one in clips if one is not clip)
        for clip in clips
    }
    notes = {}
    for clip in clips:
        kind = EXERCISES[clip.exercise]
        record, info = poses(clip, args.poses, args.models), media.probe(clip.path)
        degrees = angles(record, kind.joints, info.width / info.height)
        ways["angle rule"][clip] = by_rule(degrees, kind.straight, kind.bent)
        seen = np.isfinite(degrees)
        low, high = np.nanquantile(degrees, (0.05, 0.95)) if seen.any() else (0, 0)
        notes[clip] = f"{100 * seen.mean():.0f} %", f"{low:.0f} to {high:.0f}"
    show(clips, ways, notes)


def show(
    clips: Sequence[Clip],
    ways: dict[str, dict[Clip, float]],
    notes: dict[Clip, tuple[str, str]],
) -> None:
    """Prints what every way says of every clip, then MAE / OBO by exercise."""
    heads = ["clip", "exercise", "label", *ways, "person", "angle, 5 to 95 %"]
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for clip in clips:
        label = f"{clip.count:g}"
        label += "" if clip.alternative is None else f" or {clip.alternative:g}"
        cells = [pathlib.Path(clip.path).stem, clip.exercise, label]
        cells += [f"{one[clip]:g}" if clip in one else "" for one in ways.values()]
        print("| " + " | ".join([*cells, *notes[clip]]) + " |")
    heads = ["MAE / OBO", "clips", *ways]
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name in ("all", *EXERCISES):
        own = [clip for clip in clips if name in ("all", clip.exercise)]
        cells = [name, str(len(own))]
        for found in ways.values():
            known = [clip for clip in own if clip in found]
            cells.append(_scored(known, found) if known else "")
        print("| " + " | ".join(cells) + " |")


def _scored(clips: Sequence[Clip], found: dict[Clip, float]) -> str:
    counts = np.array([found[clip] for clip in clips])
    labels = np.array(
        [nearer(found[clip], clip.count, clip.alternative) for clip in clips]
    )
    scores = summarise(counts, labels)
    text = f"{scores['mae_rounded']:.2f} / {scores['obo']:.2f}"
    return text if len(clips) > 1 else f"{text} (one)"


if __name__ == "__main__":
    main()
