"""Windows of a stream at several strides that overlap, run and joined; and strides along time."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.ndimage

from rac_jax.counting.estimator import Chunk
from rac_jax.counting.frame_windows import Window, WindowAssembler
from rac_jax.counting.window_runs import WindowRun

MEDIAN_FRAMES = 5
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


@dataclasses.dataclass(frozen=True, eq=False)
class StridesAlongTime:
    """What several strides say, each where it is the surest.

    Attributes:
      rate: [T] repetitions per frame, 0 where no stride is sure of one.
      score: [T] of the stride chosen at each frame.
      stride: int [T].
      scores: mean score by stride.
    """

    rate: np.ndarray
    score: np.ndarray
    stride: np.ndarray
    scores: dict[int, float]


def at_every_frame(values: np.ndarray, stride: int, frames: int) -> np.ndarray:
    """What is known of strided frames [n, ...] for all T of the video: [T, ...]."""
    return values[np.minimum(np.arange(frames) // stride, len(values) - 1)]


def choose_along_time(
    found: Mapping[int, tuple[np.ndarray, np.ndarray]], frames: int, threshold: float
) -> StridesAlongTime:
    """Takes the surest stride around each frame.

    Args:
      found: stride to (score [n] in [0, 1], repetitions per frame of the video [n]) of its
        strided frames.
      frames: T.
      threshold: score above which something repeats.

    Returns:
      What is said of every frame.
    """
    strides, place = sorted(found), np.arange(frames)
    scores, rates = [], []
    for stride in strides:
        score, rate = (
            at_every_frame(values, stride, frames) for values in found[stride]
        )
        scores.append(score)
        rates.append(rate)
    every, rate = np.stack(scores), np.stack(rates)  # [S, T]

    # The highest mean over the frames around.
    box = np.ones(min(SMOOTHED_FRAMES, frames))
    around = np.convolve(np.ones(frames), box, mode="same")
    smooth = np.stack([np.convolve(one, box, mode="same") / around for one in every])
    best = np.argmax(smooth, axis=0)
    score, rate = every[best, place], rate[best, place]
    inside = scipy.ndimage.median_filter(
        (score > threshold).astype(float), MEDIAN_FRAMES, mode="constant"
    )
    return StridesAlongTime(
        rate * inside,
        score,
        np.asarray(strides)[best],
        {stride: float(one.mean()) for stride, one in zip(strides, every, strict=True)},
    )
