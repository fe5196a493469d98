"""Training SI-EN: phases of scenes or of labelled videos, or the activities of videos.

Paper 3, sections 3.3.1 and 3.6: crops of 63 frames at 16 per second, colours that jitter, the
videos of a batch one after the other in time, so that each begins with what is left of the one
before; the last entries of the encoder alone, or all of it. Activities are in `activities`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.data.labelled import VideoSummary
from rac_jax.encoders.inverted_start import standardised
from rac_jax.encoders.strided_inflated import STRIDE
from rac_jax.models.sien import activities
from rac_jax.models.sien.crops import RandomCrops
from rac_jax.models.sien.estimator import scale_and_shift
from rac_jax.models.sien.losses import class_weights, joined, phase_loss, phase_targets
from rac_jax.models.sien.network import SIENOutput
from rac_jax.models.sien.phases import DECODERS, PHASE_FIELDS, SCHEMES
from rac_jax.ops import compiling, window_augment
from rac_jax.scenes import Scene
from rac_jax.train.classes import class_names
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import (
    Batch,
    Examples,
    Recipe,
    RenderedExamples,
    Stage,
    Task,
    VideoExamples,
)
from rac_jax.train.report import report_beside_constant, validation_scores
from rac_jax.train.run import Run
from rac_jax.train.scene_windows import SceneParts, render_parts, scene_parts

STAGE = "clips"
GROUPS = ("encoder", "phase_head")
PHASES, ACTIVITIES = "phases", "activities"
# By what is learned: the head.
HEADS = {PHASES: "phase_head", ACTIVITIES: "activity_head"}
SCENES, VIDEOS = "scenes", "videos"
ALL = -1  # `layers` for the whole encoder


def phase_labels(scene: Scene) -> dict[str, jax.Array]:
    """What the targets of a clip are worked out from, see `phases`."""
    return {
        "stage": scene.stage,
        "phase": scene.phase,
        "rate": scene.rate,
        "inside": scene.periodicity,
    }


def pick(key: jax.Array, scene: Scene) -> dict[str, jax.Array]:
    """What a clip needs of a scene."""
    del key
    return {"clips": scene.frames} | phase_labels(scene)


def parts_of(run: Run) -> SceneParts:
    """The kinds of scenes that clips are rendered from.

    Raises:
      ValueError: for a field that scenes do not have, or a wrong value.
    """
    size, settings = run.config.data.size, run.config[STAGE]
    return scene_parts(
        settings.scenes,
        height=size,
        width=size,
        frames=settings.frames,
        fps=run.config.input.fps,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class PhaseTask(Task):
    """Tells the phases of clips that are rendered in the step, or cut out of videos.

    Attributes:
      run: whose network is trained, by whose config.
      trained: groups of parameters, and entries of the encoder.
    """

    run: Run
    trained: tuple[str, ...]

    name = STAGE

    @property
    def examples(self) -> Examples:
        """Scenes, or crops of videos whose cycles are known."""
        if self.run.config[STAGE].examples == SCENES:
            return RenderedExamples()
        return VideoExamples(self.crops(None))

    def crops(self, classes: tuple[str, ...] | None) -> RandomCrops:
        """What is cut out of a video; of these classes, or with its phases."""
        config = self.run.config
        return RandomCrops(
            config[STAGE].frames, config.input.fps, config.data.size, classes
        )

    def first(self, variables: Variables) -> Variables:
        """Variables with which what the encoder's layers say of some clips is standardised.

        Not where it begins with another model, only a part of it learns, or it has normalisations.
        """
        config, settings = self.run.config, self.run.config[STAGE]
        started = any(config.start.to_dict().values())
        part = settings.layers != ALL
        if not settings.standardise or started or part or config.model.norm:
            return variables
        draw, tint = jax.random.split(self.run.key("standardise"))

        # On scenes, whatever is learned from.
        def clips(rows: jax.Array) -> jax.Array:
            return joined(self.inputs(self.render(rows, draw), tint), settings.together)

        found = compiling.jit(clips)(jnp.arange(settings.standardise))
        return standardised(self.run.network, variables, found)

    def render(self, rows: jax.Array, key: jax.Array) -> Batch:
        """Clips of scenes and their phases."""
        return render_parts(key, parts_of(self.run), len(rows), pick)

    def inputs(self, batch: Batch, key: jax.Array) -> jax.Array:
        """Clips [B, T, H, W, 3] with jittered colours, as the network wants them."""
        config = self.run.config
        x = batch["clips"].astype(jnp.float32) / 127.5 - 1
        x = 127.5 * (window_augment.colours(key, x) + 1)  # 0..255
        if config.input.colour == "bgr":
            x = x[..., ::-1]
        scale, shift = scale_and_shift(config.input.to_dict())
        return x * scale + shift

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders clips if there are none, jitters their colours and joins them in time."""
        config = self.run.config
        draw, tint = jax.random.split(key)
        if "row" in batch:
            batch = self.render(batch["row"], draw)
        fields = (batch[name] for name in PHASE_FIELDS)
        targets = phase_targets(config.counting.scheme, *fields)
        if "mask" in batch:
            targets = jnp.where(batch["mask"][:, None], targets, -1)
        together = config[STAGE].together
        # Of the joined time every fourth frame has an output, as of a stream.
        return {
            "clips": joined(self.inputs(batch, tint), together),
            "targets": joined(targets, together)[:, STRIDE - 1 :: STRIDE],
        }

    def look(
        self, params: Any, batch_stats: Any, clips: jax.Array
    ) -> tuple[SIENOutput, Any]:
        """(what the network says of clips in training, batch statistics).

        Where a part of the encoder learns, its normalisations stay as they are.
        """
        found, updated = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            clips,
            train=self.run.config[STAGE].layers == ALL,
            mutable=["batch_stats"],
        )
        return found, updated.get("batch_stats", batch_stats)

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(loss, (batch statistics, metrics))."""
        del key
        found, batch_stats = self.look(params, batch_stats, batch["clips"])
        weights = class_weights(
            self.run.config.counting.scheme, self.run.config.loss.frequent
        )
        loss, metrics = phase_loss(found.phases, batch["targets"], weights)
        return loss, (batch_stats, metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of counts of the validation videos."""
        del epoch
        counts = self.run.counts(variables, "val")
        return validation_scores(counts, self.run.videos("val"))


