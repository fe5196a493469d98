"""Training SI-EN on scenes whose phases are known.

Paper 3, sections 3.3.1 and 3.6: crops of 63 frames at 16 per second, colours that jitter, the
videos of a batch one after the other in time, so that each begins with what is left of the one
before; the last entries of the encoder alone, or all of it.
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
from rac_jax.models.sien.estimator import scale_and_shift
from rac_jax.models.sien.losses import class_weights, joined, phase_loss, phase_targets
from rac_jax.models.sien.phases import DECODERS, SCHEMES
from rac_jax.ops import compiling, window_augment
from rac_jax.scenes import Scene
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, Recipe, RenderedExamples, Stage, Task
from rac_jax.train.report import report_beside_constant, validation_scores
from rac_jax.train.run import Run
from rac_jax.train.scene_windows import SceneParts, render_parts, scene_parts

STAGE = "clips"
GROUPS = ("encoder", "phase_head")
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
    """Tells the phases of rendered clips.

    Attributes:
      run: whose network is trained, by whose config.
      trained: groups of parameters, and entries of the encoder.
    """

    run: Run
    trained: tuple[str, ...]

    name = STAGE
    examples = RenderedExamples()

    def first(self, variables: Variables) -> Variables:
        """Variables with which what the encoder's layers say of some clips is standardised.

        Not where it begins with another model, or where only a part of it learns.
        """
        config, settings = self.run.config, self.run.config[STAGE]
        started = any(config.start.to_dict().values())
        if not settings.standardise or started or settings.layers != ALL:
            return variables
        rows = {"row": jnp.arange(settings.standardise)}
        batch = compiling.jit(self.prepare)(rows, self.run.key("standardise"))
        return standardised(self.run.network, variables, batch["clips"])

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders clips, jitters their colours and joins them in time."""
        config = self.run.config
        draw, tint = jax.random.split(key)
        scenes = render_parts(draw, parts_of(self.run), len(batch["row"]), pick)
        x = scenes["clips"].astype(jnp.float32) / 127.5 - 1
        x = 127.5 * (window_augment.colours(tint, x) + 1)  # 0..255
        if config.input.colour == "bgr":
            x = x[..., ::-1]
        scale, shift = scale_and_shift(config.input.to_dict())
        fields = (scenes[name] for name in ("stage", "phase", "rate", "inside"))
        targets = phase_targets(config.counting.scheme, *fields)
        together = config[STAGE].together
        # Of the joined time every fourth frame has an output, as of a stream.
        return {
            "clips": joined(x * scale + shift, together),
            "targets": joined(targets, together)[:, STRIDE - 1 :: STRIDE],
        }

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(loss, (batch statistics, metrics))."""
        del key
        found = self.run.network.apply({"params": params}, batch["clips"], train=True)
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


def make_task(run: Run, variables: Variables) -> PhaseTask:
    """The task of the one stage."""
    del variables
    layers = run.config[STAGE].layers
    if layers == ALL:
        return PhaseTask(run, GROUPS)
    last = run.network.entries
    entries = range(last - layers, last)
    return PhaseTask(
        run, (*(f"encoder/entry{number}" for number in entries), "phase_head")
    )


def check_phases(run: Run) -> None:
    """Checks the settings of whatever learns phases of joined clips.

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
    if not settings.epoch_steps:
        raise ValueError(f"{STAGE}.epoch_steps: must be above 0")


def check(run: Run) -> None:
    """Checks the settings.

    Raises:
      ValueError: naming the field.
    """
    check_phases(run)
    config, settings = run.config, run.config[STAGE]
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
    run.check_splits(("val", "test"))


def model_config(run: Run) -> dict[str, Any]:
    """The `config.json` with which the model in training counts."""
    config = run.config
    return {
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
      As `report_beside_constant`, with "mape" of `exercise_errors`.
    """
    counts, videos = run.counts(variables, "test"), run.videos("test")
    errors = {"mape": exercise_errors(counts, videos)}
    return report_beside_constant(counts, videos) | errors


RECIPE = Recipe(
    stages=(
        Stage(
            STAGE,
            make_task,
            ("model", "input", "counting", "loss", "data", STAGE),
            GROUPS,
        ),
    ),
    model_config=model_config,
    evaluate=evaluate,
    check=check,
)
