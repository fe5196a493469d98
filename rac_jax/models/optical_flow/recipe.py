"""Training a network of optical flow: one stage, on scenes that are rendered in the step."""

from typing import Any

from rac_jax.counting.family import Variables
from rac_jax.models.optical_flow import ENCODER, evaluation
from rac_jax.models.optical_flow.task import (
    GROUPS,
    STAGE,
    FlowTask,
    flow_parts,
    groups_of,
)
from rac_jax.train.recipe import Recipe, Stage
from rac_jax.train.run import Run

# Two flows have a difference in time.
FEWEST_FRAMES = 3


def make_task(run: Run, variables: Variables) -> FlowTask:
    """The one stage."""
    del variables
    return FlowTask(run, groups_of(run), flow_parts(run))


def check(run: Run) -> None:
    """Checks the settings.

    Raises:
      ValueError: naming the field.
    """
    network, settings = run.network, run.config[STAGE]
    if network.scales not in (1, 2):
        raise ValueError(f"model.scales: {network.scales} is not 1 or 2")
    if network.refinements and network.scales == 1:
        raise ValueError(
            f"model.refinements: {network.refinements} need model.scales to be 2"
        )
    if settings.frames < FEWEST_FRAMES:
        raise ValueError(f"{STAGE}.frames: {settings.frames} is below {FEWEST_FRAMES}")
    if not settings.epoch_steps:
        raise ValueError(f"{STAGE}.epoch_steps: must be above 0")
    flow_parts(run)
    for split in ("val", "test"):
        if run.config.data[split].number < 1:
            number = run.config.data[split].number
            raise ValueError(f"data.{split}.number: {number} is not positive")


def model_config(run: Run) -> dict[str, Any]:
    """The `config.json` of the encoder in training."""
    return {
        "name": run.config.name,
        "family": ENCODER,
        "arguments": run.config.model.to_dict(),
        "preprocessing": {
            "clip_frames": run.config[STAGE].frames,
            "size": run.config.data.size,
            "colour_range": [0, 255],
        },
    }


def evaluate(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures on the test scenes."""
    kinds = sorted(run.config[STAGE].scenes)
    return evaluation.report(run, flow_parts(run), variables, kinds)


RECIPE = Recipe(
    stages=(Stage(STAGE, make_task, ("model", "data", STAGE), GROUPS),),
    model_config=model_config,
    evaluate=evaluate,
    check=check,
)
