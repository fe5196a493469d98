"""The stages of paper 1: sight, sound, stride, reliability.

The authors' scripts train the sight-only ranker before the other one: the stage sight_stride,
which is left out where it has no epochs.
"""

import logging
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from rac_jax.models.sight_sound import (
    PROTOCOLS,
    epoch_records,
    evaluation,
    reliability_task,
    repetition_loss,
    sight_task,
    stride_task,
)
from rac_jax.models.sight_sound.estimator import LARGEST_STRIDE
from rac_jax.models.sight_sound.heads import FUSION_HEAD
from rac_jax.models.sight_sound.preprocessing import preprocessing
from rac_jax.models.sight_sound.reliability_task import ReliabilityTask
from rac_jax.models.sight_sound.samplers import SQUEEZES
from rac_jax.models.sight_sound.sight_task import SightTask
from rac_jax.models.sight_sound.sound_task import SoundTask
from rac_jax.models.sight_sound.stride_task import StrideTask
from rac_jax.models.sight_sound.strides import stride_roles
from rac_jax.ops.sound_format import RATE
from rac_jax.scenes import SceneConfig
from rac_jax.train import report, splits, stage_files
from rac_jax.train.recipe import Recipe, Stage, Variables
from rac_jax.train.run import Run

LOG = logging.getLogger("rac_jax.train")
EXAMPLES = ("videos", "device")


def check(run: Run) -> None:
    """Checks the family's own settings before hours are spent on them.

    Raises:
      ValueError: naming the field.
    """
    config = run.config
    _report_start(config)
    repetition_loss.check_loss(config.loss)
    stride_task.check_strides(config.stride)
    for stage in ("sight_stride", "stride"):
        stride_task.check_settings(
            stage, config[stage], run.network.use_sight_only_ranker
        )
    _check_counting(config.counting)
    reliability_task.check_settings(config.reliability)
    if config.data.audio_rate != RATE:
        raise ValueError(
            f"data.audio_rate: {config.data.audio_rate} is not {RATE}, of which the "
            "spectrograms are"
        )
    own = [run.own_split("sight", split) for split in ("train", "val")]
    run.check_splits((*splits.SPLITS, *own))
    for stage in ("sight", "sound"):
        _check_examples(stage, config[stage])
    _check_squeeze(config.sound)
    _check_recorded(config)
    windows = config.sound.windows
    if windows < 1 or config.sound.batch % windows:
        raise ValueError(
            f"sound.windows: {windows} does not divide the batch of {config.sound.batch}"
        )


def _report_start(config: ml_collections.ConfigDict) -> None:
    """Says that encoders of video start from scratch where the paper's do not."""
    wanted = {"sight": "Kinetics-400", "sound": "VGGSound or ImageNet"}
    for stage, data in wanted.items():
        started = config.start.model or config.start.get(f"{stage}_encoder")
        if config[stage].examples == "videos" and not started:
            LOG.warning(
                "%s starts from random weights, the authors' from %s: give a model that "
                "`rac convert` has made as --config.start.%s_encoder=MODEL",
                stage,
                data,
                stage,
            )


def _check_counting(settings: ml_collections.ConfigDict) -> None:
    if settings.protocol not in PROTOCOLS:
        raise ValueError(
            f"counting.protocol: {settings.protocol!r} is not one of "
            f"{', '.join(PROTOCOLS)}"
        )
    if not 1 <= settings.max_stride <= LARGEST_STRIDE:
        raise ValueError(
            f"counting.max_stride: must be from 1 to {LARGEST_STRIDE}, not "
            f"{settings.max_stride}"
        )


def _check_recorded(config: ml_collections.ConfigDict) -> None:
    """Epochs that the reliability stage would learn from must have been recorded."""
    for stage in ("sight", "sound"):
        share = config[stage].record_share
        if not 0 < share <= 1:
            raise ValueError(
                f"{stage}.record_share: {share} is not above 0 and at most 1"
            )
        threshold, under = (
            config.reliability[f"{stage}_threshold"],
            config[stage].record_under,
        )
        if config.reliability.predictions == "empirical" and under < threshold:
            raise ValueError(
                f"{stage}.record_under: {under} is below reliability.{stage}_threshold "
                f"({threshold}): predictions of epochs between them would not be there"
            )


def _check_squeeze(settings: ml_collections.ConfigDict) -> None:
    if settings.squeeze not in SQUEEZES:
        raise ValueError(
            f"sound.squeeze: {settings.squeeze!r} is not one of {', '.join(SQUEEZES)}"
        )
    if settings.squeeze == "released" and settings.examples == "device":
        raise ValueError(
            "sound.squeeze: 'released' is for videos, sound.examples is 'device'"
        )


