"""Counting by overlapping windows of a density, whose stride is chosen along time.

The papers show a network 64 frames of a whole video, so that a cycle which lasts under two of them
is lost (57 % of RepCount-A's). Here every frame is looked at, at several strides. A network that
sees the cycles apart gives each a bump of area 1; one that does not smears them. How much the
density looks like such bumps says how sure a stride is, and the surest one is believed.
"""

import itertools

import numpy as np
import scipy.signal

from rac_jax.counting.overlapping import StridesAlongTime, choose_along_time

# A frame belongs to a repetition from this score on, and a set has so many repetitions at least.
THRESHOLD = 0.4
LEAST_COUNT = 1.6
# Sets with a break of less than so many periods between them are one.
GAP_PERIODS = 1.0
# Strided frames of a bump: shorter ones are not seen, longer ones are another stride's.
SHORTEST, LONGEST = 2, 0.7  # frames; share of a window
# Of a peak: how far it rises above the gaps at least, and where a bump begins.
LEAST_PROMINENCE, FOOT = 0.25, 0.02


def sureness(density: np.ndarray, foreground: np.ndarray, window: int) -> np.ndarray:
    """How sure a density is of each strided frame: whether it has one bump of area 1 per cycle.

    Args:
      density: [n] at least 0.
      foreground: [n] in [0, 1].
      window: N, strided frames of a window.

    Returns:
      [n] in [0, 1], the same within a bump: how far the gaps beside it fall below its peak, times
      its area or one over it, times the foreground; 0 between bumps, and where a bump is shorter
      or longer than a window can show.
    """
    # Bumps lie between the lowest places between peaks.
    padded = np.concatenate([[0.0], density, [0.0]])
    peaks, _ = scipy.signal.find_peaks(padded)
    above = scipy.signal.peak_prominences(padded, peaks)[0]
    peaks = peaks[above >= LEAST_PROMINENCE * padded[peaks]] - 1
    found = np.zeros(len(density))
    if not len(peaks):
        return found
    cuts = [
        first + int(np.argmin(density[first:last]))
        for first, last in itertools.pairwise(peaks)
    ]
    for peak, start, end in zip(peaks, [0, *cuts], [*cuts, len(density)], strict=True):
        height = density[peak]
        place = start + np.flatnonzero(density[start:end] > FOOT * height)
        if not SHORTEST <= len(place) <= LONGEST * window:
            continue
        # Beyond the first and the last frame there is nothing to compare with.
        sides = [density[edge] for edge in (start, end) if 0 < edge < len(density)]
        gap = max(sides, default=0.0) / height
        area = float(density[place].sum())
        found[place] = (1 - gap) * min(area, 1 / area)
    return found * foreground


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
