"""The four stages of paper 1: sight, sound, stride, reliability."""

import logging
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from rac_jax.models.sight_sound import evaluation, scene_batches, video_counts
from rac_jax.models.sight_sound.reliability_task import FUSION_HEAD, ReliabilityTask
from rac_jax.models.sight_sound.samplers import positive_stride
from rac_jax.models.sight_sound.sight_task import SightTask
from rac_jax.models.sight_sound.sound_task import SoundTask
from rac_jax.models.sight_sound.stride_task import StrideTask, stride_roles
from rac_jax.ops import spectrogram
from rac_jax.train import splits, stage_files
from rac_jax.train.run import Run, check_config
from rac_jax.train.stages import Recipe, fit_stage

LOG = logging.getLogger("rac_jax.train")


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

    return fit_stage(run, task, variables, folder, after_epoch)


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
    splits.barrier("counts of the last epoch")
    return trained, {"videos": stage_files.read_epochs(folder)[-1]["predictions"]}


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

    return fit_stage(run, task, variables, folder, after_epoch), None


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

    def after_epoch(found: dict, epoch: int) -> dict[str, float]:
        del epoch
        ways = _counted(evaluation.count_ways, run, found, "val")
        scores = evaluation.error_of(ways["fused"], run.facts("val"))
        return scores | {"gamma": float(np.mean(ways["gamma"]))}

    trained = fit_stage(run, task, variables, folder, after_epoch)
    return trained, {"epochs": epochs, "strides": strides, "videos": predictions}


def _counted(count: Callable, run: Run, variables: dict, split: str):
    """`count`, of `evaluation`, over the videos of a split."""
    return count(
        run.counter,
        variables,
        run.source(split),
        run.facts(split),
        run.strides,
        run.model.use_sight_only_ranker,
    )


def _at_rankers_strides(
    run: Run, variables: dict, positive: dict, sight: dict
) -> tuple[dict[str, int], dict[str, float]]:
    """Moves predictions by sight from the true strides to those that the ranker chooses.

    At inference nobody tells the true stride. A prediction moves by as much as the final
    model's count of the video differs between the two strides.
    """
    path = run.workdir / "sight" / stage_files.PREDICTIONS
    final = stage_files.read_json(path, "videos", "strides")["videos"]
    clips = _counted(evaluation.count_clips, run, variables, "train")
    strides = (run.strides[index] for index in clips.chosen)
    chosen = dict(zip(positive, strides, strict=True))

    def moved(name: str) -> float:
        counts = dict(zip(run.strides, final[name], strict=True))
        change = counts[chosen[name]] - counts[positive[name]]
        return max(0.0, sight[name] + change)

    right = np.mean([chosen[name] == positive[name] for name in chosen])
    LOG.info("reliability: the ranker finds %.0f %% of the true strides", 100 * right)
    return chosen, {name: moved(name) for name in sight}


def evaluate(run: Run, variables: dict) -> dict[str, Any]:
    """Measures every way of counting on the test videos."""
    counts = _counted(evaluation.count_ways, run, variables, "test")
    return evaluation.report(counts, run.facts("test"))


def describe(run: Run, report: dict[str, Any]) -> dict[str, Any] | None:
    """The exported model's `config.json`, see `Recipe`."""
    config = run.config
    if config.reliability.fusion != "gamma":
        LOG.info(
            "not exported: fusion %r is no part of the model", config.reliability.fusion
        )
        return None
    return {
        "name": config.name,
        "family": "sight_sound",
        "arguments": config.model.to_dict(),
        "preprocessing": {
            "clip_frames": scene_batches.CLIP_FRAMES,
            "size": config.data.size,
            "mean": list(scene_batches.MEAN),
            "std": list(scene_batches.STD),
            "audio_rate": spectrogram.RATE,
            "nperseg": spectrogram.WINDOW,
            "noverlap": spectrogram.OVERLAP,
            "columns": scene_batches.COLUMNS,
        },
        "protocol": "paper",
        "max_stride": max(config.stride.strides),
        "accuracy": {
            "data": f"test videos of the config ({config.data.test.kind})",
            "ways": report["ways"],
            "challenges": report["challenges"],
        },
    }


RECIPE = Recipe(
    stages={
        "sight": train_sight,
        "sound": train_sound,
        "stride": train_stride,
        "reliability": train_reliability,
    },
    groups={
        "sight": ("sight_encoder", "sight_head"),
        "sound": ("sound_encoder", "sound_head"),
        "stride": ("ranker", "solo_ranker"),
        "reliability": ("reliability_head", FUSION_HEAD),
    },
    check=check_config,
    evaluate=evaluate,
    describe=describe,
)
