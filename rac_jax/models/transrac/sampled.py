"""The papers' way to look at a video: as many frames of it as a window has, evenly spaced."""

import copy

import numpy as np

# Frames that are held of a stream whose length nobody knows. Of a longer video the nearest held
# frame stands for the one wanted: beside it by T / MOST frames at most.
MOST = 2048


def sampled_indices(frames: int, number: int, before: int) -> np.ndarray:
    """Which frames of a video are looked at.

    Args:
      frames: T, at least 1.
      number: N.
      before: 1 for the frame before each of 1 T / N, 2 T / N, ..., T, as TransRAC's tools take
        them; 0 for 0, T / N, ... as its loader of files does.

    Returns:
      int [N] in [0, T); all frames and the last one again where there are fewer than N.
    """
    place = np.arange(number)
    if frames < number:
        return np.minimum(place, frames - 1)
    return (place + before) * frames // number - before


class SampledFrames:
    """Holds as many frames of a stream as it takes to pick N of them at its end."""

    def __init__(self):
        self._frames: list[np.ndarray] = []
        self._step = 1
        self.seen = 0

    def copy(self) -> "SampledFrames":
        """One that goes on by itself from here; frames are shared, not copied."""
        twin = copy.copy(self)
        twin._frames = list(self._frames)
        return twin

    def feed(self, frames: np.ndarray) -> None:
        """Takes the next frames [n, H, W, C]."""
        for frame in frames:
            if self.seen % self._step == 0:
                self._frames.append(frame)
            self.seen += 1
            if len(self._frames) > MOST:
                self._frames, self._step = self._frames[::2], 2 * self._step

    def window(self, indices: np.ndarray) -> np.ndarray:
        """The frames nearest to those of the given numbers, [N, H, W, C]."""
        places = np.minimum(np.rint(indices / self._step), len(self._frames) - 1)
        return np.stack([self._frames[place] for place in places.astype(int)])
