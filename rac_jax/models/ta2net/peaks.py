"""From the probability of every frame to events, and from events to cycles."""

import itertools

import numpy as np
import scipy.signal

from rac_jax.counting.result import RepetitionSet

# Frames from one event to the next at least: soft labels reach as far.
APART = 4
# A gap longer than so many usual ones parts two sets.
BREAK = 3.0
# Half of an event's cycle where there is no other, in seconds.
ALONE_S = 0.25


def peak_frames(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Frames of events: the highest of those that lie near each other.

    Args:
      probability: [T] of sound.
      threshold: least probability.

    Returns:
      int [K] rising.
    """
    # The ends may be peaks, too.
    padded = np.pad(np.asarray(probability, np.float64), 1, constant_values=-1.0)
    found, _ = scipy.signal.find_peaks(padded, height=threshold, distance=APART)
    return found - 1


def event_sets(
    times_s: np.ndarray, start_s: float, end_s: float
) -> tuple[RepetitionSet, ...]:
    """Sets of cycles with an event each, parted half-way between events.

    Args:
      times_s: [K] rising, between the ends.
      start_s: where the video starts.
      end_s: where it ends, later than every event.

    Returns:
      The sets; their counts add up to K.
    """
    if not len(times_s):
        return ()
    gaps = np.diff(times_s)
    usual = float(np.median(gaps)) if len(gaps) else 2 * ALONE_S
    cuts = np.flatnonzero(gaps > BREAK * usual) + 1
    found, done = [], start_s
    for run in np.split(times_s, cuts):
        first = max(done, float(run[0]) - usual / 2)
        last = min(end_s, float(run[-1]) + usual / 2)
        edges = [first, *((run[1:] + run[:-1]) / 2).tolist(), last]
        cycles = tuple(itertools.pairwise(edges))
        found.append(RepetitionSet(first, last, float(len(run)), cycles))
        done = last
    return tuple(found)
