"""From repetitions per frame to sets of repetitions with their cycles."""

import itertools

import numpy as np

from rac_jax.counting.result import RepetitionSet


def sets_of_frames(
    rate: np.ndarray,
    times_s: np.ndarray,
    end_s: float,
    *,
    least_count: float = 0.0,
    gap_periods: float = 0.0,
) -> tuple[RepetitionSet, ...]:
    """Runs of frames in which something repeats, each cut into its cycles.

    Args:
      rate: [T] repetitions per frame, at least 0.
      times_s: [T] when each frame begins, in seconds.
      end_s: when the last one ends.
      least_count: runs of fewer repetitions are left out.
      gap_periods: runs with a shorter break between them are one set, in mean periods of the
        runs beside it.

    Returns:
      The sets; counts are sums of the rate, cycles lie between equal shares of it.
    """
    inside = np.concatenate([[False], np.asarray(rate) > 0, [False]])
    edges = np.flatnonzero(np.diff(inside)).reshape(-1, 2)  # [runs, 2] first, end
    runs: list[list[int]] = []
    for first, end in edges.tolist():
        if runs:
            period = (runs[-1][1] - runs[-1][0]) / np.sum(rate[slice(*runs[-1])])
            period = max(period, (end - first) / np.sum(rate[first:end]))
            if first - runs[-1][1] < gap_periods * period:
                runs[-1][1] = end
                continue
        runs.append([first, end])

    # Places between frames as seconds.
    begins = np.append(times_s, max(end_s, times_s[-1] if len(times_s) else 0.0))
    found = []
    for first, end in runs:
        own = np.asarray(rate[first:end], np.float64)
        count = float(np.sum(own))
        if count < least_count or count <= 0:
            continue
        done = np.concatenate([[0.0], np.cumsum(own)])
        number = max(1, round(count))
        # Where the running count does not rise, no cycle ends.
        rising = np.concatenate([[True], np.diff(done) > 0])
        places = np.interp(
            np.linspace(0, count, number + 1),
            done[rising],
            np.arange(len(done))[rising],
        )
        seconds = np.interp(first + places, np.arange(len(begins)), begins)
        cycles = tuple((float(a), float(b)) for a, b in itertools.pairwise(seconds))
        found.append(RepetitionSet(cycles[0][0], cycles[-1][1], count, cycles))
    return tuple(found)
