"""Which activity a video shows: paper 3, sections 3.3.1 and 3.4, and Table 4.

A softmax over what is said of every fourth frame, trained on random crops; of a whole video the
logits are averaged over its time.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rac_jax.counting.family import Variables
from rac_jax.counting.source import ArraySource
from rac_jax.counting.steady import steady_frames
from rac_jax.data.labelled import LabelledVideo
from rac_jax.data.labels import class_number
from rac_jax.encoders.strided_inflated import STRIDE
from rac_jax.models.sien import FAMILY, SIENOptions
from rac_jax.models.sien.estimator import step_program
from rac_jax.models.sien.network import SIEN
from rac_jax.train.class_scores import METRICS, among_best, class_scores
from rac_jax.train.classes import class_names
from rac_jax.train.metrics import Mean, mean
from rac_jax.train.run import Run

PIECE = 4 * STRIDE  # frames of a whole video that are looked at together
ESTIMATOR = "whole videos"


def activity_loss(
    logits: jax.Array, labels: jax.Array, mask: jax.Array
) -> tuple[jax.Array, dict[str, Mean]]:
    """Cross entropy of the logits' mean over time.

    Args:
      logits: [B, m, A].
      labels: int32 [B], numbers of the classes.
      mask: bool [B], false for a video that could not be read.

    Returns:
      (the mean, {"top1": share of right ones}).
    """
    over_time = jnp.mean(logits, axis=1)  # [B, A]
    cross = optax.softmax_cross_entropy_with_integer_labels(over_time, labels)
    term = mean(cross, mask)
    right = among_best(over_time, labels, 1).astype(jnp.float32)
    return term.total / jnp.maximum(term.weight, 1.0), {"top1": mean(right, mask)}


def mean_logits(
    network: SIEN, variables: Variables, fields: Mapping[str, Any], video: LabelledVideo
) -> np.ndarray:
    """The mean over time of what is said of a whole video.

    Args:
      network: with activities.
      variables: of it.
      fields: `preprocessing` of a model's config.
      video: of the network's size, in RGB.

    Returns:
      [A]; zeros of a video of less than four frames.
    """
    needs = FAMILY.needs({"preprocessing": fields}, SIENOptions())
    source = ArraySource(
        video.frames, needs, fps=video.fps, waveform=None, audio_rate=None
    )
    frames, _ = steady_frames(source.chunks(), float(fields["fps"]))
    known = len(frames) // STRIDE
    if not known:
        return np.zeros(network.activities)
    # What fills up the last piece is not looked at.
    shown = np.pad(np.stack(frames), ((0, -len(frames) % PIECE), *((0, 0),) * 3))
    program = step_program(
        network, fields, "activities", lambda found: found.activities
    )
    state, rows = network.start(1, *shown.shape[1:3]), []
    for first in range(0, len(shown), PIECE):
        piece = shown[None, first : first + PIECE]
        state, logits = program(variables, state, piece)
        rows.append(np.asarray(logits)[0])
    return np.concatenate(rows)[:known].mean(0)


def scored(
    run: Run, variables: Variables, split: str, config: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The scores of a split's whole videos, and what is said of each of them.

    Args:
      run: the run.
      variables: of its network, on the host.
      split: of the config's data.
      config: the model's `config.json`.

    Raises:
      ValueError: for a video whose label is no class.
    """
    classes = class_names(run, "activities")
    videos = run.videos(split)
    labels = [class_number(one.video_id, one.label, classes) for one in videos]
    there = jax.tree.map(jnp.asarray, variables)

    def one(video: LabelledVideo, index: int) -> np.ndarray:
        del index
        return mean_logits(run.network, there, config["preprocessing"], video)

    found = run.measure(split, one)
    rows = [
        {
            "video_id": video.video_id,
            "label": video.label,
            "predicted": classes[int(np.argmax(each))],
        }
        for video, each in zip(videos, found, strict=True)
    ]
    return class_scores(found, labels), rows


def validate(
    run: Run, variables: Variables, config: Mapping[str, Any]
) -> dict[str, float]:
    """Scores of the validation videos; "error" is 1 - top-1."""
    found, _ = scored(run, variables, "val", config)
    scores = {name: found[name] for name in METRICS}
    return {"error": 1 - scores["top1"]} | scores


def evaluate(
    run: Run, variables: Variables, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Measures on the whole test videos."""
    found, rows = scored(run, variables, "test", config)
    return {
        "metrics": list(METRICS),
        "estimators": {ESTIMATOR: found},
        "challenges": {},
        "videos": rows,
    }
