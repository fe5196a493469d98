"""Windows as RepNet's released notebook cuts them: one after the other, the tail filled up."""

import copy
from collections.abc import Iterable

import numpy as np


class ConsecutiveWindows:
    """Cuts a stream of frames into windows that do not overlap, at several strides.

    The windows of each stride do not depend on how the stream is cut into chunks.

    Args:
      strides: temporal strides in frames.
      length: N, strided frames of a window.

    Attributes:
      frames: how many it was fed.
    """

    def __init__(self, strides: Iterable[int], length: int):
        self._length = length
        self._parts: dict[int, list[np.ndarray]] = {stride: [] for stride in strides}
        self._given = dict.fromkeys(self._parts, 0)
        self.frames = 0
        self._last: np.ndarray | None = None

    def copy(self) -> "ConsecutiveWindows":
        """One that goes on by itself from here; frames are shared, not copied."""
        twin = copy.copy(self)
        twin._parts = {stride: list(parts) for stride, parts in self._parts.items()}
        twin._given = dict(self._given)
        return twin

    def feed(self, frames: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Takes the next frames [n, H, W, C].

        Returns:
          (stride, window [N, H, W, C]) of those that are full now.
        """
        if not len(frames):
            return []
        done = []
        for stride, parts in self._parts.items():
            # The frames 0, stride, 2 stride, ... of the video.
            parts.append(frames[-self.frames % stride :: stride])
            while sum(map(len, parts)) >= self._length:
                joined = np.concatenate(parts)
                done.append((stride, joined[: self._length]))
                parts[:] = [joined[self._length :]]
                self._given[stride] += 1
        self.frames += len(frames)
        self._last = frames[-1]
        return done

    def finish(self) -> list[tuple[int, np.ndarray]]:
        """The last window of each stride, filled up with the video's last frame.

        A stride has none where its windows so far reach the end; changes nothing.
        """
        done = []
        for stride, parts in self._parts.items():
            if self._given[stride] * self._length * stride >= self.frames:
                continue
            room = self._length - sum(map(len, parts))
            fill = np.repeat(self._last[None], room, axis=0)
            done.append((stride, np.concatenate([*parts, fill])))
        return done
