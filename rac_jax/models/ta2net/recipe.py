"""Training TA2Net: one stage, on scenes where things strike, or on videos with labelled events."""

from typing import Any

import jax
import jax.numpy as jnp

from rac_jax.counting.family import Variables
from rac_jax.models.repnet.network import normalised
from rac_jax.models.ta2net import losses
from rac_jax.models.ta2net.event_clips import EventClips
from rac_jax.models.ta2net.kinematics import NETWORKS, check_flow
from rac_jax.models.ta2net.layers import EventOutput
from rac_jax.models.ta2net.network import FLOW_NETWORK, STREAMS
from rac_jax.models.ta2net.symmetries import vary
from rac_jax.models.transrac.losses import weighed
from rac_jax.scenes import Scene
from rac_jax.train.feature_task import check_stored, stored_or_not
from rac_jax.train.metrics import Mean, mean
from rac_jax.train.recipe import Batch, Recipe, Stage, Task, VideoExamples
from rac_jax.train.run import Run
from rac_jax.train.window_task import (
    WindowTask,
    check_windows,
    evaluate_counts,
    window_parts,
)

STAGE = "windows"
EXAMPLES = ("scenes", "videos")
ALWAYS = ("map", "neck", "similarity", "rows", "predictor")
IMAGE = "image_encoder"
# Of the network, on which what is stored of a window depends.
STORED = ("flow", "stored_streams", "frames")
# What a network may have besides.
PARTS = tuple(
    f"{name}_{part}" for name in STREAMS for part in ("encoder", "aggregation")
)


def groups_of(run: Run) -> tuple[str, ...]:
    """The groups of parameters that learn: all that a run's network has, but for its flow."""
    network = run.network
    groups = [*([IMAGE] if network.image else []), *ALWAYS]
    groups += ["beside"] if network.beside else []
    for stream in network.streams:
        groups.append(f"{stream}_encoder")
        if network.aggregated:
            groups.append(f"{stream}_aggregation")
    return tuple(groups)


def pick(key: jax.Array, scene: Scene) -> dict[str, jax.Array]:
    """What a window needs of a scene: "rate" is 1 in frames in which something strikes."""
    del key
    return {
        "windows": scene.frames,
        "rate": scene.contacts.astype(jnp.float32),
        "periodic": jnp.ones_like(scene.contacts),
    }


def terms_of(
    output: EventOutput, batch: Batch, key: jax.Array, released: bool
) -> dict[str, Mean]:
    """All terms of Eq. 14.

    Args:
      output: of the network.
      batch: "rate" [B, N], 1 in frames of sound; "periodic" bool [B, N], real frames; "mask" [B].
      key: of the frames that are compared, one of sound in each clip that has one.
      released: whether contrast and smoothness are the authors'.

    Returns:
      Means by their names, `losses.TERMS`.
    """
    events, mask = batch["rate"], batch["mask"]
    real = batch["periodic"] & mask[:, None]
    which = jax.random.uniform(key, events.shape) * (events > 0) * real
    frame = jnp.argmax(which, axis=1)[:, None, None]
    known = jnp.max(which, axis=1) > 0

    def chosen(x: jax.Array) -> jax.Array:
        return jnp.take_along_axis(x, frame, axis=1)[:, 0]  # [B, C]

    contrast = losses.contrast(
        chosen(output.motion), chosen(output.rest), known, released
    )
    size = jnp.sum(mask).astype(jnp.float32)
    if released:
        smooth = Mean(losses.released_smoothness(output.maps) * size, size)
    else:
        smooth = mean(losses.smoothness(output.maps), mask)
    return {
        "cross_entropy": mean(losses.cross_entropy(output.logits, events), real),
        "focal": mean(losses.focal(output.logits, events), real),
        "contrast": Mean(contrast * size, size),
        "smoothness": smooth,
    }


def make_task(run: Run, variables: Variables) -> Task:
    """The one stage; with `stored_epochs` it learns from windows whose flow is known."""
    settings = run.config.loss

    def objective(
        output: EventOutput, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, Mean]]:
        terms = terms_of(output, batch, key, settings.released)
        return weighed(terms, losses.TERMS, settings.weights.to_dict())

    if run.config[STAGE].examples == "scenes":
        source = window_parts(run, STAGE)
    else:
        source = VideoExamples(EventClips(run.network.frames, run.config.data.size))
    task = WindowTask(run, STAGE, groups_of(run), source, pick, normalised, objective)
    return stored_or_not(task, variables, STORED, FLOW_NETWORK, vary)


def check(run: Run) -> None:
    """Checks the settings.

    Raises:
      ValueError: naming the field.
    """
    for name, value in run.config.loss.weights.items():
        if value < 0:
            raise ValueError(f"loss.weights.{name}: {value} is below 0")
    network, start = run.network, run.config.start
    check_flow(network.flow)
    begins = start.model or start[FLOW_NETWORK]
    if network.flow in NETWORKS and network.streams and not begins:
        raise ValueError(
            f"start.{FLOW_NETWORK}: model.flow is {network.flow}, which learns nothing here; "
            "name a folder of its weights"
        )
    if not 0 <= run.config.counting.threshold <= 1:
        raise ValueError(
            f"counting.threshold: {run.config.counting.threshold} is not from 0 to 1"
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
        "threshold": config.counting.threshold,
    }


RECIPE = Recipe(
    stages=(
        Stage(
            STAGE,
            make_task,
            ("model", "loss", "data", STAGE),
            (IMAGE, *ALWAYS, "beside", *PARTS, FLOW_NETWORK),
        ),
    ),
    model_config=model_config,
    evaluate=evaluate_counts,
    check=check,
)
