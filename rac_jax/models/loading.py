"""From a model's name or folder to the counter of its family."""

import os

from rac_jax.counting import weights
from rac_jax.counting.counter import Counter
from rac_jax.models.baselines.estimator import BASELINES, BaselineCounter
from rac_jax.models.compact.estimator import CompactCounter
from rac_jax.weights import DEFAULT_MODEL

COUNTERS: dict[str, type[Counter]] = {
    "sight_sound": Counter,
    "compact": CompactCounter,
}


def load(
    model: str | os.PathLike = DEFAULT_MODEL, **options
) -> Counter | BaselineCounter:
    """Loads a released model, ready to count.

    Args:
      model: the name of a model that ships with the package, a model folder, or the name of
        a baseline ("frame-differences", "self-similarity"), which only counts files.
      **options: see `Counter`.

    Returns:
      The counter of the model's family.

    Raises:
      ModelError: if the model is missing, damaged, or of a family that does not count.
    """
    if model in BASELINES:
        return BaselineCounter(str(model))
    import jax  # asks the backend, so it must not run when the module is imported

    family = weights.read_config(model)["family"]
    if family not in COUNTERS:
        raise weights.ModelError(
            f"{model}: is an encoder of the family {family} to start training from, "
            "it does not count"
        )
    dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return COUNTERS[family](*weights.load_model(model, dtype=dtype), **options)
