"""Training RepNet, on rendered scenes or on clips of unlabelled videos that are repeated."""

from typing import Any

import jax

from rac_jax.counting.family import Variables
from rac_jax.models.repnet.losses import period_targets, repnet_loss
from rac_jax.models.repnet.network import RepNetOutput, normalised
from rac_jax.models.repnet.repeated_clips import RepeatedClips
from rac_jax.scenes import Scene
from rac_jax.train.feature_task import check_stored, stored_or_not
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, Recipe, Stage, Task, VideoExamples
from rac_jax.train.run import Run
from rac_jax.train.window_task import (
    WindowTask,
    check_windows,
    evaluate_counts,
    trained_groups,
    window_parts,
)

STAGE = "windows"
GROUPS = (
    "encoder",
    "temporal",
    "temporal_norm",
    "similarity",
    "period_branch",
    "periodicity_branch",
)
# Of the network, on which what its encoder finds depends.
ENCODED = ("encoder", "frames", "width", "blocks")
EXAMPLES = ("scenes", "repeated_clips")


def pick(key: jax.Array, scene: Scene) -> dict[str, jax.Array]:
    """What a window needs of a scene."""
    del key
    return {
        "windows": scene.frames,
        "rate": scene.rate,
        "periodic": scene.periodicity,
    }


def make_task(run: Run, variables: Variables) -> Task:
    """The task of the one stage."""
    network = run.network
    if run.config[STAGE].examples == "scenes":
        source = window_parts(run, STAGE)
    else:
        longest = network.periods - 1 + network.first_period
        size = run.config.data.size
        source = VideoExamples(RepeatedClips(network.frames, size, longest))

    def objective(
        output: RepNetOutput, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, Mean]]:
        del key
        targets = period_targets(
            batch["rate"], batch["periodic"], network.periods, network.first_period
        )
        weight = run.config.loss.periodicity
        return repnet_loss(output, targets, batch["mask"], weight)

    groups = trained_groups(network, GROUPS)
    task = WindowTask(run, STAGE, groups, source, pick, normalised, objective)
    return stored_or_not(task, variables, ENCODED)


def check(run: Run) -> None:
    """Checks what only this family has.

    Raises:
      ValueError: naming the field.
    """
    check_windows(run, STAGE, EXAMPLES)
    check_stored(run, STAGE)


def model_config(run: Run) -> dict[str, Any]:
    """The `config.json` with which the model in training counts."""
    config = run.config
    return {
        "name": config.name,
        "family": run.family.name,
        "arguments": config.model.to_dict(),
        "preprocessing": {"size": config.data.size},
        "protocol": config.counting.protocol,
    }


RECIPE = Recipe(
    stages=(Stage(STAGE, make_task, ("model", "loss", "data", STAGE), GROUPS),),
    model_config=model_config,
    evaluate=evaluate_counts,
    check=check,
)
