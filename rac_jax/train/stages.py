"""The four stages of paper 1 in their order, each a unit that can be resumed.

A stage's folder in the workdir holds its checkpoints and metrics, and when it is done
`variables.safetensors` (the parameter groups it trained), `predictions.json` (counts of the training videos) and
`finished.json`. A finished stage is not run again; one that was made with other settings is an
error.
"""

import contextlib
import functools
import json
import logging
import os
import pathlib
import time
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from rac_jax.data import pipeline
from rac_jax.data.examples import positive_stride
from rac_jax.train import evaluation, loop, splits, stage_files, video_counts
from rac_jax.train import mesh as meshes
from rac_jax.train.run import STAGES, Run, check_config, identity, stage_key
from rac_jax.train.tasks import repetitions
from rac_jax.train.tasks.reliability import FUSION_HEAD, ReliabilityTask
from rac_jax.train.tasks.sight import SightTask
from rac_jax.train.tasks.sound import SoundTask
from rac_jax.train.tasks.stride import StrideTask, stride_roles

LOG = logging.getLogger("rac_jax.train")
EVALUATION = "evaluation.json"
# The parameter groups that a stage leaves.
GROUPS = {
    "sight": ("sight_encoder", "sight_head"),
    "sound": ("sound_encoder", "sound_head"),
    "stride": ("ranker", "solo_ranker"),
    "reliability": ("reliability_head", FUSION_HEAD),
}
HOST_ONLY = ("index", "broken")  # of a batch


def run_stages(run: Run, variables: dict[str, Any]) -> dict[str, Any]:
    """Runs what is not finished yet, and measures the result.

    Args:
      run: the run.
      variables: {"params", "batch_stats"} that the first stage begins with.

    Returns:
      The trained variables; the measurement is in the workdir's `evaluation.json`.

    Raises:
      ValueError: for a wrong setting, a broken stage file, or a workdir of another run.
      TrainingError, Stopped: as `loop.fit`.
    """
    check_config(run)
    changed = False
    for stage in STAGES:
        folder = run.workdir / stage
        if run.config.share_stages:
            adopt_sibling(run, stage)
        if not is_finished(run, stage):
            began, changed = time.monotonic(), True
            LOG.info("stage %s", stage)
            trained, predictions = STAGE_FUNCTIONS[stage](run, variables, folder)
            own = {
                kind: {name: tree[name] for name in GROUPS[stage] if name in tree}
                for kind, tree in trained.items()
            }
            stage_files.save_variables(folder / stage_files.VARIABLES, own)
            if predictions is not None:
                stage_files.write_json(folder / stage_files.PREDICTIONS, predictions)
            spent = time.monotonic() - began
            record = {"identity": identity(run.config, stage), "seconds": spent}
            stage_files.write_json(folder / stage_files.FINISHED, record)
            LOG.info("stage %s finished after %.0f s", stage, spent)
        splits.barrier(f"{stage} finished")
        own = stage_files.load_variables(folder / stage_files.VARIABLES)
        variables = {kind: tree | own.get(kind, {}) for kind, tree in variables.items()}
    if changed or not is_measured(run):
        evaluate(run, variables)
    splits.barrier("measured")
    return variables


def is_measured(run: Run) -> bool:
    """Whether the measurement of these test videos is there."""
    path = run.workdir / EVALUATION
    if not path.exists():
        return False
    return stage_files.read_json(path, "ways", "test")["test"] == _test_videos(run)


def _test_videos(run: Run) -> dict[str, Any]:
    """The section of the test videos as JSON has it."""
    return json.loads(json.dumps(run.config.data.test.to_dict()))


def is_finished(run: Run, stage: str) -> bool:
    """Whether a stage is done.

    Raises:
      StageFileError: if it was done with other settings.
    """
    path = run.workdir / stage / stage_files.FINISHED
    if not path.exists():
        return False
    found = stage_files.read_json(path, "identity")["identity"]
    for name, value in identity(run.config, stage).items():
        if found.get(name) != value:
            raise stage_files.StageFileError(
                f"{path}: was made with {name} = {found.get(name)!r}, this run has "
                f"{value!r}; use another workdir"
            )
    return True


