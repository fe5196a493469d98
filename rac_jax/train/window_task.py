"""A stage that learns from windows of frames, rendered in the step or cut out of videos."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from rac_jax.counting.family import Variables
from rac_jax.ops import window_augment
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, Examples, RenderedExamples, Task, VideoExamples
from rac_jax.train.report import report_beside_constant, validation_scores
from rac_jax.train.run import Run
from rac_jax.train.scene_windows import (
    Pick,
    SceneParts,
    end_early,
    render_parts,
    reverse_some,
    scene_parts,
)

# (what the network says, the batch, a key) -> (loss, metrics).
Objective = Callable[[Any, Batch, jax.Array], tuple[jax.Array, dict[str, Mean]]]
ENCODER = "encoder"  # its group of parameters
# What a window is made of.
FIELDS = ("windows", "rate", "periodic")


class FeatureNetwork(Protocol):
    """A Flax module whose encoder can be run by itself.

    Attributes:
      frozen: whether the encoder learns nothing.
      frames: N, of a window.
    """

    frozen: bool
    frames: int

    def features(self, clips: jax.Array) -> tuple[jax.Array, ...]:
        """What the encoder finds in [B, N, H, W, 3]; leaves [B, ...]."""
        ...

    def from_features(self, features: tuple[jax.Array, ...], *, train: bool) -> Any:
        """All that comes after the encoder."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class WindowTask(Task):
    """What the stage trains: all of the network, by one objective.

    Its section of the config says by `padded` how probably a window ends early, and by `camera`
    how much the camera moves beside what the windows have; `stored_epochs` is read by `feature_task`.

    Attributes:
      run: whose network is trained, by whose config.
      name: of the stage.
      trained: groups of parameters.
      source: kinds of scenes that are rendered, or how windows are cut out of videos.
      pick: what is taken of a scene: `FIELDS`, of N frames each.
      normalised: pixels from 0 to 255 as the network wants them, in [-1, 1].
      objective: what is learned. Beside `FIELDS` the batch has "mask" bool [B].
    """

    run: Run
    name: str
    trained: tuple[str, ...]
    source: SceneParts | VideoExamples
    pick: Pick
    normalised: Callable[[jax.Array], jax.Array]
    objective: Objective

    @property
    def examples(self) -> Examples:
        """Windows that are rendered in the step, or made of videos."""
        rendered = not isinstance(self.source, VideoExamples)
        return RenderedExamples() if rendered else self.source

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders windows if there are none, and augments them."""
        settings = self.run.config[self.name]
        keys = jax.random.split(key, 5)
        others = {name: leaf for name, leaf in batch.items() if name not in FIELDS}
        if not isinstance(self.source, VideoExamples):
            number = len(batch["row"])
            batch = render_parts(keys[0], self.source, number, self.pick)
            others = {"mask": jnp.ones(number, bool)}
        fields = reverse_some(keys[2], {name: batch[name] for name in FIELDS})
        fields = end_early(keys[1], fields, settings.padded)
        windows = self.normalised(fields["windows"])
        if settings.camera:
            windows = window_augment.camera_motion(keys[3], windows, settings.camera)
        windows = window_augment.colours(keys[4], windows)
        return others | fields | {"windows": windows}

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(loss, (batch statistics, metrics))."""
        windows = batch["windows"]
        return self.learned(params, batch_stats, windows, "__call__", batch, key)

    def learned(
        self,
        params: Any,
        batch_stats: Any,
        seen: Any,
        method: str,
        batch: Batch,
        key: jax.Array,
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """The loss of what a method of the network says of what it is shown.

        Args:
          params, batch_stats, batch, key: as in `loss`.
          seen: windows, or what the encoder found in them.
          method: that looks at them.

        Returns:
          As `loss`.
        """
        dropout, own = jax.random.split(key)
        output, updates = self.run.network.apply(
            {"params": params, "batch_stats": batch_stats},
            seen,
            train=True,
            method=method,
            mutable=["batch_stats"],
            rngs={"dropout": dropout},
        )
        loss, metrics = self.objective(output, batch, own)
        return loss, (updates["batch_stats"], metrics)

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors of counts of the validation videos."""
        del epoch
        counts = self.run.counts(variables, "val")
        return validation_scores(counts, self.run.videos("val"))


def trained_groups(network: FeatureNetwork, groups: tuple[str, ...]) -> tuple[str, ...]:
    """The groups of parameters that a stage trains: without an encoder that is frozen."""
    return tuple(name for name in groups if name != ENCODER or not network.frozen)


def window_parts(run: Run, stage: str) -> SceneParts:
    """The kinds of scenes that a stage's windows are rendered from.

    Raises:
      ValueError: for a field that scenes do not have, or a wrong value.
    """
    size, frames = run.config.data.size, run.network.frames
    return scene_parts(run.config[stage].scenes, height=size, width=size, frames=frames)


def check_windows(run: Run, stage: str, examples: tuple[str, ...]) -> None:
    """Checks a stage's settings, and the data that it wants.

    Args:
      run: the run.
      stage: its name.
      examples: known values of its `examples`; the first is of rendered scenes.

    Raises:
      ValueError: naming the field.
    """
    settings = run.config[stage]
    if settings.examples not in examples:
        raise ValueError(
            f"{stage}.examples: {settings.examples!r} is not one of {', '.join(examples)}"
        )
    wanted = ("val", "test")
    if settings.examples == examples[0]:
        window_parts(run, stage)
        if not settings.epoch_steps:
            raise ValueError(f"{stage}.epoch_steps: must be above 0")
    else:
        wanted = ("train", *wanted)
    for name in ("padded", "camera"):
        if not 0 <= settings[name] <= 1:
            raise ValueError(f"{stage}.{name}: {settings[name]} is not from 0 to 1")
    run.check_splits(wanted)


def evaluate_counts(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures on the test videos, beside a constant."""
    return report_beside_constant(run.counts(variables, "test"), run.videos("test"))
