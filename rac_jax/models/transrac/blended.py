"""Counting by overlapping windows of a density, whose stride is chosen along time.

The papers show a network 64 frames of a whole video, so that a cycle which lasts under two of them
is lost (57 % of RepCount-A's). Here every frame is looked at, at several strides. In training,
cycles that a window's stride cannot show have no density and are no foreground; the others are seen
by several strides, and a rate is believed as far as those that can show it agree on it.
Whether each cycle has a bump of its own says nothing: where a thing goes round without an end,
nobody can tell where its cycles begin, and the likeliest density is flat.
"""

from collections.abc import Mapping

import numpy as np
import scipy.ndimage

from rac_jax.counting.overlapping import (
    StridesAlongTime,
    at_every_frame,
    choose_along_time,
)

# Cycles shorter than so many frames of a window, or longer than this share of it, are not counted
# at the window's stride: another stride has them. In training, too.
SHORTEST, LONGEST = 2.5, 0.6
# A frame belongs to a repetition from this score on, and a set has so many repetitions at least.
THRESHOLD = 0.2
LEAST_COUNT = 1.6
# Sets with a break of less than so many periods between them are one.
GAP_PERIODS = 1.0
# Frames of the video around one over which rates are compared.
AROUND = 64
# Of the logarithm of two rates' ratio: how far apart they agree to exp(-1).
APART = 0.4
SLOWEST = 1e-6  # repetitions per frame; slower ones are none


def agreement(
    rates: Mapping[int, np.ndarray],
    foregrounds: Mapping[int, np.ndarray],
    window: int,
) -> dict[int, np.ndarray]:
    """How far other strides bear a stride out, along time.

    Args:
      rates: stride to [T] repetitions per frame of the video, at least 0.
      foregrounds: stride to [T] in [0, 1].
      window: N, strided frames of a window.

    Returns:
      Stride to [T] in [0, 1]: of the other strides whose windows can show the mean rate around a
      frame, the mean of how near theirs is, times their foreground; 0 where its own cannot.
    """
    around = {
        stride: np.maximum(
            scipy.ndimage.uniform_filter1d(rate, min(AROUND, len(rate))), SLOWEST
        )
        for stride, rate in rates.items()
    }

    def shown(rate: np.ndarray, stride: int) -> np.ndarray:
        frames = 1 / (rate * stride)  # strided ones of a cycle
        return (frames >= SHORTEST) & (frames <= LONGEST * window)

    found = {}
    for stride, rate in around.items():
        others = [other for other in around if other != stride]
        able = [shown(rate, other) for other in others]
        near = [
            np.exp(-np.square(np.log(around[other] / rate) / APART))
            * foregrounds[other]
            for other in others
        ]
        agreed = sum((a * b for a, b in zip(able, near, strict=True)), 0 * rate)
        number = np.maximum(sum(able, 0 * rate), 1)
        found[stride] = np.where(shown(rate, stride), agreed / number, 0.0)
    return found


def count(rows: dict[int, np.ndarray], frames: int, window: int) -> StridesAlongTime:
    """Counts a video.

    Args:
      rows: stride to [n, 2 or more], of each strided frame its density and its foreground.
      frames: T.
      window: N, strided frames of a window.

    Returns:
      The count, as a rate per frame.
    """
    rates, foregrounds = {}, {}
    for stride, row in rows.items():
        known = at_every_frame(row, stride, frames).astype(np.float64)
        rates[stride] = np.maximum(known[:, 0], 0.0) / stride
        foregrounds[stride] = known[:, 1]
    # A stride alone, asked for, has its own foreground.
    sure = agreement(rates, foregrounds, window) if len(rows) > 1 else foregrounds
    found = {
        stride: (sure[stride][::stride], rates[stride][::stride]) for stride in rows
    }
    return choose_along_time(found, frames, THRESHOLD)