def adopt_sibling(run: Run, stage: str) -> None:
    """Takes over a stage from another run of the same sweep that has the same settings."""
    own, wanted = run.workdir / stage, identity(run.config, stage)
    others = sorted(run.workdir.parent.glob(f"*/{stage}/{stage_files.FINISHED}"))
    for path in [] if own.exists() or jax.process_index() else others:
        if stage_files.read_json(path, "identity")["identity"] == wanted:
            own.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(os.path.relpath(path.parent.resolve(), own.parent), own)
            LOG.info("stage %s: taken over from %s", stage, path.parent)
            break
    splits.barrier(f"adopt {stage}")


def _fit(run: Run, task: Any, variables: dict, folder: pathlib.Path, evaluate) -> dict:
    """Trains a stage of this run; returns the model's variables on the host."""
    settings = run.config[task.name]
    rendered = getattr(task, "scenes", None) is not None
    videos = None if rendered else run.source("train")
    epoch_steps = settings.epoch_steps or -(-len(videos) // settings.batch)
    steps = settings.epochs * epoch_steps
    key = stage_key(run.config.seed, task.name)
    rows = meshes.local_rows(run.mesh, settings.batch)

    def batches(start: int) -> Iterator[Any]:
        put = functools.partial(meshes.put_batch, mesh=run.mesh)
        if rendered:
            numbers = put({"row": np.arange(settings.batch, dtype=np.int32)[rows]})
            return iter(lambda: numbers, None)
        broken = pipeline.BrokenVideos(videos)

        def read():
            found = pipeline.make_batches(
                videos,
                task.cut(),
                seed=zlib.crc32(f"{run.config.seed} {task.name}".encode()),
                batch=settings.batch,
                batches=steps,
                start=start,
                rows=rows,
                workers=run.config.data.workers,
            )
            with contextlib.closing(found):
                for batch in found:
                    broken.note(batch)
                    yield {k: v for k, v in batch.items() if k not in HOST_ONLY}

        return pipeline.prefetch(read(), put)

    state = loop.fit(
        task,
        settings,
        variables,
        steps=steps,
        epoch_steps=epoch_steps,
        batches=batches,
        evaluate=evaluate,
        mesh=run.mesh,
        folder=folder,
        identity=identity(run.config, task.name),
        key=key,
        stop=run.stop,
    )
    trained = meshes.to_host(state.variables)
    trained["params"] = {
        name: group
        for name, group in trained["params"].items()
        if name != repetitions.LOCAL
    }
    return trained


def _classes(run: Run) -> tuple[str, ...]:
    return tuple(sorted({video.label for video in run.facts("train")} - {""}))


def _positive_strides(run: Run, split: str) -> list[int]:
    """S* of every video."""
    rule = run.config.stride.positive
    return [
        positive_stride(video.period, max(run.strides), rule)
        for video in run.facts(split)
    ]


def _own_rows(run: Run, split: str) -> list[video_counts.Row]:
    """Clips of every video at its own stride S*."""
    wanted = [(stride,) for stride in _positive_strides(run, split)]
    return video_counts.clip_rows([video.frames for video in run.facts(split)], wanted)


def _stream_stage(run: Run, variables: dict, folder: pathlib.Path, task: Any, count):
    """Sight or sound: after an epoch, counts of validation and training videos."""
    settings = run.config[task.name]

    def after_epoch(found: dict, epoch: int) -> dict[str, float]:
        facts = run.facts("val")
        scores = evaluation.error_of(count(found, "val"), facts)
        last = epoch == settings.epochs
        if last or scores["error"] < settings.record_under:
            counts = count(found, "train")
            names = [video.video_id for video in run.facts("train")]
            predicted = dict(zip(names, map(float, counts), strict=True))
            stage_files.write_epoch(folder, epoch, scores["error"], predicted)
        return scores

    return _fit(run, task, variables, folder, after_epoch)


def train_sight(run: Run, variables: dict, folder: pathlib.Path):
    """Stage sight; leaves the counts of every training video at every stride."""
    settings = run.config.sight
    scenes = None
    if settings.examples == "device":
        size = run.config.data.size
        scenes = splits.scene_config(settings.scenes, height=size, width=size)
    task = SightTask(run.model, run.config, scenes, _scene_classes(run, scenes))

    def count(found: dict, split: str) -> np.ndarray:
        rows = _own_rows(run, split)
        values = run.counter.clips(found, run.source(split), rows)["count"]
        number = len(run.facts(split))
        totals = video_counts.sums(rows, values, number)
        return np.nansum(np.stack(list(totals.values())), axis=0)

    trained = _stream_stage(run, variables, folder, task, count)
    facts = run.facts("train")
    rows = video_counts.clip_rows(
        [video.frames for video in facts], [run.strides] * len(facts)
    )
    values = run.counter.clips(trained, run.source("train"), rows)["count"]
    totals = video_counts.sums(rows, values, len(facts))
    counts = np.stack([totals[s] for s in run.strides], axis=1)
    predicted = {
        video.video_id: [float(x) for x in row]
        for video, row in zip(facts, counts, strict=True)
    }
    return trained, {"strides": list(run.strides), "videos": predicted}


def _scene_classes(run: Run, scenes: Any) -> tuple[str, ...]:
    """Action labels: rendered clips are labelled by the number of their motion."""
    return _classes(run) if scenes is None else scenes.kinds


def train_sound(run: Run, variables: dict, folder: pathlib.Path):
    """Stage sound; leaves the counts of every training video."""
    settings = run.config.sound
    scenes = None
    if settings.examples == "device":
        # The picture is never looked at, so it costs nothing whatever its size.
        scenes = splits.scene_config(settings.scenes)
    task = SoundTask(run.model, run.config, scenes, _scene_classes(run, scenes))

    def count(found: dict, split: str) -> np.ndarray:
        columns = [video.columns for video in run.facts(split)]
        rows = video_counts.segment_rows(columns)
        values = run.counter.segments(found, run.source(split), rows)["count"]
        return video_counts.sound_counts(rows, values, columns)

    trained = _stream_stage(run, variables, folder, task, count)
    names = [video.video_id for video in run.facts("train")]
    counts = map(float, count(trained, "train"))
    return trained, {"videos": dict(zip(names, counts, strict=True))}


def train_stride(run: Run, variables: dict, folder: pathlib.Path):
    """Stage stride, on roles that the trained sight stream's counts give (Eq. 9)."""
    path = run.workdir / "sight" / stage_files.PREDICTIONS
    predicted = stage_files.read_json(path, "videos", "strides")["videos"]
    facts, names = run.facts("train"), [v.video_id for v in run.facts("train")]
    counts = np.array([predicted[name] for name in names])
    periods = np.array([video.period for video in facts])
    positive, negatives = stride_roles(counts, periods, run.strides, run.config.stride)
    usable = sum(
        len(negative) > 0 and video.count > 0
        for negative, video in zip(negatives, facts, strict=True)
    )
    LOG.info("stride: %d of %d videos have a negative stride", usable, len(facts))
    task = StrideTask(
        run.model,
        run.config,
        dict(zip(names, map(int, positive), strict=True)),
        {
            name: negative if video.count > 0 else np.zeros(0, int)
            for name, negative, video in zip(names, negatives, facts, strict=True)
        },
    )
    judged = run.facts("val")
    rows = video_counts.clip_rows(
        [video.frames for video in judged], [run.strides] * len(judged)
    )

    def after_epoch(found: dict, epoch: int) -> dict[str, float]:
        del epoch
        values = run.counter.clips(found, run.source("val"), rows, everything=True)
        totals = video_counts.sums(rows, values["count"], len(judged))
        by_stride = np.stack([totals[s] for s in run.strides], axis=1)
        scores = {}
        for name in task.trained:
            table = video_counts.means(rows, values[name], len(judged))
            best = np.stack([table[s] for s in run.strides], axis=1).argmax(1)
            chosen = by_stride[np.arange(len(judged)), best]
            scores[f"{name}_mae"] = evaluation.error_of(chosen, judged)["mae"]
        return scores | {"error": float(np.mean(list(scores.values())))}

    return _fit(run, task, variables, folder, after_epoch), None


def train_reliability(run: Run, variables: dict, folder: pathlib.Path):
    """Stage reliability, on empirical predictions (section 3.4) or the final ones."""
    settings, epochs, predictions = run.config.reliability, {}, {}
    for stream in ("sight", "sound"):
        place = run.workdir / stream
        if settings.predictions == "final":
            last = stage_files.read_epochs(place)[-1]
            predictions[stream], chosen = last["predictions"], [last["epoch"]]
        else:
            predictions[stream], chosen = stage_files.empirical_predictions(
                place, settings[f"{stream}_threshold"]
            )
        epochs[stream] = chosen
        LOG.info("reliability: predictions of %s from epochs %s", stream, chosen)
    strides = dict(
        zip(
            (video.video_id for video in run.facts("train")),
            _positive_strides(run, "train"),
            strict=True,
        )
    )
    if settings.stride == "ranker":
        strides, predictions["sight"] = _at_rankers_strides(
            run, variables, strides, predictions["sight"]
        )
    task = ReliabilityTask(
        run.model, run.config, strides, predictions["sight"], predictions["sound"]
    )
    facts, source = run.facts("val"), run.source("val")

    def after_epoch(found: dict, epoch: int) -> dict[str, float]:
        del epoch
        ways = evaluation.count_ways(
            run.counter,
            found,
            source,
            facts,
            run.strides,
            run.model.use_sight_only_ranker,
        )
        scores = evaluation.error_of(ways["fused"], facts)
        return scores | {"gamma": float(np.mean(ways["gamma"]))}

    trained = _fit(run, task, variables, folder, after_epoch)
    return trained, {"epochs": epochs, "strides": strides, "videos": predictions}


def _at_rankers_strides(
    run: Run, variables: dict, positive: dict, sight: dict
) -> tuple[dict[str, int], dict[str, float]]:
    """Moves predictions by sight from the true strides to those that the ranker chooses.

    At inference nobody tells the true stride. A prediction moves by as much as the final
    model's count of the video differs between the two strides.
    """
    path = run.workdir / "sight" / stage_files.PREDICTIONS
    final = stage_files.read_json(path, "videos", "strides")["videos"]
    ways = evaluation.count_ways(
        run.counter,
        variables,
        run.source("train"),
        run.facts("train"),
        run.strides,
        run.model.use_sight_only_ranker,
    )
    chosen = dict(zip(positive, map(int, ways["stride"]), strict=True))

    def moved(name: str) -> float:
        counts = dict(zip(run.strides, final[name], strict=True))
        change = counts[chosen[name]] - counts[positive[name]]
        return max(0.0, sight[name] + change)

    right = np.mean([chosen[name] == positive[name] for name in chosen])
    LOG.info("reliability: the ranker finds %.0f %% of the true strides", 100 * right)
    return chosen, {name: moved(name) for name in sight}


STAGE_FUNCTIONS = {
    "sight": train_sight,
    "sound": train_sound,
    "stride": train_stride,
    "reliability": train_reliability,
}


def evaluate(run: Run, variables: dict) -> dict[str, Any]:
    """Measures every way of counting on the test videos; writes `evaluation.json`."""
    facts = run.facts("test")
    counts = evaluation.count_ways(
        run.counter,
        variables,
        run.source("test"),
        facts,
        run.strides,
        run.model.use_sight_only_ranker,
    )
    record = {"test": _test_videos(run)} | evaluation.report(counts, facts)
    stage_files.write_json(run.workdir / EVALUATION, record)
    return record
