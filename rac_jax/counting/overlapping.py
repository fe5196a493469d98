"""Windows of a stream at several strides that overlap, run and joined; and strides along time."""

import copy
from collections.abc import Callable, Sequence

import numpy as np

from rac_jax.counting.estimator import Chunk
from rac_jax.counting.frame_windows import Window, WindowAssembler
from rac_jax.counting.window_runs import WindowRun

# Frames of the video over which a stride's score is averaged before strides are compared.
SMOOTHED_FRAMES = 64


class OverlappingWindows:
    """Runs a network over windows that overlap by half and joins what it says frame by frame.

    It changes as it is used; who needs it as it was works on a `copy`.

    Args:
      name: for the log.
      program: windows [B, N, ...] to [B, N, C], compiled.
      strides: temporal strides.
      length: N, strided frames of a window.
      channels: C.
      sizes: batch sizes in falling order.
    """

    def __init__(
        self,
        name: str,
        program: Callable,
        strides: Sequence[int],
        length: int,
        channels: int,
        sizes: Sequence[int],
    ):
        self._assembler = WindowAssembler(strides, length, length // 2)
        self._run = WindowRun(name, program, strides, length, channels, sizes)

    def copy(self) -> "OverlappingWindows":
        """One that goes on by itself from here; arrays are shared, not copied."""
        twin = copy.copy(self)
        twin._assembler, twin._run = self._assembler.copy(), self._run.copy()
        return twin

    def feed(self, chunk: Chunk) -> None:
        """Takes the next frames."""
        self._add(self._assembler.feed(chunk.frames, chunk.times_s))

    def _add(self, windows: list[Window]) -> None:
        for window in windows:
            self._run.add((window.stride, window.start, window.valid), window.frames)

    def finish(self) -> dict[int, np.ndarray]:
        """What was said of every strided frame, as `WindowRun.finish` gives it."""
        self._add(self._assembler.finish())
        return self._run.finish()


def surest_stride(scores: np.ndarray) -> np.ndarray:
    """Which stride is surest around each frame.

    Args:
      scores: [S, T] how sure each stride is of each frame of the video.

    Returns:
      int [T], rows of `scores`: the highest mean over the frames around it.
    """
    frames = scores.shape[1]
    box = np.ones(min(SMOOTHED_FRAMES, frames))
    around = np.convolve(np.ones(frames), box, mode="same")
    smooth = np.stack([np.convolve(one, box, mode="same") / around for one in scores])
    return np.argmax(smooth, axis=0)
