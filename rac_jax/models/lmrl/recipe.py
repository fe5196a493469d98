"""Training LMRL: the density and the count, the foreground, and triplets of embeddings."""

import jax

from rac_jax.counting.family import Variables
from rac_jax.models.lmrl import losses
from rac_jax.models.transrac.layers import DensityOutput
from rac_jax.models.transrac.losses import counting_terms, weighed
from rac_jax.models.transrac.recipe import check_density, density_recipe, density_task
from rac_jax.train.metrics import Mean
from rac_jax.train.recipe import Batch
from rac_jax.train.run import Run
from rac_jax.train.window_task import WindowTask

GROUPS = (
    "encoder",
    "neck",
    "period_maps",
    "foreground",
    "integration",
    "predictor",
)


def make_task(run: Run, variables: Variables) -> WindowTask:
    """The one stage."""
    del variables
    settings = run.config.loss

    def objective(
        output: DensityOutput, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, Mean]]:
        terms = counting_terms(output.density, batch) | losses.locating_terms(
            output.foreground_logits, output.embeddings, batch, key
        )
        return weighed(terms, settings.terms, settings.weights.to_dict())

    return density_task(run, GROUPS, objective)


def check(run: Run) -> None:
    """Checks the settings.

    Raises:
      ValueError: naming the field.
    """
    check_density(run, losses.TERMS)


RECIPE = density_recipe(GROUPS, make_task, check)
