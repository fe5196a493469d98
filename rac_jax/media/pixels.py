"""Frames in memory: chunks of them, resizing, and turning as a display matrix says."""

import dataclasses
import functools

import numpy as np

INTERPOLATIONS = ("area", "bilinear")
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclasses.dataclass(frozen=True)
class FrameChunk:
    """Consecutive frames of a video.

    Attributes:
      frames: uint8 [n, H, W, 3], RGB.
      times_s: float64 [n], rising; seconds after the video's first frame.
    """

    frames: np.ndarray
    times_s: np.ndarray


def fitted_size(
    height: int,
    width: int,
    size: tuple[int, int] | None,
    short_side: int | None = None,
    aspect: str = "stretch",
) -> tuple[int, int] | None:
    """To which size a picture is brought before anything is cut off or put around it.

    Args:
      height, width: of the picture, in pixels.
      size: wanted (height, width); None for as it is, or for `short_side`.
      short_side: wanted pixels along the shorter side, the aspect ratio kept.
      aspect: how `size` is reached: "stretch", "crop" (the picture covers it) or "pad" (it lies
        within).

    Returns:
      (height, width), or None for as it is.
    """
    if short_side is not None:
        scale = short_side / min(height, width)
    elif size is None or aspect == "stretch":
        return size
    else:
        choose = max if aspect == "crop" else min
        scale = choose(size[0] / height, size[1] / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize_frames(
    frames: np.ndarray, size: tuple[int, int], interpolation: str = "area"
) -> np.ndarray:
    """Resizes frames in memory; the aspect ratio is not kept.

    Args:
      frames: uint8 [n, H, W, 3].
      size: wanted (height, width), at least 1.
      interpolation: "area" averages the source pixels under each target pixel, weighted by
        overlap (along an axis that grows it is bilinear); "bilinear" has half-pixel centres,
        clamps at the edges and does no anti-aliasing (OpenCV's INTER_LINEAR).

    Returns:
      uint8 [n, height, width, 3].

    Raises:
      ValueError: for an unknown interpolation or a size under 1.
    """
    check_interpolation(interpolation)
    height, width = check_size(size)
    if frames.shape[1:3] == (height, width):
        return frames
    if interpolation == "bilinear":
        return _resize_bilinear(frames, height, width)
    down, across = (
        _area_weights(old, new)
        for old, new in zip(frames.shape[1:3], (height, width), strict=True)
    )
    result = np.empty((len(frames), height, width, 3), np.uint8)
    for frame, small in zip(frames, result, strict=True):
        rows = np.tensordot(down, frame, axes=(1, 0))  # [height, W, 3]
        values = np.tensordot(rows, across, axes=(1, 1))  # [height, 3, width]
        small[:] = np.rint(values).transpose(0, 2, 1)
    return result


def centred(
    frames: np.ndarray, top: int, left: int, final: tuple[int, int]
) -> np.ndarray:
    """Frames with their edges cut off, or with black around them.

    Args:
      frames: uint8 [n, H, W, C].
      top, left: how many pixels are cut off there; put there if negative.
      final: (height, width) of the result.

    Returns:
      uint8 [n, height, width, C].
    """
    result = np.zeros((len(frames), *final, frames.shape[-1]), frames.dtype)
    inside, outside = [], []
    for offset, have, want in zip((top, left), frames.shape[1:3], final, strict=True):
        inside.append(slice(max(0, offset), min(have, offset + want)))
        outside.append(slice(max(0, -offset), max(0, -offset) + min(have, want)))
    result[:, outside[0], outside[1]] = frames[:, inside[0], inside[1]]
    return result


def to_grey(frames: np.ndarray) -> np.ndarray:
    """Luma of frames.

    Args:
      frames: uint8 [..., 3] RGB.

    Returns:
      uint8 [...].
    """
    return np.rint(frames.astype(np.float32) @ LUMA).astype(np.uint8)


def check_interpolation(interpolation: str) -> None:
    """Raises ValueError for a name that is not in INTERPOLATIONS."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"interpolation: {interpolation!r} is not one of {', '.join(INTERPOLATIONS)}"
        )


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """Returns (height, width) as integers; raises ValueError if one is under 1."""
    height, width = (int(length) for length in size)
    if height < 1 or width < 1:
        raise ValueError(f"size: must be at least 1 by 1, not {height} by {width}")
    return height, width


def _resize_bilinear(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    # Only the rows and columns that are read are converted to floats: from a large frame to a
    # small one they are few.
    top, bottom, down = _taps(frames.shape[1], height)
    left, right, across = _taps(frames.shape[2], width)
    down, across = down[:, None, None], across[:, None]
    rows = np.stack([top, bottom])[:, :, None]  # [2, height, 1]
    at_left = frames[:, rows, left].astype(np.float32)  # [n, 2, height, width, 3]
    at_right = frames[:, rows, right].astype(np.float32)  # [n, 2, height, width, 3]
    at_left += across * (at_right - at_left)
    upper, lower = at_left[:, 0], at_left[:, 1]  # [n, height, width, 3]
    return np.floor(upper + down * (lower - upper) + 0.5).astype(np.uint8)


@functools.lru_cache(maxsize=16)
def _taps(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower and upper source index [new], and the weight of the upper one [new]."""
    position = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    low = np.floor(position).astype(np.int64)
    return low, np.minimum(low + 1, old - 1), (position - low).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _area_weights(old: int, new: int) -> np.ndarray:
    """Float32 [new, old], rows add up to 1."""
    if new > old:
        weights = np.zeros((new, old), np.float32)
        low, high, fraction = _taps(old, new)
        np.add.at(weights, (np.arange(new), low), 1 - fraction)
        np.add.at(weights, (np.arange(new), high), fraction)
        return weights
    edges = np.arange(new + 1) * (old / new)
    begin, end = edges[:-1, None], edges[1:, None]  # [new, 1]
    pixel = np.arange(old)
    overlap = np.minimum(end, pixel + 1) - np.maximum(begin, pixel)  # [new, old]
    return (np.maximum(0, overlap) / (end - begin)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a picture: transpose first, then mirror.

    Attributes:
      transpose: swap rows and columns.
      flip_rows: then turn it upside down.
      flip_columns: then swap left and right.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def from_matrix(cls, matrix) -> "Orientation":
        """Reads a display matrix, rounding other angles to the nearest right one.

        Args:
          matrix: nine numbers a b u c d v x y w: the point (p, q) of the stored picture is
            shown at (a p + c q, b p + d q), x to the right and y down.
        """
        a, b, _, c, d = matrix[:5]
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, flip_rows=d < 0, flip_columns=a < 0)
        return cls(True, flip_rows=b < 0, flip_columns=c < 0)

    def stored_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) as stored of what is shown with (height, width) `size`, and back."""
        return (size[1], size[0]) if self.transpose else size

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """A view of `frame` [H, W, C] as it is to be shown."""
        if self.transpose:
            frame = frame.swapaxes(0, 1)  # [W, H, C]
        if self.flip_rows:
            frame = frame[::-1]
        if self.flip_columns:
            frame = frame[:, ::-1]
        return frame
