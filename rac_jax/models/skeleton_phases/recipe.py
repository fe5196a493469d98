"""Training networks of skeletons on the poses of scenes whose phases are known.

Paper 3, sections 3.3.2 and 3.6: crops of 90 poses at 16 per second, a simulated camera, no
dropout, the same classes and weights as for frames, and the clips of a batch one after the other in
time. The poses are those of the scenes' own bodies (`rac_jax.scenes.joints`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.data.labelled import LabelledVideo
from rac_jax.encoders.skeleton_layers import STRIDE
from rac_jax.models.sien.losses import class_weights, joined, phase_loss, phase_targets
from rac_jax.models.sien.phases import PHASE_FIELDS
from rac_jax.models.sien.recipe import (
    GROUPS,
    STAGE,
    check_phases,
    exercise_errors,
    phase_labels,
)
from rac_jax.models.skeleton_phases.counter import SkeletonCounter
from rac_jax.ops import skeletons
from rac_jax.scenes import Scene
from rac_jax.train import splits
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, Recipe, RenderedExamples, Stage, Task
from rac_jax.train.report import report_beside_constant, validation_scores
from rac_jax.train.run import Run
from rac_jax.train.scene_videos import SceneVideos
from rac_jax.train.scene_windows import SceneParts, render_parts, scene_parts

SIDE = 16  # pixels of scenes of which the picture is not drawn


def pick(key: jax.Array, scene: Scene) -> dict[str, jax.Array]:
    """What a clip needs of a scene."""
    del key
    return {"poses": scene.joints} | phase_labels(scene)


def joints_of(scene: Scene) -> jax.Array:
    """All that the counter looks at."""
    return scene.joints


def parts_of(run: Run) -> SceneParts:
    """The kinds of scenes that clips are rendered from.

    Raises:
      ValueError: for a field that scenes do not have, or a wrong value.
    """
    settings = run.config[STAGE]
    return scene_parts(
        settings.scenes,
        height=SIDE,
        width=SIDE,
        frames=settings.frames,
        fps=run.config.input.fps,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class SkeletonTask(Task):
    """Tells the phases of the poses of rendered scenes.

    Attributes:
      run: whose network is trained, by whose config.
    """

    run: Run

    name = STAGE
    trained = GROUPS
    examples = RenderedExamples()

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Draws scenes, moves the camera before their poses, and joins them in time."""
        config = self.run.config
        draw, move = jax.random.split(key)
        number = len(batch["row"])
        scenes = render_parts(draw, parts_of(self.run), number, pick)
        poses = scenes["poses"]  # [B, T, 33, 3]
        if config.model.layout == "openpose-18":
            poses = skeletons.to_openpose(poses)
        if config[STAGE].camera:
            keys = jax.random.split(move, number)
            poses = jax.vmap(skeletons.move_camera)(keys, poses)
        fields = (scenes[name] for name in PHASE_FIELDS)
        targets = phase_targets(config.counting.scheme, *fields)
        together = config[STAGE].together
        # An output is of the frame in its middle.
        return {
            "poses": joined(poses, together)[:, None],  # [B', 1, T', V, 3]
            "targets": joined(targets, together)[:, ::STRIDE],
        }

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(loss, (batch statistics, metrics))."""
        del key
        found, updated = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            batch["poses"],
            train=True,
            mutable=["batch_stats"],
        )
        config = self.run.config
        weights = class_weights(config.counting.scheme, config.loss.frequent)
        loss, metrics = phase_loss(found.phases, batch["targets"], weights)
        return loss, (updated["batch_stats"], metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of counts of the validation scenes."""
        del epoch
        return validation_scores(
            counts(self.run, variables, "val"), self.run.videos("val")
        )


def counts(run: Run, variables: Variables, split: str) -> np.ndarray:
    """Counts of the poses of a split's scenes, float64 [N]."""
    scenes = splits.open_source(run.config.data, split)
    assert isinstance(scenes, SceneVideos)  # `check` has seen to it
    counter = SkeletonCounter(run.network, variables, model_config(run))

    def one(video: LabelledVideo, index: int) -> Sequence[float]:
        joints, config = scenes.scene(index, joints_of)
        times_s = np.arange(config.frames) / config.fps
        return [counter.count(joints, times_s).count]

    return run.measure(split, one).ravel()


def check(run: Run) -> None:
    """Checks the settings.

    Raises:
      ValueError: naming the field.
    """
    config = run.config
    skeletons.find_layout(config.model.layout)
    check_phases(run)
    for split in ("val", "test"):
        if config.data[split].kind != "scenes":
            raise ValueError(
                f"data.{split}.kind: {config.data[split].kind!r}, only scenes have poses"
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
        "preprocessing": config.input.to_dict(),
        "scheme": config.counting.scheme,
        "decoder": config.counting.decoder,
    }


def evaluate(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures on the test scenes, beside a constant; "mape" as SI-EN's."""
    found, videos = counts(run, variables, "test"), run.videos("test")
    errors = {"mape": exercise_errors(found, videos)}
    return report_beside_constant(found, videos) | errors


RECIPE = Recipe(
    stages=(
        Stage(
            STAGE,
            lambda run, variables: SkeletonTask(run),
            ("model", "input", "counting", "loss", "data", STAGE),
            GROUPS,
        ),
    ),
    model_config=model_config,
    evaluate=evaluate,
    check=check,
)
