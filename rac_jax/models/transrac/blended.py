"""Counting by overlapping windows of a density, whose stride is chosen along time.

The papers show a network 64 frames of a whole video, so that a cycle which lasts under two of them
is lost (57 % of RepCount-A's). Here every frame is looked at, at several strides. A network that
sees the cycles apart gives each a bump of its own; one that does not spreads them: the contrast
between bumps and gaps says how sure it is, and the stride with the most of it is believed.
"""

import dataclasses

import numpy as np
import scipy.ndimage
import scipy.signal

from rac_jax.counting.overlapping import surest_stride

# A frame belongs to a repetition from this score on, and a set has so many repetitions at least.
THRESHOLD = 0.4
LEAST_COUNT = 1.6
# Sets with a break of less than so many periods between them are one.
GAP_PERIODS = 1.0
# Strided frames of a period: shorter ones are not seen, longer ones are another stride's.
SHORTEST, LONGEST = 2.5, 0.6  # frames; share of a window
# Over which the mean density is taken, as a share of a window.
AROUND = 0.5
MEDIAN_FRAMES = 5


@dataclasses.dataclass(frozen=True, eq=False)
class DensityCount:
    """What is found.

    Attributes:
      rate: [T] repetitions per frame, at least 0.
      score: [T] in [0, 1], of the stride chosen at each frame.
      stride: int [T].
      scores: mean score by stride.
    """

    rate: np.ndarray
    score: np.ndarray
    stride: np.ndarray
    scores: dict[int, float]


def sureness(density: np.ndarray, foreground: np.ndarray, window: int) -> np.ndarray:
    """How sure a density is of each strided frame, from its contrast within a period.

    Args:
      density: [n] at least 0.
      foreground: [n] in [0, 1].
      window: N, strided frames of a window.

    Returns:
      [n] in [0, 1]: (peak − gap) / (peak + gap) within a period to either side, times the
      foreground; 0 where the mean period is none that a window can show.
    """
    if not len(density):
        return np.zeros(0)
    around = max(3, round(AROUND * window))
    mean = scipy.ndimage.uniform_filter1d(density, around, mode="nearest")
    period = 1 / np.maximum(mean, 1e-6)  # [n]
    found = np.zeros(len(density))
    fits = (period >= SHORTEST) & (period <= LONGEST * window)
    # One filter for each whole period that there is.
    for whole in np.unique(np.rint(period[fits]).astype(int)):
        size = 2 * int(whole) + 1
        here = fits & (np.rint(period) == whole)
        peak = scipy.ndimage.maximum_filter1d(density, size, mode="nearest")[here]
        gap = scipy.ndimage.minimum_filter1d(density, size, mode="nearest")[here]
        found[here] = (peak - gap) / np.maximum(peak + gap, 1e-6)
    return found * foreground


def count(rows: dict[int, np.ndarray], frames: int, window: int) -> DensityCount:
    """Counts a video.

    Args:
      rows: stride to [n, 2 or more], of each strided frame its density and its foreground.
      frames: T.
      window: N, strided frames of a window.

    Returns:
      The count, as a rate per frame.
    """
    scores, rates, strides = [], [], sorted(rows)
    place = np.arange(frames)
    for stride in strides:
        known = rows[stride].astype(np.float64)
        density = np.maximum(known[:, 0], 0.0)
        sure = sureness(density, known[:, 1], window)
        index = np.minimum(place // stride, len(known) - 1)
        scores.append(sure[index])
        rates.append(density[index] / stride)
    every, rate = np.stack(scores), np.stack(rates)  # [S, T]
    best = surest_stride(every)
    score, rate = every[best, place], rate[best, place]
    inside = scipy.signal.medfilt((score > THRESHOLD).astype(float), MEDIAN_FRAMES)
    return DensityCount(
        rate * inside,
        score,
        np.asarray(strides)[best],
        {stride: float(one.mean()) for stride, one in zip(strides, every, strict=True)},
    )
