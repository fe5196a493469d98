"""From a model's name or folder to its network, its counter, or its family."""

import os
from typing import TYPE_CHECKING, Any

from rac_jax import encoders
from rac_jax.counting import model_config
from rac_jax.counting.family import Family, TrainableFamily
from rac_jax.counting.model_config import ModelError
from rac_jax.models import FamilyError, find_family
from rac_jax.weights import DEFAULT_MODEL

if TYPE_CHECKING:
    from rac_jax.counting.counter import Counter


def read_family(model: str | os.PathLike) -> tuple[Family, dict[str, Any]]:
    """The family of a released model that counts, and its `config.json`.

    Nothing heavy is imported.

    Args:
      model: the name of a model that ships with the package, or a model folder.

    Raises:
      ModelError: if the model is missing or damaged, or of a family that does not count.
    """
    config = model_config.read_config(model)
    name = config["family"]
    if name in encoders.ENCODERS:
        raise ModelError(
            f"{model}: is an encoder of the kind {name} to start training from, "
            "it does not count"
        )
    family = _find(model, config)
    if not isinstance(family, Family):
        raise ModelError(f"{model}: is of the family {name}, which does not count")
    return family, config


def _find(model: str | os.PathLike, config: dict[str, Any]) -> TrainableFamily:
    """The family that a checked `config.json` names, with all the fields that it asks for.

    Raises:
      ModelError: naming the model and what is wrong.
    """
    try:
        family = find_family(config["family"])
    except FamilyError as error:
        raise ModelError(f"{model}: {error}") from error
    missing = [field for field in family.config_fields if field not in config]
    if missing:
        raise ModelError(f"{model}: its config.json lacks {', '.join(missing)}")
    return family


def load(
    model: str | os.PathLike = DEFAULT_MODEL,
    *,
    batch_sizes: tuple[int, ...] | None = None,
) -> "Counter":
    """Loads a released model, ready to count.

    Args:
      model: the name of a model that ships with the package, or a model folder.
      batch_sizes: see `Counter`.

    Returns:
      The counter.

    Raises:
      ModelError: if the model is missing, damaged, or of a family that does not count.
    """
    import jax  # asks the backend, so it must not run when the module is imported

    from rac_jax.counting.counter import Counter

    family, config = read_family(model)
    dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    network, variables = _build(model, family, config, dtype)
    with model_config.naming_config(model):
        # What it wants of a file is said here if it cannot be, before there is one.
        family.needs(config, family.Options())
        return Counter(family, network, variables, config, batch_sizes=batch_sizes)


def load_model(model: str | os.PathLike = DEFAULT_MODEL, *, dtype: str = "float32"):
    """Loads a released model's network, of a family or an encoder alone.

    Args:
      model: the name of a shipped model, or a folder.
      dtype: compute type of the encoders; parameters are float32 whatever they were stored in.

    Returns:
      (network, variables, config): the Flax module, its {"params", "batch_stats"}, and
      `config.json` as a dict.

    Raises:
      ModelError: if anything is missing, left over or misshapen; the tensor is named.
    """
    config = model_config.read_config(model)
    if config["family"] in encoders.ENCODERS:
        maker = encoders.Encoder(config["family"])
    else:
        maker = _find(model, config)
    return *_build(model, maker, config, dtype), config


def _build(model: str | os.PathLike, maker: Any, config: dict[str, Any], dtype: str):
    """(network, variables) of a model folder; `maker` is a family or an encoder."""
    from rac_jax.counting import weights

    with model_config.naming_config(model):
        network = maker.network(**config["arguments"], dtype=dtype)
        inputs = maker.example_inputs(network)
        return network, weights.load_variables(model, network, inputs)