def _check_examples(stage: str, settings: ml_collections.ConfigDict) -> None:
    if settings.examples not in EXAMPLES:
        raise ValueError(
            f"{stage}.examples: {settings.examples!r} is not one of {', '.join(EXAMPLES)}"
        )
    if settings.examples == "device" and not settings.epoch_steps:
        raise ValueError(
            f"{stage}.epoch_steps: rendered clips have no epoch of their own"
        )


def _classes(run: Run, stage: str, scenes: SceneConfig | None) -> tuple[str, ...]:
    """Action labels: rendered clips are labelled by the number of their motion."""
    if scenes is not None:
        return scenes.kinds
    videos = run.videos(run.own_split(stage, "train"))
    return tuple(sorted({video.label for video in videos} - {""}))


def make_sight_task(run: Run, variables: Variables) -> SightTask:
    """Stage sight; leaves the counts of every training video at every stride."""
    del variables
    settings, scenes = run.config.sight, None
    if settings.examples == "device":
        size = run.config.data.size
        scenes = splits.scene_config(settings.scenes, height=size, width=size)
    return SightTask(run, scenes, _classes(run, "sight", scenes))


def make_sound_task(run: Run, variables: Variables) -> SoundTask:
    """Stage sound; leaves the counts of every training video."""
    del variables
    settings, scenes = run.config.sound, None
    if settings.examples == "device":
        # The picture is never looked at, so it costs nothing whatever its size.
        scenes = splits.scene_config(settings.scenes)
    return SoundTask(run, scenes, _classes(run, "sound", scenes))


def _sight_predictions(
    run: Run, field: str = sight_task.VIDEOS
) -> dict[str, dict[int, float]]:
    """What stage sight left: video_id to count by sight by stride."""
    path = run.workdir / "sight" / stage_files.PREDICTIONS
    record = stage_files.read_json(path, field, "strides")
    return {
        name: dict(zip(record["strides"], counts, strict=True))
        for name, counts in record[field].items()
    }


def stride_roles_of(
    run: Run,
    predicted: Mapping[str, Mapping[int, float]],
    stage: str,
    split: str = "train",
) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """Which strides of the training videos are positive and negative (Eq. 9).

    Args:
      run: the run.
      predicted: video_id to count by sight by stride.
      stage: whose section has the threshold and says which pairs there are.
      split: of the videos.

    Returns:
      video_id to the index of its positive stride, and to those of its negative ones: none
      for a video without repetitions.
    """
    settings, videos = run.config.stride, run.videos(split)
    own = run.config[stage]
    strides = tuple(settings.strides)
    counts = [
        [predicted[video.video_id][stride] for stride in strides] for video in videos
    ]
    positive, negatives = stride_roles(
        np.array(counts),
        np.array([video.period for video in videos]),
        strides,
        own.threshold,
        settings.positive,
        own.pairs,
    )
    repeats = np.array([video.count > 0 for video in videos])
    negatives &= repeats[:, None]
    LOG.info(
        "%s: %d of %d videos have a negative stride",
        stage,
        np.count_nonzero(negatives.any(axis=1)),
        len(videos),
    )
    names = [video.video_id for video in videos]
    return (
        dict(zip(names, positive.tolist(), strict=True)),
        dict(zip(names, map(np.flatnonzero, negatives), strict=True)),
    )


def make_stride_task(run: Run, variables: Variables) -> StrideTask:
    """Stage stride, on roles that the trained sight stream's counts give."""
    del variables
    return StrideTask(run, *stride_roles_of(run, _sight_predictions(run), "stride"))


def make_sight_stride_task(run: Run, variables: Variables) -> StrideTask:
    """Stage sight_stride: the sight-only ranker by itself, on the videos that sight has."""
    del variables
    stage = "sight_stride"
    split, judged = (run.own_split("sight", split) for split in ("train", "val"))
    field = sight_task.VIDEOS if split == "train" else sight_task.OWN_VIDEOS
    roles = stride_roles_of(run, _sight_predictions(run, field), stage, split)
    return StrideTask(run, *roles, name=stage, split=split, judged=judged)


def _final_predictions(run: Run, stream: str) -> dict[str, float]:
    """What the model that a stream's stage has left says: video_id to count."""
    if stream == "sound":
        path = run.workdir / "sound" / stage_files.PREDICTIONS
        return stage_files.read_json(path, "videos")["videos"]
    counts, strides = _sight_predictions(run), evaluation.positive_strides(run, "train")
    videos = run.videos("train")
    return {
        video.video_id: counts[video.video_id][stride]
        for video, stride in zip(videos, strides, strict=True)
    }


