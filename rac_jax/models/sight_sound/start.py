"""What the stages begin with."""

from typing import Any

import jax.numpy as jnp

from rac_jax.models.sight_sound import repetition_loss as repetitions


def stream_start(
    variables: dict, head: str, spread: float, channels: int | None
) -> dict:
    """Variables of a stream's stage.

    Args:
      variables: of the whole system.
      head: parameter group of the stream's head.
      spread: above 0, the biases of the classes' counts start evenly from 0 to this, so that
        the class softmax can tell few from many at once; from equal ones it takes far longer.
      channels: of the stage-3 features for the local term, None without.

    Returns:
      The variables, changed copies where they differ.
    """
    params = dict(variables["params"])
    if spread:
        counts = params[head]["counts"]
        bias = jnp.linspace(0.0, spread, counts["bias"].size)
        params[head] = params[head] | {"counts": counts | {"bias": bias}}
    params.pop(repetitions.LOCAL, None)
    if channels is not None:
        params[repetitions.LOCAL] = repetitions.first_local(channels)
    return variables | {"params": params}


def check_classes(loss: Any, head: str, number: int, classes: int) -> None:
    """Checks that action labels have a unit each where they supervise.

    Raises:
      ValueError: if they have not.
    """
    if loss.diversity == repetitions.ACTION_CLASS and classes > number:
        raise ValueError(
            f"model.{head}: {number} repetition classes, but {classes} action classes "
            "supervise them"
        )


def copy_last_stages(variables: dict, groups: dict[str, dict[str, str]]) -> dict:
    """Starts copies of encoders' last stages from the encoders, as the release does.

    Args:
      variables: of the whole system.
      groups: parameter group to {its part: the encoder it copies}.

    Returns:
      The variables, changed copies where they differ.
    """
    changed = {}
    for kind in ("params", "batch_stats"):
        tree = dict(variables[kind])
        for group, parts in groups.items():
            own = dict(tree[group])
            for part, encoder in parts.items():
                own[part] = {"stage4": tree[encoder]["stage4"]}
            tree[group] = own
        changed[kind] = tree
    return changed
