"""The three stages of the compact counter: both streams, then the readers and the gate."""

import logging
import os
import pathlib
from typing import Any

import jax
import numpy as np

from rac_jax.counting.source import ArraySource
from rac_jax.models.compact import decoder as sets
from rac_jax.models.compact import posteriors as periods
from rac_jax.models.compact.decoder_task import STREAMS, ReaderTask
from rac_jax.models.compact.estimator import CompactCounter
from rac_jax.models.compact.network import GRID_BINS, STEP_FRAMES, STRIDES
from rac_jax.models.compact.stream_task import PeriodTask
from rac_jax.models.compact.window_batches import HELPFUL_SOUND, WindowScenes
from rac_jax.models.sight_sound import evaluation
from rac_jax.models.sight_sound.soundtrack import Soundtrack
from rac_jax.ops import compiling, spectrogram
from rac_jax.scenes import PICTURE_DAMAGE, SOUND_DAMAGE, SceneConfig, render_scene
from rac_jax.train import splits
from rac_jax.train.run import Run, stage_key
from rac_jax.train.stages import Recipe, fit_stage
from rac_jax.train.state import make_optimiser

LOG = logging.getLogger("rac_jax.train")
CHANNELS = 2 * len(STRIDES)
STAGES = ("sight", "sound", "reader")


def window_scenes(run: Run, stage: str) -> WindowScenes:
    """What a stream's windows are rendered from."""
    settings, size = run.config[stage], run.config.data.size
    picture = {"height": size, "width": size, "frames": 64} if stage == "sight" else {}
    parts = tuple(
        (part["share"], splits.scene_config(_fields(part), **picture))
        for _, part in sorted(settings.scenes.items())
    )
    return WindowScenes(parts, tuple(settings.get("strides", ())))


def _fields(part: Any) -> dict[str, Any]:
    """A part's fields that are the scenes' own."""
    return {
        name: value for name, value in part.items() if name not in ("share", "number")
    }


def check(run: Run) -> None:
    """Checks settings before hours are spent on them.

    Raises:
      ValueError: naming the field.
    """
    config = run.config
    sets.Rule(**config.rule)
    for stage in STAGES:
        settings = config[stage]
        make_optimiser(settings.optimiser, 1, {})
        if settings.batch % run.mesh.size:
            raise ValueError(
                f"{stage}.batch: {settings.batch} does not divide by {run.mesh.size} devices"
            )
        if not settings.epoch_steps:
            raise ValueError(f"{stage}.epoch_steps: must be above 0")
    for stream in STREAMS:
        window_scenes(run, stream)
    longest = min(scenes.frames for _, scenes in window_scenes(run, "sound").parts)
    if longest < 64 * max(config.sound.strides):
        raise ValueError(
            f"sound.scenes: {longest} frames are too few for stride "
            f"{max(config.sound.strides)}"
        )
    strides = config.sound.strides
    if config.sound.batch % len(strides):
        raise ValueError(
            f"sound.batch: {config.sound.batch} is not a multiple of the {len(strides)} strides"
        )
    for split in splits.SPLITS:
        long_scenes(config, split)


def train_stream(stage: str):
    """The function of stage "sight" or "sound"."""

    def train(run: Run, variables: dict, folder: pathlib.Path):
        task = PeriodTask(run.model, run.config, stage, window_scenes(run, stage))
        settings = run.config[stage]
        rows = {"row": np.arange(settings.batch)}

        @compiling.jit
        def judge(variables, key):
            batch = task.prepare(rows, key)
            loss, (_, metrics) = task.loss(
                variables["params"], variables["batch_stats"], batch, key
            )
            return loss, metrics

        def after_epoch(found: dict, epoch: int) -> dict[str, float]:
            del epoch
            keys = jax.random.split(stage_key(run.config.seed, f"{stage} val"), 8)
            values = [jax.device_get(judge(found, key)) for key in keys]
            losses = [float(loss) for loss, _ in values]
            sums = {
                name: sum((m[name] for _, m in values[1:]), values[0][1][name])
                for name in values[0][1]
            }
            means = {name: float(m.total / m.weight) for name, m in sums.items()}
            return {"error": float(np.mean(losses))} | means

        return fit_stage(run, task, variables, folder, after_epoch), None

    return train


def long_scenes(config: Any, split: str) -> list[tuple[int, SceneConfig]]:
    """How many scenes of which kinds a split has."""
    size = config.data.size
    return [
        (part["number"], splits.scene_config(_fields(part), height=size, width=size))
        for _, part in sorted(config.data[split].scenes.items())
        if part["number"]
    ]


def make_counter(run: Run, variables: dict) -> CompactCounter:
    """A counter with the variables as they are, whatever it will be calibrated to."""
    known = {
        "name": run.config.name,
        "preprocessing": {"size": run.config.data.size},
        "rule": run.config.rule.to_dict(),
        "confidence": NO_CONFIDENCE,
    }
    return CompactCounter(run.model, variables, known)


NO_CONFIDENCE = {
    "positive_score": [0.0, 1.0],
    "positive": [0.0, 1.0],
    "negative_score": [0.0, 1.0],
    "negative": [0.0, 1.0],
}


