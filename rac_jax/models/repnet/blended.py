"""Counting by overlapping windows whose stride is chosen along time; ours, for any length.

The released procedure takes one stride for a whole video, so that of two sets of another tempo one
is lost, and windows that do not overlap, at whose edges the network knows one side only.
"""

import numpy as np

from rac_jax.counting.overlapping import StridesAlongTime, choose_along_time
from rac_jax.models.repnet.released import LEAST_PERIOD

# A frame belongs to a repetition from this score on, and a set has so many repetitions at least.
THRESHOLD = 0.4
LEAST_COUNT = 1.6
# Sets with a break of less than so many periods between them are one.
GAP_PERIODS = 1.0


def mean_period(periods: np.ndarray, first_period: int) -> np.ndarray:
    """The likeliest period and its neighbours, weighed: [n, P] probabilities to [n] frames."""
    classes = np.arange(periods.shape[-1]) + first_period
    best = np.argmax(periods, axis=-1)[:, None]
    near = np.abs(np.arange(periods.shape[-1])[None] - best) <= 1
    near &= classes[None] >= 1
    weights = np.where(near, periods, 0.0)
    total = np.maximum(weights.sum(-1), 1e-9)
    return (weights * classes[None]).sum(-1) / total


def count(
    rows: dict[int, np.ndarray], frames: int, first_period: int
) -> StridesAlongTime:
    """Counts a video.

    Args:
      rows: stride to [n, P + 1], of each strided frame the probabilities of its periods and of
        its periodicity, as `WindowRun` joins them.
      frames: T.
      first_period: what the first class stands for.

    Returns:
      The count, as a rate per frame.
    """
    found = {}
    for stride, row in rows.items():
        known = row.astype(np.float64)
        periods, inside = known[:, :-1], known[:, -1]
        period = mean_period(periods, first_period)
        sure = np.sqrt(inside * periods.max(-1))
        sure = np.where(period < LEAST_PERIOD, 0.0, sure)
        found[stride] = sure, 1 / (stride * np.maximum(period, 1.0))
    return choose_along_time(found, frames, THRESHOLD)
