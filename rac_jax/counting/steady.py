"""Frames at a steady rate, of a stream whose frames come when they come.

Of every tick the frame nearest to it is given, once the one after it is there to compare with;
so a picture of fewer frames shows some twice, and one of more leaves some out. It depends on the
times alone, not on how a stream is cut into chunks.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from rac_jax.counting.estimator import Chunk

# A longer break is none of a picture: ticks begin anew, and no frame is repeated through it.
LONGEST_GAP_S = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class SteadyFrames:
    """What is remembered of a stream; a value.

    Attributes:
      fps: ticks per second.
      origin_s: of tick 0.
      tick: the next one.
      last: the newest frame [H, W, C], None before there is one.
      last_s: when it begins, in seconds.
      gap_s: from the frame before it.
    """

    fps: float
    origin_s: float = 0.0
    tick: int = 0
    last: np.ndarray | None = None
    last_s: float = 0.0
    gap_s: float = 0.0

    def feed(
        self, frames: np.ndarray, times_s: np.ndarray
    ) -> tuple["SteadyFrames", list[np.ndarray], list[float]]:
        """Takes the next frames.

        Args:
          frames: [n, H, W, C].
          times_s: [n] rising, in seconds.

        Returns:
          (what is remembered then, frames, times of their ticks), as many of both.
        """
        origin_s, tick, gap_s = self.origin_s, self.tick, self.gap_s
        last, last_s = self.last, self.last_s
        given, ticks_s = [], []
        for frame, time_s in zip(frames, times_s.tolist(), strict=True):
            if last is None or time_s - last_s > LONGEST_GAP_S:
                origin_s, tick, last, last_s = time_s, 0, frame, time_s
            else:
                gap_s = time_s - last_s
            while (due_s := origin_s + tick / self.fps) <= time_s:
                nearer = frame if time_s - due_s <= due_s - last_s else last
                given.append(nearer)
                ticks_s.append(due_s)
                tick += 1
            last, last_s = frame, time_s
        # A copy, so that a chunk is not held for one of its frames.
        kept = None if last is None else np.array(last)
        return (
            SteadyFrames(self.fps, origin_s, tick, kept, last_s, gap_s),
            given,
            ticks_s,
        )

    def finish(self) -> tuple[list[np.ndarray], list[float]]:
        """Frames and times of the ticks that are nearest to the last frame."""
        if self.last is None:
            return [], []
        given, ticks_s, tick = [], [], self.tick
        while (due_s := self.origin_s + tick / self.fps) < self.last_s + self.gap_s / 2:
            given.append(self.last)
            ticks_s.append(due_s)
            tick += 1
        return given, ticks_s


def steady_frames(
    chunks: Iterable[Chunk], fps: float
) -> tuple[list[np.ndarray], list[float]]:
    """All frames of a source at a steady rate.

    Args:
      chunks: of the source, in order.
      fps: ticks per second.

    Returns:
      (frames [H, W, C], times of their ticks in seconds), as many of both.
    """
    steady, frames, times_s = SteadyFrames(fps), [], []
    for chunk in chunks:
        steady, given, ticks_s = steady.feed(chunk.frames, chunk.times_s)
        frames += given
        times_s += ticks_s
    given, ticks_s = steady.finish()
    return frames + given, times_s + ticks_s
