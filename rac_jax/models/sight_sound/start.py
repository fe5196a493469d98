"""What the stages begin with."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import ml_collections

from rac_jax.models.sight_sound import repetition_loss as repetitions
from rac_jax.train.recipe import Variables


def stream_start(
    variables: Variables, head: str, class_bias_range: float, channels: int | None
) -> Variables:
    """Variables of a stream's stage.

    Args:
      variables: of the whole system.
      head: parameter group of the stream's head.
      class_bias_range: above 0, the biases of the classes' counts start evenly from 0 to this,
        so that the class softmax can tell few from many at once; from equal ones it takes far
        longer.
      channels: of the stage-3 features for the local term, None without.

    Returns:
      The variables, changed copies where they differ.
    """
    params = dict(variables["params"])
    if class_bias_range:
        counts = params[head]["counts"]
        bias = jnp.linspace(0.0, class_bias_range, counts["bias"].size)
        params[head] = params[head] | {"counts": counts | {"bias": bias}}
    params.pop(repetitions.LOCAL, None)
    if channels is not None:
        params[repetitions.LOCAL] = repetitions.first_local(channels)
    return variables | {"params": params}


def check_classes(
    loss: ml_collections.ConfigDict, head: str, number: int, classes: Sequence[str]
) -> None:
    """Checks that action labels are there and have a unit each where they supervise.

    Args:
      loss: the config's `loss` section.
      head: field of the config's `model` section that says how many there are.
      number: repetition classes of the head.
      classes: action classes of the data.

    Raises:
      ValueError: if they have not.
    """
    if loss.diversity != repetitions.ACTION_CLASS:
        return
    if not classes:
        raise ValueError(
            "loss.diversity: 'action_class' learns from action labels, no video of "
            "data.train has one"
        )
    if len(classes) > number:
        raise ValueError(
            f"model.{head}: {number} repetition classes, but {len(classes)} action classes "
            "supervise them"
        )


def copy_last_stages(
    variables: Variables, groups: Mapping[str, Mapping[str, str]]
) -> Variables:
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
