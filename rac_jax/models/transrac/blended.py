"""Counting by overlapping windows of a density, whose stride is chosen along time.

The papers show a network 64 frames of a whole video, so that a cycle which lasts under two of them
is lost (57 % of RepCount-A's). Here every frame is looked at, at several strides. In training,
cycles that a window's stride cannot show have no density and are no foreground, so where there is a
density, and a foreground, the stride can show them, and what lies under the density is believed.
Whether a cycle has a bump of its own says nothing: where a thing goes round without an end, nobody
can tell where its cycles begin, and the likeliest density is flat.
"""

import numpy as np
import scipy.ndimage

from rac_jax.counting.overlapping import StridesAlongTime, choose_along_time
from rac_jax.models.transrac.losses import LONGEST

# A frame belongs to a repetition from this score on, and a set has so many repetitions at least.
THRESHOLD = 0.8
LEAST_COUNT = 1.6
# Sets with a break of less than so many periods between them are one.
GAP_PERIODS = 1.0
# The density around a frame, in those of the slowest cycles that a window shows: nothing is there
# up to the first, something from the second on.
NOTHING, SOMETHING = 0.25, 0.75


def sureness(density: np.ndarray, foreground: np.ndarray, window: int) -> np.ndarray:
    """How sure a density is of each strided frame.

    Args:
      density: [n] at least 0.
      foreground: [n] in [0, 1].
      window: N, strided frames of a window.

    Returns:
      [n] in [0, 1]: the foreground, where the mean density of the window around a frame is one of
      cycles that it can show, and less where it is next to nothing.
    """
    around = scipy.ndimage.uniform_filter1d(density, min(window, len(density)))
    cycles = around * LONGEST * window
    there = np.clip((cycles - NOTHING) / (SOMETHING - NOTHING), 0, 1)
    return there * foreground


def count(rows: dict[int, np.ndarray], frames: int, window: int) -> StridesAlongTime:
    """Counts a video.

    Args:
      rows: stride to [n, 2 or more], of each strided frame its density and its foreground.
      frames: T.
      window: N, strided frames of a window.

    Returns:
      The count, as a rate per frame.
    """
    found = {}
    for stride, row in rows.items():
        known = row.astype(np.float64)
        density = np.maximum(known[:, 0], 0.0)
        found[stride] = sureness(density, known[:, 1], window), density / stride
    return choose_along_time(found, frames, THRESHOLD)
