"""Frames that a container or a change of rates repeats, told from frames of a thing that rests.

A video of 24 frames per second padded to 30 shows every fourth frame twice, a film at 60 one
frame twice and the next three times (3:2 pulldown). What moves steadily then stops ten times a
second, which is a repetition to anything that looks for one. An encoder leaves a repeated frame
nearly as it was, so that its difference from the frame before is small beside its neighbours'.
"""

import copy

import numpy as np

# Differences before and after a frame that it is compared with: a third of a second at 25 frames
# per second on both sides, more than one round of every cadence.
MEASURE_FRAMES = 8

# Which of the differences around a frame is its measure. In 3:2 pulldown three of five differences
# are of repeated frames, so that the median would be one of those.
QUANTILE = 0.7

# Repeated frames differ by less than this share of the measure. So does a thing that turns back,
# so that small differences alone are no sign: they have to come in a cadence.
LEAST_SHARE = 0.25

# Rounds of cadences in frames: from every frame shown twice to every sixth one.
ROUNDS = tuple(range(2, 8))

# Frames before and after one in which the cadence is looked for; the share of repeated frames
# that must be repeated a round later, too; and the largest share of repeated frames among all.
# More are a thing at rest; 3:2 pulldown has three of five.
CADENCE_FRAMES = 24
LEAST_AGREEMENT = 0.7
MOST_REPEATED = 0.65

REACH_FRAMES = CADENCE_FRAMES + MEASURE_FRAMES


class RepeatedFrames:
    """Drops repeated frames out of a stream, holding back at most `REACH_FRAMES` frames.

    What is kept does not depend on how the stream is cut into chunks. The first frame and the
    last one are always kept, so that a video begins and ends when it did.
    """

    def __init__(self):
        self._frames: np.ndarray | None = None  # held back, [n, H, W]
        self._times_s = np.zeros(0)  # of the frames held back
        self._differences = np.zeros(
            0
        )  # of those, after up to `REACH_FRAMES` earlier ones
        self._last: np.ndarray | None = None

    def copy(self) -> "RepeatedFrames":
        """One that goes on by itself from here; no array is ever written to."""
        return copy.copy(self)

    def feed(
        self, frames: np.ndarray, times_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Takes frames and gives those that are decided on.

        Args:
          frames: uint8 [n, H, W] grey.
          times_s: float64 [n] when each begins.

        Returns:
          Frames uint8 [m, H, W] that do not repeat the one before, and their times float64 [m].
        """
        if len(frames):
            new = _differences(self._last, frames)
            self._differences = np.append(self._differences, new)
            self._last = frames[-1]
            held = [] if self._frames is None else [self._frames]
            self._frames = np.concatenate([*held, frames])
            self._times_s = np.append(self._times_s, times_s)
        decided = max(0, len(self._times_s) - REACH_FRAMES)
        return self._give(self._kept(decided), frames)

    def finish(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Gives what was held back, as `feed` does; None if there was no frame at all."""
        if self._frames is None:
            return None
        kept = self._kept(len(self._times_s))
        # The last frame tells when the video ends.
        kept[-1:] = True
        return self._give(kept, self._frames)

    def _kept(self, number: int) -> np.ndarray:
        """Which of the first frames held back do not repeat the one before them. [number] bool"""
        earlier = len(self._differences) - len(self._times_s)
        if not number:
            return np.ones(0, bool)
        small = _small(self._differences)
        kept = np.ones(number, bool)
        for index in np.flatnonzero(small[earlier : earlier + number]):
            here = earlier + index
            around = small[max(0, here - CADENCE_FRAMES) : here + CADENCE_FRAMES + 1]
            kept[index] = not _has_cadence(around)
        return kept

    def _give(
        self, kept: np.ndarray, like: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Parts with the first frames held back, and gives those of them that are kept."""
        number = len(kept)
        if not number:
            return like[:0], self._times_s[:0]
        frames, times_s = self._frames[:number][kept], self._times_s[:number][kept]
        self._frames, self._times_s = self._frames[number:], self._times_s[number:]
        # A later frame is compared with so many differences before it.
        self._differences = self._differences[-(len(self._times_s) + REACH_FRAMES) :]
        return frames, times_s


def _small(differences: np.ndarray) -> np.ndarray:
    """Which differences are small beside those around them. [n] bool"""
    found = np.zeros(len(differences), bool)
    for index, difference in enumerate(differences):
        around = np.sort(
            differences[max(0, index - MEASURE_FRAMES) : index + MEASURE_FRAMES + 1]
        )
        measure = around[round(QUANTILE * (len(around) - 1))]
        found[index] = difference < LEAST_SHARE * measure
    return found


def _has_cadence(small: np.ndarray) -> bool:
    """Whether small differences [n] come again after one round of a cadence, and not always."""
    if small.mean() > MOST_REPEATED:
        return False
    for length in ROUNDS:
        one, next_one = small[:-length], small[length:]
        either = (one | next_one).sum()
        # Three rounds at least, or there is nothing to compare.
        enough = len(small) >= 3 * length
        if enough and (one & next_one).sum() >= LEAST_AGREEMENT * max(1, either):
            return True
    return False


def _differences(last: np.ndarray | None, frames: np.ndarray) -> np.ndarray:
    """Mean absolute difference of every frame to the one before, in grey levels; infinite for none."""
    found = np.full(len(frames), np.inf)
    previous = last
    for index, frame in enumerate(frames):
        if previous is not None and frame.size:
            found[index] = np.abs(frame.astype(np.int16) - previous).mean()
        previous = frame
    return found
