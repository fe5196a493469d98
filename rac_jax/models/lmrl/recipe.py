"""Training LMRL: the density and the count, the foreground, and triplets of embeddings."""

import dataclasses
from typing import Any

import jax
import numpy as np

from rac_jax.counting import localisation
from rac_jax.counting.family import Variables
from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.lmrl import losses
from rac_jax.models.transrac.layers import DensityOutput
from rac_jax.models.transrac.losses import counting_terms, weighed
from rac_jax.models.transrac.recipe import check_density, density_recipe, density_task
from rac_jax.train.feature_task import stored_or_not
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch, Task
from rac_jax.train.report import report_beside_constant
from rac_jax.train.run import Run, count_video

# Of the network, on which what its encoder finds depends.
ENCODED = ("encoder", "frames", "width")
INSIDE = 0.5  # of the foreground, from which a frame belongs to a cycle
GROUPS = (
    "encoder",
    "neck",
    "period_maps",
    "foreground",
    "integration",
    "predictor",
)


def make_task(run: Run, variables: Variables) -> Task:
    """The one stage."""
    settings = run.config.loss

    def objective(
        output: DensityOutput, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, Mean]]:
        terms = counting_terms(output.density, batch) | losses.locating_terms(
            output.foreground_logits, output.embeddings, batch, key
        )
        return weighed(terms, settings.terms, settings.weights.to_dict())

    task = density_task(run, GROUPS, objective)
    return stored_or_not(task, variables, ENCODED)


def check(run: Run) -> None:
    """Checks the settings.

    Raises:
      ValueError: naming the field.
    """
    check_density(run, losses.TERMS)


def evaluate(run: Run, variables: Variables) -> dict[str, Any]:
    """Measures the counts of the test videos, and where their cycles are found.

    Returns:
      As `report_beside_constant`, with "localisation": {"foreground", "always foreground": see
      `localisation.scores`}, over the videos with known cycles; None where there is none.
    """
    counter = run.counter(variables)
    length = localisation.LENGTH

    def one(video: LabelledVideo, index: int) -> list[float]:
        del index
        result = count_video(counter, video)
        if video.cycles is None:
            return [result.count, *([0.0] * 2 * length)]
        found = np.asarray(result.foreground.values) > INSIDE
        truth = localisation.inside_cycles(video.cycles, np.arange(len(found)) + 0.5)
        everything = localisation.statistics(np.ones_like(truth), truth)
        return [result.count, *localisation.statistics(found, truth), *everything]

    rows = run.measure("test", one)
    found = report_beside_constant(rows[:, 0], run.videos("test"))
    known = rows[rows[:, 1] > 0, 1:]
    if not len(known):
        return found | {"localisation": None}
    return found | {
        "localisation": {
            "foreground": localisation.scores(known[:, :length]),
            "always foreground": localisation.scores(known[:, length:]),
        }
    }


RECIPE = dataclasses.replace(
    density_recipe(GROUPS, make_task, check), evaluate=evaluate
)
