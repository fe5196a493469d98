"""What every config has, whatever the family: the fields that the engine itself reads.

A family adds sections of its own, and one for each of its stages.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections

CONFIG_FIELDS = (
    # Its name, see `rac_jax.models.find_family`.
    "family",
    # Of the exported model.
    "name",
    "seed",
    # Of the encoders: "auto", "float32" or "bfloat16".
    "precision",
    # See `rac_jax.train.mesh.make_mesh`.
    "mesh.data",
    "mesh.fsdp",
    # Whether a finished stage of a sibling run may be taken over.
    "share_stages",
    # On CPU: whether what a step frees is kept for the next.
    "keep_memory",
    # A model to begin with; other fields of `start` are parameter groups.
    "start.model",
    # Arguments of the network.
    "model",
    # What is measured; see `rac_jax.train.splits`.
    "data.test",
)
# Of the section that has a stage's name.
STAGE_FIELDS = (
    "epochs",
    # Batches to an epoch; 0: as many as the training videos give.
    "epoch_steps",
    "batch",
    # Pieces that a batch is cut into.
    "accumulate",
    # Of the moving average of the parameters, 0.0 without one.
    "average_decay",
    # Of `rac_jax.train.step.REMATERIALISE`.
    "rematerialise",
    # See `rac_jax.train.state.make_optimiser`.
    "optimiser.name",
    "optimiser.learning_rate",
    "optimiser.momentum",
    "optimiser.weight_decay",
    "optimiser.clip",
    "optimiser.schedule",
    "optimiser.warmup",
    # Validated every so many epochs, and after the last.
    "evaluate_epochs",
    # Whether the epoch of the lowest validation error is kept, not the last.
    "keep_best",
    "log_steps",
    # 0: checkpoints at validations only.
    "checkpoint_steps",
)
AT_LEAST = {
    "epochs": 1,
    "epoch_steps": 0,
    "batch": 1,
    "accumulate": 1,
    "evaluate_epochs": 1,
    "log_steps": 1,
    "checkpoint_steps": 0,
}


def check_config(config: ml_collections.ConfigDict) -> None:
    """Checks that a config has what the engine reads.

    Raises:
      ValueError: naming the field that is not there.
    """
    _check_fields(config, CONFIG_FIELDS)


def check_stage(
    config: ml_collections.ConfigDict, stage: str, optional: bool = False
) -> None:
    """Checks that a stage's section is there, and its numbers.

    Args:
      config: the whole config.
      stage: its name.
      optional: whether 0 epochs, which leave it out, are fine.

    Raises:
      ValueError: naming the field.
    """
    _check_fields(config, [f"{stage}.{field}" for field in STAGE_FIELDS])
    if optional and config[stage].epochs == 0:
        return
    for field, least in AT_LEAST.items():
        if config[stage][field] < least:
            raise ValueError(
                f"{stage}.{field}: must be at least {least}, not {config[stage][field]}"
            )


def find_field(config: Mapping[str, Any], name: str) -> Any:
    """What a config, as plain dicts, has under a dotted name.

    Raises:
      ValueError: if it has no such field.
    """
    value: Any = config
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ValueError(f"{name}: the config has no such field, and needs it")
        value = value[part]
    return value


def _check_fields(config: ml_collections.ConfigDict, names: Iterable[str]) -> None:
    known = config.to_dict()
    for name in names:
        find_field(known, name)
