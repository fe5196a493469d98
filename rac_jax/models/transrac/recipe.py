"""Training counters by a density: the one stage of TransRAC, and what LMRL's has in common with it."""

from collections.abc import Callable
from typing import Any

import jax

from rac_jax.counting.family import Variables
from rac_jax.models.repnet.network import normalised
from rac_jax.models.transrac import PROTOCOLS, STRIDES, losses
from rac_jax.models.transrac.density_clips import CUTS, DensityClips
from rac_jax.models.transrac.layers import DensityOutput
from rac_jax.train.feature_task import check_stored, stored_or_not
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, Recipe, Stage, Task, VideoExamples
from rac_jax.train.run import Run
from rac_jax.train.window_task import (
    Objective,
    WindowTask,
    check_windows,
    evaluate_counts,
    trained_groups,
    window_parts,
)

STAGE = "windows"
GROUPS = ("encoder", "neck", "similarity", "rows", "predictor")
# Of the network, on which what its encoder finds depends.
ENCODED = ("encoder", "scales", "frames", "width")
EXAMPLES = ("scenes", *CUTS)


def density_task(run: Run, groups: tuple[str, ...], objective: Objective) -> WindowTask:
    """The stage of a counter by a density.

    Args:
      run: whose network gives a `DensityOutput`.
      groups: of its parameters; a frozen encoder is not trained.
      objective: what is learned.
    """
    settings = run.config[STAGE]
    groups = trained_groups(run.network, groups)
    if settings.examples == "scenes":
        source = window_parts(run, STAGE)
    else:
        size = run.config.data.size
        source = VideoExamples(
            DensityClips(run.network.frames, size, settings.examples, STRIDES)
        )
    return WindowTask(run, STAGE, groups, source, losses.pick, normalised, objective)


def check_density(run: Run, terms: tuple[str, ...]) -> None:
    """Checks what the families that count by a density have in common.

    Args:
      run: the run.
      terms: that a loss may have.

    Raises:
      ValueError: naming the field.
    """
    config = run.config
    unknown = [name for name in config.loss.terms if name not in terms]
    if unknown or not config.loss.terms:
        raise ValueError(
            f"loss.terms: {unknown[0] if unknown else 'none'!r} is not one of "
            f"{', '.join(terms)}"
        )
    if config.counting.protocol not in PROTOCOLS:
        raise ValueError(
            f"counting.protocol: {config.counting.protocol!r} is not one of "
            f"{', '.join(PROTOCOLS)}"
        )
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


def density_recipe(
    groups: tuple[str, ...],
    make_task: Callable[[Run, Variables], Task],
    check: Callable[[Run], None],
) -> Recipe:
    """The recipe of a family, of one stage."""
    return Recipe(
        stages=(Stage(STAGE, make_task, ("model", "loss", "data", STAGE), groups),),
        model_config=model_config,
        evaluate=evaluate_counts,
        check=check,
    )


def make_task(run: Run, variables: Variables) -> Task:
    """TransRAC's one stage."""
    settings = run.config.loss

    def objective(
        output: DensityOutput, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, Mean]]:
        del key
        terms = losses.counting_terms(output.density, batch)
        return losses.weighed(terms, settings.terms, settings.weights.to_dict())

    task = density_task(run, GROUPS, objective)
    return stored_or_not(task, variables, ENCODED)


def check(run: Run) -> None:
    """Checks TransRAC's settings.

    Raises:
      ValueError: naming the field.
    """
    check_density(run, losses.TERMS)
    if run.config[STAGE].stored_epochs and run.network.released:
        raise ValueError(
            f"{STAGE}.stored_epochs: the released encoder drops paths while it is trained "
            "with, and finds something else in every step; have 0 here"
        )


RECIPE = density_recipe(GROUPS, make_task, check)
