"""Overlapping windows of frames at several temporal strides, out of a stream.

At stride s a video of T frames has ceil(T / s) strided frames: 0, s, 2 s, ... A window holds a
number of them, and one starts after every hop; the last one is aligned to the end, so that no
frame is without a full window around it. A video with fewer strided frames makes one window,
padded with its last frame.
"""

import copy
import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

FRAME_S = 1 / 25  # how long a frame lasts when there is no second one
EXACTLY: Mapping[int, int] = {}  # all last windows end at the end


@dataclasses.dataclass(frozen=True, eq=False)
class Window:
    """One window of one stride.

    Attributes:
      stride: temporal stride in frames.
      start: its first strided frame; that is frame start * stride of the video.
      valid: how many of its frames are real; the others repeat the last one.
      frames: uint8 [N, ...].
      times_s: float64 [N + 1] when each strided frame begins, and when the last one ends; padded
        frames go on at the last frame's pace.
    """

    stride: int
    start: int
    valid: int
    frames: np.ndarray
    times_s: np.ndarray


class WindowAssembler:
    """Cuts a stream of frames into windows, holding less than a window and a hop per stride.

    The windows and their order do not depend on how the stream is cut into chunks.

    Args:
      strides: temporal strides in frames, each at least 1.
      length: N, strided frames of a window.
      hop: strided frames from the start of a window to that of the next, at most N.

    Attributes:
      frames: how many it was fed.

    Raises:
      ValueError: for a stride under 1 or given twice.
    """

    def __init__(self, strides: Iterable[int], length: int, hop: int):
        strides = list(strides)
        if len(set(strides)) < len(strides) or min(strides, default=1) < 1:
            raise ValueError(
                f"strides: must be at least 1 and different, not {strides}"
            )
        self._tails = {stride: _Tail(stride, length, hop) for stride in strides}
        self._length = length
        self.frames = 0
        self._last_times: tuple[float, ...] = ()

    def copy(self) -> "WindowAssembler":
        """One that goes on by itself from here; frames are shared, not copied."""
        twin = copy.copy(self)
        twin._tails = {stride: tail.copy() for stride, tail in self._tails.items()}
        return twin

    def feed(self, frames: np.ndarray, times_s: np.ndarray) -> list[Window]:
        """Takes the next frames.

        Args:
          frames: uint8 [n, ...] in order, from the first on.
          times_s: float64 [n] when each begins.

        Returns:
          The windows that are full now, in the order of the frames that filled them.
        """
        if not len(frames):
            return []
        done = []
        for stride, tail in self._tails.items():
            first = -self.frames % stride
            done += tail.feed(frames[first::stride], times_s[first::stride])
        self.frames += len(frames)
        self._last_times = (*self._last_times, *times_s[-2:].tolist())[-2:]
        return sorted(done, key=lambda w: (w.start + self._length - 1) * w.stride)

    def needed_from_s(self) -> float:
        """Before which time no later window begins; minus infinity before the first frame."""
        begins = [tail.begin_s for tail in self._tails.values()]
        return min(begins, default=-np.inf)

    @property
    def end_s(self) -> float:
        """When the last frame ends, in seconds."""
        return self._last_times[-1] + self._frame_s if self._last_times else 0.0

    @property
    def _frame_s(self) -> float:
        pair = self._last_times
        return pair[1] - pair[0] if len(pair) == 2 and pair[1] > pair[0] else FRAME_S

    def finish(self, every: Mapping[int, int] = EXACTLY) -> list[Window]:
        """The last window of every stride that has one left; changes nothing.

        Args:
          every: by stride, at a multiple of how many strided frames its last window ends, 1 if
            it is not there. One that is asked for often is mostly the one before then, and a
            few frames at the end are in no window.
        """
        found = (
            tail.last(self._frame_s, every.get(stride, 1))
            for stride, tail in self._tails.items()
        )
        return [window for window in found if window is not None]


class _Tail:
    """The strided frames of one stride that a later window may still need."""

    def __init__(self, stride: int, length: int, hop: int):
        self._stride, self._length, self._hop = stride, length, hop
        self._first = 0  # strided frame at which the tail begins
        self._next = 0  # start of the next window
        self._parts: list[np.ndarray] = []
        self._times: list[float] = []

    def copy(self) -> "_Tail":
        twin = copy.copy(self)
        twin._parts, twin._times = list(self._parts), list(self._times)
        return twin

    @property
    def begin_s(self) -> float:
        """When its first frame begins."""
        return self._times[0] if self._times else -np.inf

    def feed(self, frames: np.ndarray, times_s: np.ndarray) -> list[Window]:
        done = []
        if len(frames):
            self._parts.append(frames)
            self._times.extend(times_s.tolist())
        while self._first + len(self._times) >= self._next + self._length:
            done.append(self._window(self._next))
            self._next += self._hop
            # The window at the end reaches its whole length back from wherever that will be.
            self._drop(self._next - self._hop)
        return done

    def _drop(self, start: int) -> None:
        gone = start - self._first
        if gone > 0:
            self._parts = [np.concatenate(self._parts)[gone:]]
            self._times = self._times[gone:]
            self._first = start

    def _window(
        self, start: int, step_s: float = 0.0, end: int | None = None
    ) -> Window:
        frames = np.concatenate(self._parts)
        self._parts = [frames]
        until = start + self._length if end is None else end
        span = slice(start - self._first, until - self._first)
        frames, times = frames[span], self._times[span]
        valid = len(frames)
        if valid > 1:
            step_s = (times[-1] - times[0]) / (valid - 1)
        padding = self._length - valid
        if padding:
            frames = np.concatenate([frames, np.repeat(frames[-1:], padding, axis=0)])
        more = times[-1] + step_s * np.arange(1, padding + 2)
        return Window(self._stride, start, valid, frames, np.concatenate([times, more]))

    def last(self, frame_s: float, every: int) -> Window | None:
        """The window that ends at the end or just before; None if it was given already."""
        if not self._times:
            return None
        end = self._first + len(self._times)
        end = max(min(end, every), end - end % every)
        start = max(0, end - self._length)
        if self._next and start <= self._next - self._hop:
            return None
        return self._window(start, frame_s * self._stride, end)
