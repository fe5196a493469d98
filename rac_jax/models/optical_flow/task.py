"""What a network of optical flow learns: GMFlow's loss (section 3.5), on scenes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rac_jax.counting.family import Variables
from rac_jax.models.optical_flow import evaluation
from rac_jax.ops.flow_loss import endpoint_error, sequence_loss
from rac_jax.train.metrics import Mean, mean
from rac_jax.train.recipe import Batch, RenderedExamples, Task
from rac_jax.train.run import Run
from rac_jax.train.scene_flow_clips import flow_clips
from rac_jax.train.scene_windows import SceneParts, part_sizes, scene_parts

STAGE = "flow"
GROUPS = ("backbone", "transformer", "propagation", "upsampler", "refinement")


def groups_of(run: Run) -> tuple[str, ...]:
    """The groups of parameters that a run's network has: it enlarges, or it refines."""
    left_out = "upsampler" if run.network.refinements else "refinement"
    return tuple(name for name in GROUPS if name != left_out)


def flow_parts(run: Run) -> SceneParts:
    """The kinds of scenes that flow is learned from.

    Raises:
      ValueError: for a field that scenes do not have, or a wrong value.
    """
    settings, size = run.config[STAGE], run.config.data.size
    return scene_parts(settings.scenes, height=size, width=size, frames=settings.frames)


@dataclasses.dataclass(frozen=True, eq=False)
class FlowTask(Task):
    """The one stage: the way there and the way back, of what is hidden, too.

    Attributes:
      run: whose network is trained, by whose config.
      trained: groups of parameters.
      parts: the kinds of scenes.
    """

    run: Run
    trained: tuple[str, ...]
    parts: SceneParts

    name = STAGE
    examples = RenderedExamples()

    def prepare(self, batch: Batch, key: jax.Array) -> Batch:
        """Renders clips of all kinds: as `flow_clips` gives them."""
        drawn = []
        for place, size in enumerate(part_sizes(self.parts, len(batch["row"]))):
            keys = jax.random.split(jax.random.fold_in(key, place), size)
            drawn += [flow_clips(keys, self.parts[place][1])] if size else []
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *drawn)

    def loss(
        self, params: Any, batch_stats: Any, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Any, dict[str, Mean]]]:
        """(loss, (batch statistics, metrics)); metrics are errors in pixels."""
        del key
        frames = batch["frames"]
        found = self.run.network.apply(
            {"params": params}, frames, both=True, train=True
        )
        target = jnp.moveaxis(batch["flow"], 1, 0)  # [2, B, T - 1, H, W, 2]
        loss = jnp.mean(sequence_loss(found.steps, target))
        error = endpoint_error(found.steps[-1], target)
        length = endpoint_error(jnp.zeros_like(target), target)
        moving = length > evaluation.LEAST
        return loss, (
            batch_stats,
            {
                "epe": mean(error, jnp.ones_like(moving)),
                "moving": mean(error, moving),
                "moving_length": mean(length, moving),
            },
        )

    def validate(self, variables: Variables, epoch: int) -> Mapping[str, float]:
        """Errors on the validation scenes; "error" is that of all pixels that stay seen."""
        del epoch
        found = evaluation.measured(self.run, self.parts, variables, "val")
        scores = evaluation.scores(found)
        return {"error": scores["epe"]} | {
            name: scores[name] for name in evaluation.METRICS
        }