def gather_evidence(
    counter: CompactCounter, config: Any, split: str
) -> dict[str, np.ndarray]:
    """What the streams say of a split's scenes, as the counter sees them, and what is true.

    Args:
      counter: with trained streams.
      config: of the run.
      split: of its `data`.

    Returns:
      "sight", "sound" float16 [N, G, 54, 2 S] (zeros past a scene's end, and without sound);
      "log_period" [N, G] of frames per repetition, "periodic" and "real" [N, G] bool;
      "frames", "count", "picture_damage", "sound_damage", "kind" [N].
    """
    parts, rows = long_scenes(config, split), []
    most = periods.instants(max(scenes.frames for _, scenes in parts))
    for part, (number, scenes) in enumerate(parts):
        render = jax.jit(
            lambda key, scenes=scenes: render_scene(key, scenes).replace(mask=None)
        )
        key = jax.random.fold_in(jax.random.key(config.data[split].seed), part)
        for index in range(number):
            scene = jax.device_get(render(jax.random.fold_in(key, index)))
            rows.append(_evidence_of(counter, scene, scenes, most))
            if (index + 1) % max(1, number // 4) == 0:
                LOG.info(
                    "evidence of %s: %d of %d (part %d)", split, index + 1, number, part
                )
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _evidence_of(counter, scene, scenes: SceneConfig, most: int) -> dict[str, Any]:
    source = ArraySource(
        scene.frames,
        fps=scenes.fps,
        waveform=scene.waveform,
        audio_rate=spectrogram.RATE,
        size=scenes.height,
    )
    with Soundtrack(source.sound()) as track:
        lines = counter.lines(
            source, track, strides=STRIDES, use_sight=True, progress=lambda frames: None
        )
    number = periods.instants(scenes.frames)
    row = {}
    for name in STREAMS:
        found = getattr(lines, name)
        row[name] = np.zeros((most, GRID_BINS, CHANNELS), np.float16)
        if found is not None:
            row[name][:number] = periods.stack_evidence(found, 0, number)
    room = number * STEP_FRAMES - scenes.frames

    def folded(line):
        return np.pad(line, (0, room), mode="edge").reshape(number, STEP_FRAMES)

    rate, periodic = folded(scene.rate).mean(axis=1), folded(scene.periodicity)
    log_period = -np.log(np.maximum(rate, 1e-4))
    pad = (0, most - number)
    return row | {
        "log_period": np.pad(log_period, pad).astype(np.float32),
        "periodic": np.pad(periodic.mean(axis=1) >= 0.5, pad),
        "real": np.arange(most) < number,
        "frames": scenes.frames,
        "count": float(scene.count),
        "picture_damage": int(scene.picture_damage),
        "sound_damage": int(scene.sound_damage),
        "kind": int(scene.kind),
    }


def kept_evidence(run: Run, variables: dict, split: str) -> dict[str, np.ndarray]:
    """`gather_evidence`, kept in a file of the workdir."""
    path = run.workdir / "evidence" / f"{split}.npz"
    if not path.exists() and jax.process_index() == 0:
        arrays = gather_evidence(make_counter(run, variables), run.config, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        with draft.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(draft, path)
    splits.barrier(f"evidence of {split}")
    with np.load(path) as file:
        return dict(file)


def count_evidence(
    counter: CompactCounter, evidence: dict[str, np.ndarray], rule: sets.Rule
) -> tuple[dict[str, np.ndarray], list[sets.Tally]]:
    """Counts scenes whose evidence is there.

    Returns:
      (way to counts [N]: "sight", "sound", "average", "fused", and "gamma" their mean weight
      of the sound; what was found for the fused ones).
    """
    read = counter.networks.read_evidence
    ways = {name: [] for name in ("sight", "sound", "average", "fused", "gamma")}
    found = []
    for row in range(len(evidence["count"])):
        silent = not evidence["sound"][row].any()
        reading = read(
            evidence["sight"][row][None],
            None if silent else evidence["sound"][row][None],
        )
        frames = int(evidence["frames"][row])
        number = periods.instants(frames)

        def tally(distribution, frames=frames, number=number):
            return sets.tally(distribution[0, :number], frames, rule)

        fused = tally(reading.fused)
        seen = tally(reading.sight).count
        heard = 0.0 if silent else tally(reading.sound).count
        ways["sight"].append(seen)
        ways["sound"].append(heard)
        ways["average"].append(seen if silent else (seen + heard) / 2)
        ways["fused"].append(fused.count)
        ways["gamma"].append(0.0 if silent else reading.gamma[0, :number].mean())
        found.append(fused)
    return {name: np.array(values) for name, values in ways.items()}, found


def train_reader(run: Run, variables: dict, folder: pathlib.Path):
    """Stage reader, on evidence that the trained streams give of long scenes."""
    evidence = kept_evidence(run, variables, "train")
    judged = kept_evidence(run, variables, "val")
    task, settings = ReaderTask(run.model, run.config), run.config.reader
    fields = ("sight", "sound", "log_period", "periodic", "real")
    seed = int(jax.random.key_data(stage_key(run.config.seed, "reader"))[-1])

    def draw(step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([seed, step])
        index = rng.integers(len(evidence["count"]), size=settings.batch)
        batch = {name: evidence[name][index] for name in fields}
        helpful = np.isin(evidence["sound_damage"][index], HELPFUL_SOUND)
        return batch | {"helpful": helpful}

    def after_epoch(found: dict, epoch: int) -> dict[str, float]:
        del epoch
        ways, _ = count_evidence(
            make_counter(run, found), judged, sets.Rule(**run.config.rule)
        )
        facts = scene_facts(judged)
        scores = evaluation.error_of(ways["fused"], facts)
        still = judged["count"] == 0
        extra = {
            f"{name}_mae": evaluation.error_of(ways[name], facts)["mae"]
            for name in STREAMS
        }
        extra["still_count"] = float(ways["fused"][still].mean()) if still.any() else 0
        return scores | extra | {"gamma": float(ways["gamma"].mean())}

    return fit_stage(run, task, variables, folder, after_epoch, draw=draw), None


def scene_facts(evidence: dict[str, np.ndarray]) -> list[evaluation.VideoFacts]:
    """Facts of the scenes, their challenges being their damages."""
    facts = []
    for row, count in enumerate(evidence["count"]):
        picture = PICTURE_DAMAGE[evidence["picture_damage"][row]]
        sound = SOUND_DAMAGE[evidence["sound_damage"][row]]
        challenges = [f"{picture} picture"] if picture != "none" else []
        challenges += [f"{sound} sound"] if sound != "none" else []
        frames = int(evidence["frames"][row])
        facts.append(
            evaluation.VideoFacts(
                video_id=f"scene-{row}",
                frames=frames,
                columns=0,
                count=float(count),
                period=frames / count if count > 0 else float("inf"),
                label="",
                challenges=tuple(challenges),
            )
        )
    return facts


def calibrate(
    found: list[sets.Tally], counts: np.ndarray, positive: bool
) -> tuple[list[float], list[float]]:
    """Scores, and the share of scenes with such a score that are counted right to one.

    Isotonic regression: the higher the score the more are right.

    Args:
      found: of scenes.
      counts: [N] true ones.
      positive: of the scenes in which a set was found, or of the others.

    Returns:
      (rising scores, shares), at most 12 points.
    """
    import scipy.optimize

    chosen = [i for i, one in enumerate(found) if bool(one.sets) == positive]
    if len(chosen) < 2:
        return [0.0, 1.0], [0.5, 0.5]
    scores = np.array([found[i].score for i in chosen])
    right = np.array(
        [abs(np.floor(found[i].count + 0.5) - round(counts[i])) <= 1 for i in chosen]
    )
    order = np.argsort(scores)
    # A scene of each kind more than there are: no share is quite 0 or 1.
    fitted = scipy.optimize.isotonic_regression(right[order].astype(float)).x
    fitted = (fitted * len(order) + 1) / (len(order) + 2)
    places = np.linspace(0, len(order) - 1, min(12, len(order))).round().astype(int)
    return (
        [round(float(x), 4) for x in scores[order][places]],
        [round(float(x), 4) for x in fitted[places]],
    )


def evaluate(run: Run, variables: dict) -> dict[str, Any]:
    """Measures all ways on the test scenes, and calibrates the confidence on the others."""
    counter, rule = make_counter(run, variables), sets.Rule(**run.config.rule)
    judged = kept_evidence(run, variables, "val")
    _, found = count_evidence(counter, judged, rule)
    table = {}
    for name, positive in (("positive", True), ("negative", False)):
        table[f"{name}_score"], table[name] = calibrate(
            found, judged["count"], positive
        )
    test = kept_evidence(run, variables, "test")
    ways, _ = count_evidence(counter, test, rule)
    still = test["count"] == 0
    negatives = {
        name: float(ways[name][still].mean())
        for name in ("sight", "sound", "average", "fused")
        if still.any()
    }
    report = evaluation.report(ways, scene_facts(test))
    return report | {"confidence": table, "still_counts": negatives}


def describe(run: Run, report: dict[str, Any]) -> dict[str, Any]:
    """The exported model's `config.json`, see `Recipe`."""
    config = run.config
    return {
        "name": config.name,
        "family": "compact",
        "arguments": config.model.to_dict(),
        "preprocessing": {"size": config.data.size},
        "protocol": "compact",
        "rule": config.rule.to_dict(),
        "confidence": report["confidence"],
        "accuracy": {
            "data": "test scenes of the config",
            "ways": report["ways"],
            "challenges": report["challenges"],
            "still_counts": report["still_counts"],
        },
    }


RECIPE = Recipe(
    stages={
        "sight": train_stream("sight"),
        "sound": train_stream("sound"),
        "reader": train_reader,
    },
    groups={
        "sight": ("sight_pixels", "sight_learned"),
        "sound": ("sound_stream",),
        "reader": ReaderTask.trained,
    },
    check=check,
    evaluate=evaluate,
    describe=describe,
)
