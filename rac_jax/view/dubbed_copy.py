"""A copy of a video in which a dubbing track is heard."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from rac_jax.counting.result import CountResult
from rac_jax.view import dub
from rac_jax.view.annotate import AUDIO_RATE, Draw, drawn_copy
from rac_jax.view.cues import Cue


def dub_video(
    result: CountResult,
    cues: Sequence[Cue],
    path: str | os.PathLike,
    sound: np.ndarray,
    *,
    progress: bool = False,
) -> None:
    """Writes the counted part of the video with the track in place of its own sound.

    Size and rate are as in `annotate_video`.

    Args:
      result: what was counted; its file must still be there.
      cues: of the result, in the order of time, in seconds of the file.
      path: the video to write.
      sound: as in `dub.blocks`, at `dub.RATE`.
      progress: show a progress bar on long videos.

    Raises:
      MediaError, ValueError: as `annotate_video`.
    """
    moved = [
        dataclasses.replace(cue, time_s=cue.time_s - result.start_s) for cue in cues
    ]
    track = dub.blocks(moved, result.duration_s, sound, AUDIO_RATE)

    def make(size: tuple[int, int], ends_s: np.ndarray) -> Draw:
        del size, ends_s
        return lambda frame, number: None

    drawn_copy(result, path, make, sound=track, progress=progress)
