"""Recipes by model family."""

from rac_jax.models.compact import recipe as compact
from rac_jax.models.sight_sound import recipe as sight_sound
from rac_jax.train.stages import Recipe

RECIPES = {"sight_sound": sight_sound.RECIPE, "compact": compact.RECIPE}


def find_recipe(family: str | None) -> Recipe:
    """The recipe of a config's `family`.

    Raises:
      ValueError: if there is none.
    """
    if family not in RECIPES:
        known = ", ".join(RECIPES)
        raise ValueError(f"family: {family!r} is not one of {known}")
    return RECIPES[family]