def make_reliability_task(run: Run, variables: Variables) -> ReliabilityTask:
    """Stage reliability, on empirical predictions (section 3.4) or the final ones."""
    settings, epochs, predictions = run.config.reliability, {}, {}
    # What each stream says of the training videos: on average over its good epochs, so that
    # it is no better than it will be on videos that it has not seen.
    for stream in ("sight", "sound"):
        place = run.workdir / stream
        if settings.predictions == "final":
            predictions[stream], chosen = _final_predictions(run, stream), []
        else:
            predictions[stream], chosen = epoch_records.empirical_predictions(
                place, settings[f"{stream}_threshold"]
            )
        epochs[stream] = chosen
        if chosen:
            LOG.info("reliability: predictions of %s from epochs %s", stream, chosen)
    # Where each video's clips are cut.
    names = [video.video_id for video in run.videos("train")]
    own = evaluation.positive_strides(run, "train")
    strides = dict(zip(names, own, strict=True))
    if settings.stride == "ranker":
        counts = evaluation.audiovisual_counts(run, variables, "train")
        chosen = dict(zip(names, counts.stride.tolist(), strict=True))
        predictions["sight"] = at_chosen_strides(
            predictions["sight"], strides, chosen, _sight_predictions(run)
        )
        strides = chosen
    if settings.push:
        labels = {video.video_id: video.count for video in run.videos("train")}
        predictions = reliability_task.pushed(predictions, labels, settings.push)
    return ReliabilityTask(
        run,
        strides,
        predictions["sight"],
        predictions["sound"],
        left={"epochs": epochs, "strides": strides, "videos": predictions},
    )


def at_chosen_strides(
    sight: Mapping[str, float],
    positive: Mapping[str, int],
    chosen: Mapping[str, int],
    final: Mapping[str, Mapping[int, float]],
) -> dict[str, float]:
    """Moves predictions by sight from the true strides to those that the ranker chooses.

    At inference nobody tells the true stride. A prediction moves by as much as the final
    model's count of the video differs between the two strides.

    Args:
      sight: video_id to count by sight at its true stride.
      positive: video_id to its true stride.
      chosen: video_id to the ranker's stride.
      final: video_id to the final model's count by sight by stride.

    Returns:
      video_id to count by sight, at least 0.
    """
    right = np.mean([chosen[name] == positive[name] for name in chosen])
    LOG.info("reliability: the ranker finds %.0f %% of the true strides", 100 * right)
    return {
        name: max(0.0, count + final[name][chosen[name]] - final[name][positive[name]])
        for name, count in sight.items()
    }


def model_config(run: Run) -> dict[str, Any]:
    """The `config.json` with which the model in training counts."""
    config = run.config
    return {
        "name": config.name,
        "family": "sight_sound",
        "arguments": config.model.to_dict(),
        "preprocessing": preprocessing(config.data.size),
        "protocol": config.counting.protocol,
        "max_stride": config.counting.max_stride,
    }


def evaluate(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures every estimator on the test videos."""
    counts = evaluation.audiovisual_counts(run, variables, "test", every_stride=True)
    extra = {"stride": counts.stride, "reliability": counts.reliability}
    return report.report(evaluation.estimators(counts), run.videos("test"), extra)


def describe(run: Run, measurement: Mapping[str, Any]) -> dict[str, Any] | None:
    """The exported model's `config.json`, see `Recipe`."""
    fusion = run.config.reliability.fusion
    if fusion != "reliability":
        LOG.info("not exported: fusion %r is no part of the model", fusion)
        return None
    accuracy = {
        "data": f"test videos of the config ({run.config.data.test.kind})",
        "estimators": measurement["estimators"],
        "challenges": measurement["challenges"],
    }
    return model_config(run) | {"accuracy": accuracy}


# Fields of later stages' sections that the first two read: where clips are cut.
_ALL = ("model", "loss", "data", "counting")
_FIRST = (*_ALL, "stride.strides", "stride.positive")
_RANKER = (*_FIRST, "sight", "sound", "sight_stride")
_LATER = (*_ALL, "sight", "sound", "sight_stride", "stride")

RECIPE = Recipe(
    stages=(
        Stage(
            name="sight",
            task=make_sight_task,
            reads=(*_FIRST, "sight"),
            leaves=("sight_encoder", "sight_head"),
        ),
        Stage(
            name="sound",
            task=make_sound_task,
            reads=(*_FIRST, "sound"),
            leaves=("sound_encoder", "sound_head"),
        ),
        Stage(
            name="sight_stride",
            task=make_sight_stride_task,
            reads=_RANKER,
            leaves=("solo_ranker",),
            optional=True,
        ),
        Stage(
            name="stride",
            task=make_stride_task,
            reads=_LATER,
            leaves=("ranker", "solo_ranker"),
        ),
        Stage(
            name="reliability",
            task=make_reliability_task,
            reads=(*_LATER, "reliability"),
            leaves=("reliability_head", FUSION_HEAD),
        ),
    ),
    check=check,
    model_config=model_config,
    evaluate=evaluate,
    describe=describe,
)
