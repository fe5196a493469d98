"""Whether the picture returns after a period, which tells a repetition from a pulse of quality.

An encoder gives the frames of a group more and fewer bits by turns, so that differences of frames
rise and fall several times a second wherever a camera moves. To a network that looks for periods
of change this is a repetition. But a picture that repeats is nearer to what it was a whole period
before than to what it was half a period, or one and a half, before; where a camera only moves on,
the difference grows with the time between frames, evenly or less, and a whole period lies on or
above the line between the two others.
"""

import numpy as np

# Frames back with which each frame is compared: one and a half of the longest period judged, of
# 13 frames. Groups of pictures are as short as that, or so long that nothing pulses; and where a
# camera moves fast the picture of a slower repetition does not always return.
LAGS = 20
# Pixels a side that are compared, at least: a grid of them.
GRID = 32
# Of the difference after a whole period to the mean of those after a half and one and a half.
# Encoded scenes of a moving camera have 1.00 to 1.09, repeating ones up to .95
# (docs/experiments.md, "Cadence of containers and codecs").
MOST_RATIO = 0.98
# A set is judged by so many of its periods beyond the one and a half that are looked back.
LEAST_PERIODS = 1.0


class Changes:
    """How far each frame of a stream is from those before it.

    What comes out does not depend on how the stream is cut into chunks.
    """

    def __init__(self):
        self._before: np.ndarray | None = None  # int16 [up to LAGS, h, w]

    def copy(self) -> "Changes":
        """One that goes on by itself from here; no array is ever written to."""
        twin = Changes()
        twin._before = self._before
        return twin

    def feed(self, frames: np.ndarray) -> np.ndarray:
        """Takes the next frames.

        Args:
          frames: uint8 [n, H, W] grey.

        Returns:
          float16 [n, LAGS]: mean absolute difference to the frame k + 1 before, in grey levels;
          nan where there is none.
        """
        step = max(1, min(frames.shape[1:]) // GRID)
        new = frames[:, ::step, ::step].astype(np.int16)
        known = new if self._before is None else np.concatenate([self._before, new])
        first = len(known) - len(new)
        rows = np.full((len(new), LAGS), np.nan, np.float16)
        for lag in range(1, min(LAGS, len(known) - 1) + 1):
            start = max(first, lag)
            apart = np.abs(known[start:] - known[start - lag : len(known) - lag])
            rows[start - first :, lag - 1] = apart.mean(axis=(1, 2))
        self._before = known[-LAGS:]
        return rows


def return_ratio(changes: np.ndarray, rate: np.ndarray) -> float | None:
    """How near the picture comes to what it was a period before, beside how far it goes between.

    Args:
      changes: [n, LAGS] of the frames of a set, see `Changes`.
      rate: [n] repetitions per frame.

    Returns:
      The difference after a period over the mean of those after a half and one and a half of it,
      over all frames that have such before them in the set; under 1 where the picture returns.
      None where the periods are too long, or too few to judge, or nothing moves.
    """
    period = 1 / np.maximum(rate, 1e-9)
    back = 1.5 * period  # frames
    place = np.arange(len(period))
    judged = (back < LAGS) & (place > back) & (period >= 2)
    if np.sum(rate[judged]) < LEAST_PERIODS or np.mean(back < LAGS) < 0.5:
        return None
    # A frame has changed by nothing since itself.
    rows = np.pad(changes[judged].astype(np.float64), ((0, 0), (1, 0)))

    def after(lag: np.ndarray) -> float:
        low = lag.astype(int)
        here, share = np.arange(len(rows)), lag - low
        return float(
            np.sum((1 - share) * rows[here, low] + share * rows[here, low + 1])
        )

    lags = period[judged]
    between = (after(lags / 2) + after(1.5 * lags)) / 2
    return after(lags) / between if between > 0 else None