class ActivityTask(PhaseTask):
    """Tells which activity crops of videos show."""

    @property
    def examples(self) -> Examples:
        """Crops of videos with their labels."""
        return VideoExamples(self.crops(class_names(self.run, ACTIVITIES)))

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Jitters the colours of crops."""
        return batch | {"clips": self.inputs(batch, key)}

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(loss, (batch statistics, metrics))."""
        del key
        found, batch_stats = self.look(params, batch_stats, batch["clips"])
        loss, metrics = activities.activity_loss(
            found.activities, batch["label"], batch["mask"]
        )
        return loss, (batch_stats, metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Scores of naming the validation videos."""
        del epoch
        return activities.validate(self.run, variables, model_config(self.run))


def make_task(run: Run, variables: Variables) -> PhaseTask:
    """The task of the one stage."""
    del variables
    settings = run.config[STAGE]
    task = PhaseTask if settings.learns == PHASES else ActivityTask
    head, last = HEADS[settings.learns], run.network.entries
    if settings.layers == ALL:
        return task(run, ("encoder", head))
    entries = range(last - settings.layers, last)
    return task(run, (*(f"encoder/entry{number}" for number in entries), head))


def check_phases(run: Run, *, rendered: bool = True) -> None:
    """Checks the settings of whatever learns phases of joined clips.

    Args:
      run: the run.
      rendered: whether its clips are scenes, of which there is no end.

    Raises:
      ValueError: naming the field.
    """
    config, settings = run.config, run.config[STAGE]
    for name, known in (("scheme", SCHEMES), ("decoder", DECODERS)):
        if config.counting[name] not in known:
            raise ValueError(
                f"counting.{name}: {config.counting[name]!r} is not one of "
                f"{', '.join(known)}"
            )
    classes = len(SCHEMES[config.counting.scheme])
    if config.model.phases != classes:
        raise ValueError(
            f"model.phases: {config.model.phases}, the scheme "
            f"{config.counting.scheme} has {classes}"
        )
    if settings.together < 1 or settings.batch % (
        settings.together * settings.accumulate
    ):
        raise ValueError(
            f"{STAGE}.together: {settings.together} does not divide a batch of "
            f"{settings.batch} in {settings.accumulate} parts"
        )
    if rendered and not settings.epoch_steps:
        raise ValueError(f"{STAGE}.epoch_steps: must be above 0")


def check(run: Run) -> None:
    """Checks the settings.

    Raises:
      ValueError: naming the field.
    """
    config, settings = run.config, run.config[STAGE]
    for name, known in (("learns", tuple(HEADS)), ("examples", (SCENES, VIDEOS))):
        if settings[name] not in known:
            raise ValueError(
                f"{STAGE}.{name}: {settings[name]!r} is not one of {', '.join(known)}"
            )
    if settings.learns == PHASES:
        check_phases(run, rendered=settings.examples == SCENES)
    elif settings.examples == SCENES:
        raise ValueError(f"{STAGE}.examples: activities are those of videos")
    elif settings.together != 1:
        raise ValueError(f"{STAGE}.together: must be 1, an activity is that of a clip")
    if config.input.colour not in ("rgb", "bgr"):
        raise ValueError(
            f"input.colour: {config.input.colour!r} is not one of rgb, bgr"
        )
    if not ALL <= settings.layers <= run.network.entries:
        raise ValueError(
            f"{STAGE}.layers: {settings.layers} is not from {ALL}, which is all, to "
            f"{run.network.entries}"
        )
    if settings.standardise < 0 or settings.standardise % settings.together:
        raise ValueError(
            f"{STAGE}.standardise: {settings.standardise} does not divide by "
            f"{STAGE}.together, {settings.together}"
        )
    parts_of(run)
    wanted = ("val", "test")
    run.check_splits(wanted if settings.examples == SCENES else ("train", *wanted))
    if settings.learns == ACTIVITIES and config.data.train.kind in ("csv", "folder"):
        class_names(run, ACTIVITIES)


def model_config(run: Run) -> dict[str, Any]:
    """The `config.json` with which the model in training counts."""
    config = run.config
    fields = {}
    if config[STAGE].learns == ACTIVITIES:
        fields["class_names"] = list(class_names(run, ACTIVITIES))
    return fields | {
        "name": config.name,
        "family": run.family.name,
        "arguments": config.model.to_dict(),
        "preprocessing": {"size": config.data.size} | config.input.to_dict(),
        "scheme": config.counting.scheme,
        "decoder": config.counting.decoder,
    }


def exercise_errors(
    counts: np.ndarray, videos: Sequence[VideoSummary]
) -> dict[str, dict[str, float]]:
    """Paper 3's error of counts [N], by what is repeated (section 3.6, table 5).

    Returns:
      A label to {"percent": mean of |count - label| / label of rounded counts, "n": of how many
      videos}; videos without a repetition are left out.
    """
    errors: dict[str, list[float]] = {}
    for count, video in zip(counts, videos, strict=True):
        if video.count > 0:
            error = abs(round(count) - video.count) / video.count
            errors.setdefault(video.label, []).append(error)
    return {
        label: {"percent": round(100 * float(np.mean(found)), 2), "n": len(found)}
        for label, found in sorted(errors.items())
    }


def evaluate(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures on the test videos, beside a constant.

    Returns:
      As `report_beside_constant`, with "mape" of `exercise_errors`; of activities how many are
      named right.
    """
    if run.config[STAGE].learns == ACTIVITIES:
        return activities.evaluate(run, variables, model_config(run))
    counts, videos = run.counts(variables, "test"), run.videos("test")
    found = report_beside_constant(counts, videos)
    for row, video in zip(found["videos"], videos, strict=True):
        row["label"] = video.label
    return found | {"mape": exercise_errors(counts, videos)}


RECIPE = Recipe(
    stages=(
        Stage(
            STAGE,
            make_task,
            ("model", "input", "counting", "loss", "classes", "data", STAGE),
            (*GROUPS, HEADS[ACTIVITIES]),
        ),
    ),
    model_config=model_config,
    evaluate=evaluate,
    check=check,
)
