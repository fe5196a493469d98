"""The three stages of the compact counter: both streams, then the decoders and the reliability."""

import functools
from typing import Any

import jax
import numpy as np

from rac_jax.models.compact.calibration import NEUTRAL, confidence_table
from rac_jax.models.compact.decoder import DecodingConfig
from rac_jax.models.compact.decoder_task import DecoderTask
from rac_jax.models.compact.grid import WINDOW_FRAMES
from rac_jax.models.compact.labelled_posteriors import (
    STREAMS,
    count_posteriors,
    gathered,
)
from rac_jax.models.compact.stream_task import SIGHT_GROUPS, SOUND_GROUP, StreamTask
from rac_jax.models.compact.window_batches import WindowScenes
from rac_jax.train import splits
from rac_jax.train.recipe import ArrayExamples, Recipe, Stage, Variables
from rac_jax.train.report import report
from rac_jax.train.run import Run
from rac_jax.train.scene_windows import scene_parts

ESTIMATORS = ("sight", "sound", "average", "fused")
ALL = ("model", "loss", "data")  # sections that every stage reads


def window_scenes(run: Run, stream: str) -> WindowScenes:
    """What a stream's windows are rendered from.

    Raises:
      ValueError: for a field that scenes do not have, or a wrong value.
    """
    settings, size = run.config[stream], run.config.data.size
    picture = {}
    if stream == "sight":
        picture = {"height": size, "width": size, "frames": WINDOW_FRAMES}
    parts = scene_parts(settings.scenes, **picture)
    return WindowScenes(parts, tuple(settings.get("strides", ())))


def check(run: Run) -> None:
    """Checks what only this family has, before hours are spent on it.

    Raises:
      ValueError: naming the field.
    """
    config = run.config
    DecodingConfig.from_fields(config.decoding)

    # Windows are rendered in the step, and posteriors drawn, without an end.
    for stage in RECIPE.stages:
        if not config[stage.name].epoch_steps:
            raise ValueError(f"{stage.name}.epoch_steps: must be above 0")

    # Every scene of sound gives a window at every stride.
    window_scenes(run, "sight")
    strides, parts = config.sound.strides, window_scenes(run, "sound").parts
    shortest = min(scenes.frames for _, scenes in parts)
    if shortest < WINDOW_FRAMES * max(strides):
        raise ValueError(
            f"sound.scenes: {shortest} frames are too few for stride {max(strides)}"
        )
    if config.sound.batch % len(strides):
        raise ValueError(
            f"sound.batch: {config.sound.batch} is not a multiple of the {len(strides)} "
            "strides"
        )
    for split in splits.SPLITS:
        splits.check_split(config.data, split)


def stream_task(stream: str, run: Run, variables: Variables) -> StreamTask:
    """The task of stage "sight" or "sound"."""
    return StreamTask(run, stream, window_scenes(run, stream))


def decoder_task(run: Run, variables: Variables) -> DecoderTask:
    """The task of stage "decoder", on posteriors of the trained streams."""
    known = gathered(run, variables, "train")
    judged = gathered(run, variables, "val")
    seed = int(jax.random.key_data(run.key("decoder"))[-1])
    draw = functools.partial(known.draw, seed, run.config.decoder.batch)
    return DecoderTask(run, ArrayExamples(draw), judged)


def model_config(run: Run) -> dict[str, Any]:
    """The `config.json` of a model that is not calibrated yet."""
    config = run.config
    return {
        "name": config.name,
        "family": run.family.name,
        "arguments": config.model.to_dict(),
        "preprocessing": {"size": config.data.size},
        "decoding": config.decoding.to_dict(),
        "confidence": NEUTRAL,
    }


def evaluate(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures all estimators on the test videos, and calibrates the confidence on the others.

    Returns:
      As `report`, with the "reliability" of each video, and "confidence" (see
      `calibration.confidence_table`) and "still_counts" (each estimator's mean count of the
      videos without a repetition).
    """
    estimator = run.counter(variables).estimator
    judged = gathered(run, variables, "val")
    known = count_posteriors(estimator, judged)
    table = confidence_table(
        known["fused"],
        known["score"],
        known["found"].astype(bool),
        np.array([video.count for video in judged.videos]),
    )

    test = gathered(run, variables, "test")
    counts = count_posteriors(estimator, test)
    still = np.array([video.count == 0 for video in test.videos])
    still_counts = {}
    if still.any():
        still_counts = {name: float(counts[name][still].mean()) for name in ESTIMATORS}
    measured = report(
        {name: counts[name] for name in ESTIMATORS},
        test.videos,
        {"reliability": counts["reliability"]},
    )
    return measured | {"confidence": table, "still_counts": still_counts}


def describe(run: Run, measured: dict[str, Any]) -> dict[str, Any]:
    """The exported model's `config.json`, see `Recipe`."""
    accuracy = {"data": "test scenes of the config"}
    for name in ("estimators", "challenges", "still_counts"):
        accuracy[name] = measured[name]
    known = {"confidence": measured["confidence"], "accuracy": accuracy}
    return model_config(run) | known


RECIPE = Recipe(
    stages=(
        Stage(
            "sight",
            functools.partial(stream_task, "sight"),
            (*ALL, "sight"),
            SIGHT_GROUPS,
        ),
        Stage(
            "sound",
            functools.partial(stream_task, "sound"),
            (*ALL, "sound"),
            (SOUND_GROUP,),
        ),
        Stage(
            "decoder",
            decoder_task,
            (*ALL, *STREAMS, "decoder"),
            DecoderTask.trained,
        ),
    ),
    model_config=model_config,
    check=check,
    evaluate=evaluate,
    describe=describe,
)
