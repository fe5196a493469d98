"""What a classifier says of whole videos: the mean over several clips and crops of each.

As action recognition is measured since Wang et al., "Non-local neural networks" (2018): clips
evenly along the video, crops side by side, and the softmax averaged over all of them.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.data.labelled import LabelledVideo
from rac_jax.data.labels import class_number
from rac_jax.models.classifier.examples import (
    even_clips,
    even_sounds,
    sound_samples,
)
from rac_jax.models.classifier.inputs import normalised, spectrograms
from rac_jax.models.classifier.network import FRAMES
from rac_jax.ops import augment, compiling
from rac_jax.train.class_scores import class_scores
from rac_jax.train.run import Run


@functools.lru_cache(maxsize=8)
def _sight_program(
    network: nn.Module, colours: str, side: int, crops: int
) -> Callable[[Variables, np.ndarray], jax.Array]:
    """Clips uint8 [n, T, H, W, 3] of one video to the mean softmax [P] over clips and crops."""

    def program(variables: Variables, clips: jax.Array) -> jax.Array:
        inputs = normalised(augment.views(clips, side, crops), colours)
        return jax.nn.softmax(network.apply(variables, inputs).logits).mean(0)

    return compiling.jit(program)


@functools.lru_cache(maxsize=8)
def _sound_program(
    network: nn.Module, rate: int
) -> Callable[[Variables, np.ndarray], jax.Array]:
    """Sounds float32 [n, S] of one video to the mean softmax [P] over them."""

    def program(variables: Variables, sounds: jax.Array) -> jax.Array:
        inputs = spectrograms(sounds, rate)
        return jax.nn.softmax(network.apply(variables, inputs).logits).mean(0)

    return compiling.jit(program)


def probabilities(
    run: Run, variables: Variables, split: str, clips: int, crops: int
) -> np.ndarray:
    """Probabilities of the classes of a split's videos; the run's processes share the work.

    Args:
      run: the run.
      variables: of the network, on the host.
      split: of the config's data.
      clips: along each video, or parts of its sound.
      crops: of each clip.

    Returns:
      [N, P]; zeros for a video without the sound that it is to be known by.
    """
    config, network = run.config, run.network
    there = jax.tree.map(jnp.asarray, variables)

    def by_sight(video: LabelledVideo, index: int) -> np.ndarray:
        del index
        program = _sight_program(
            network, config.clips.colours, config.clips.size, crops
        )
        views = even_clips(video, clips, config.clips.frames, config.clips.stride)
        return np.asarray(program(there, views))

    def by_sound(video: LabelledVideo, index: int) -> np.ndarray:
        del index
        if video.waveform is None:
            return np.zeros(network.classes)
        program = _sound_program(network, config.data.audio_rate)
        samples = sound_samples(config.sound.columns)
        return np.asarray(program(there, even_sounds(video.waveform, clips, samples)))

    return run.measure(split, by_sight if network.input == FRAMES else by_sound)


def scored(
    run: Run,
    classes: tuple[str, ...],
    variables: Variables,
    split: str,
    clips: int,
    crops: int,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The scores of a split, and what is said of each of its videos.

    Args:
      run, variables, split, clips, crops: as in `probabilities`.
      classes: names of the classes, in the order of their numbers.

    Returns:
      `class_scores` and, by video, {"video_id", "label", "predicted", "probability"}.

    Raises:
      ValueError: for a video whose label is no class.
    """
    videos = run.videos(split)
    labels = [class_number(one.video_id, one.label, classes) for one in videos]
    found = probabilities(run, variables, split, clips, crops)
    rows = [
        {
            "video_id": video.video_id,
            "label": video.label,
            "predicted": classes[int(np.argmax(each))],
            "probability": round(float(np.max(each)), 4),
        }
        for video, each in zip(videos, found, strict=True)
    ]
    return class_scores(found, labels), rows
