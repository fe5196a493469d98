"""Which frames make a clip and which columns a sound segment: index arithmetic, no pixels.

A clip holds `clip_frames` frames that lie `stride` frames apart; consecutive clips tile the
video. -1 stands for a frame of zeros (after normalisation). Sound segments are float positions
in the columns of a spectrogram: x reads (1 - f) column[floor x] + f column[floor x + 1] with f
the fraction of x; a column under 0 or beyond the last one is zeros (after standardisation).

The functions named `released_*` follow the code that the authors of paper 1 released; the
others serve its appendix A and everything else.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

CLIP_FRAMES = 64
SEGMENT_COLUMNS = 500
EXTRA_STRIDE = 2  # how much wider the released extra window's stride is
SQUEEZE_BELOW = (
    16.0  # released: a sum of sound counts under this is counted again, squeezed
)
WINDOWS_ABOVE = 11.0  # released: a sound count over this is judged window by window


def _check(frames: int, stride: int) -> None:
    if frames < 1:
        raise ValueError(f"frames: must be at least 1, not {frames}")
    if stride < 1:
        raise ValueError(f"stride: must be at least 1, not {stride}")


def clip_indices(
    frames: int, stride: int, start: int = 0, clip_frames: int = CLIP_FRAMES
) -> np.ndarray:
    """Frames of one clip.

    Args:
      frames: length of the video, at least 1.
      stride: temporal stride in frames, at least 1.
      start: first frame, in [0, frames).
      clip_frames: frames in a clip.

    Returns:
      [clip_frames] int64: start, start + stride, ..., and -1 beyond the end of the video.

    Raises:
      ValueError: for arguments out of their range.
    """
    _check(frames, stride)
    if not 0 <= start < frames:
        raise ValueError(f"start: must be in [0, {frames}), not {start}")
    index = start + stride * np.arange(clip_frames, dtype=np.int64)
    return np.where(index < frames, index, -1)


def tile_clips(frames: int, stride: int, clip_frames: int = CLIP_FRAMES) -> np.ndarray:
    """Clips that tile a video, [N, clip_frames] int64; only the last one may be padded."""
    _check(frames, stride)
    starts = range(0, frames, stride * clip_frames)
    return np.stack([clip_indices(frames, stride, s, clip_frames) for s in starts])


def released_sight_windows(
    frames: int, stride: int, clip_frames: int = CLIP_FRAMES
) -> tuple[np.ndarray, np.ndarray | None]:
    """The windows that the released code counts by sight.

    Args:
      frames: length of the video.
      stride: the chosen temporal stride.
      clip_frames: frames in a clip.

    Returns:
      (windows, extra): the tiling clips [N, clip_frames], and, where the last of several is
      incomplete or the video is cut after its first, one more that starts one window earlier
      at stride + 2. None where the length is a whole number of windows, and where the video
      is shorter than one.
    """
    windows = tile_clips(frames, stride, clip_frames)
    span = stride * clip_frames
    if frames % span == 0 or frames < span:
        return windows, None
    start = max(0, frames // span * span - span)
    return windows, clip_indices(frames, stride + EXTRA_STRIDE, start, clip_frames)


def released_sight_count(counts: Sequence[float], extra: float | None) -> float:
    """The released code's count of a video from those of `released_sight_windows`."""
    counts = np.asarray(counts, np.float64)
    if extra is None:
        return float(counts.sum())
    if len(counts) <= 2:
        return float(counts.sum() + extra) / 2
    return float(counts[:-2].sum() + (extra + counts[-2:].sum()) / 2)


def released_reliability_windows(
    frames: int, stride: int, clip_frames: int = CLIP_FRAMES
) -> int:
    """How many sight windows the released reliability estimate sees, from the first on.

    They are the complete ones by the release's strict comparison, which leaves out a window
    that ends exactly where the video does; but always at least the first.
    """
    _check(frames, stride)
    return max(1, (frames - 1) // (stride * clip_frames))


def segment_columns(columns: int, segment: int = SEGMENT_COLUMNS) -> np.ndarray:
    """Consecutive segments of a spectrogram, [N, segment] float64, the last one padded."""
    starts = np.arange(0, columns, segment)
    positions = starts[:, None] + np.arange(segment, dtype=np.float64)
    return np.where(positions < columns, positions, -1.0)


def resized_columns(
    first: int, last: int, segment: int = SEGMENT_COLUMNS
) -> np.ndarray:
    """Positions that resize columns [first, last) to a segment, half-pixel centres, bilinear.

    Args:
      first: first column.
      last: the one after the last column.
      segment: columns wanted.

    Returns:
      [segment] float64 in [first, last - 1].
    """
    width = last - first
    position = (np.arange(segment) + 0.5) * width / segment - 0.5
    return first + np.clip(position, 0, width - 1)


def span_columns(
    first: int, last: int, columns: int, segment: int = SEGMENT_COLUMNS
) -> np.ndarray:
    """The segment for the sound under a span of video.

    Args:
      first: first column of the span.
      last: the one after its last; may lie beyond the spectrogram, which is padded.
      columns: columns in the spectrogram.
      segment: columns in a segment.

    Returns:
      [segment] float64 positions: a span shorter than a segment is padded, a longer one
      resized.
    """
    if last - first < segment:
        position = first + np.arange(segment, dtype=np.float64)
        return np.where(position < min(last, columns), position, -1.0)
    return resized_columns(first, last, segment)


def released_stride_columns(
    frames: int,
    columns: int,
    stride: int,
    segment: int = SEGMENT_COLUMNS,
    clip_frames: int = CLIP_FRAMES,
) -> np.ndarray:
    """The sound that the released stride choice hears with the first clip of a stride.

    Args:
      frames: length of the video.
      columns: columns in the spectrogram.
      stride: temporal stride in frames.
      segment: columns in a segment.
      clip_frames: frames in a clip.

    Returns:
      [segment] float64 positions of the clip's share of the spectrogram.
    """
    _check(frames, stride)
    share = stride * clip_frames / frames
    if share > 1:
        # np.round as in the release: half to even.
        last = columns + int(np.round((share - 1) * columns))
    else:
        last = int(np.round(share * columns))
    return span_columns(0, last, columns, segment)


def released_reliability_segments(
    columns: int, count: float, segment: int = SEGMENT_COLUMNS
) -> np.ndarray:
    """The sound segments that the released reliability estimate hears.

    Args:
      columns: columns in the spectrogram.
      count: the count by sound.
      segment: columns in a segment.

    Returns:
      [N, segment] float64 positions: for a count over 11 the complete segments (strictly: not
      one that ends exactly where the spectrogram does, but at least the first), otherwise the
      whole, resized or padded.
    """
    if columns <= segment:
        return segment_columns(columns, segment)
    if count > WINDOWS_ABOVE:
        return segment_columns(columns, segment)[: max(1, (columns - 1) // segment)]
    return resized_columns(0, columns, segment)[None]


def pair_windows(
    sight: int, sound: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs windows by position, as the released reliability estimate does.

    Args:
      sight: number of sight windows, at least 1.
      sound: number of sound segments, at least 1.
      rng: draws the picks that fill up the shorter list.

    Returns:
      (sight indices, sound indices), both [max(sight, sound)] int64.
    """
    longest = max(sight, sound)
    return tuple(
        np.concatenate([np.arange(n), rng.integers(0, n, longest - n)])
        for n in (sight, sound)
    )


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip with the place it was cut from.

    Attributes:
      stride: temporal stride in frames.
      index: how many clips of this stride came before it.
      frames: uint8 [clip_frames, H, W, 3]; zeros behind the real ones.
      valid: number of real frames, at least 1.
      first_frame: where it starts.
      end_frame: end of its span, exclusive; at most the number of frames seen.
      start_s: time of its first frame, in seconds.
      end_s: time at which the frame after its span is shown, or the video ends.
    """

    stride: int
    index: int
    frames: np.ndarray
    valid: int
    first_frame: int
    end_frame: int
    start_s: float
    end_s: float


class ClipAssembler:
    """Cuts a stream of frames into the tiling clips of several strides, in constant memory.

    Each stride fills one clip at a time, so nothing but those clips is kept.

    Args:
      strides: temporal strides, each at least 1.
      clip_frames: frames in a clip.
    """

    def __init__(self, strides: Sequence[int], clip_frames: int = CLIP_FRAMES):
        for stride in strides:
            _check(1, stride)
        self._strides = tuple(strides)
        self._clip_frames = clip_frames
        self._open: dict[int, dict] = {}
        self._seen = 0
        self._last_s = 0.0
        self._first_s = 0.0

    def feed(self, chunk) -> Iterator[Clip]:
        """Takes the next frames and yields the clips they complete.

        Args:
          chunk: `frames` uint8 [n, H, W, 3] and `times_s` float64 [n].

        Yields:
          Complete clips, by stride within the chunk.
        """
        first, end = self._seen, self._seen + len(chunk.frames)
        if first == 0 and end:
            self._first_s = float(chunk.times_s[0])
        for stride in self._strides:
            yield from self._feed_stride(stride, chunk, first, end)
        if end > first:
            self._seen, self._last_s = end, float(chunk.times_s[-1])

    def _feed_stride(self, stride: int, chunk, first: int, end: int) -> Iterator[Clip]:
        span = stride * self._clip_frames
        place = first
        while place < end:
            index, offset = divmod(place, span)
            if offset == 0:
                # The first frame after a span tells when the span ends.
                if stride in self._open:
                    yield self._close(stride, float(chunk.times_s[place - first]))
                self._open[stride] = {
                    "index": index,
                    "start_s": float(chunk.times_s[place - first]),
                    "frames": np.zeros(
                        (self._clip_frames, *chunk.frames.shape[1:]), np.uint8
                    ),
                    "valid": 0,
                }
            upto = min(end, (index + 1) * span)
            wanted = np.arange(-(-place // stride) * stride, upto, stride)
            clip = self._open[stride]
            slots = (wanted - index * span) // stride
            clip["frames"][slots] = chunk.frames[wanted - first]
            clip["valid"] += len(wanted)
            clip["end_frame"] = upto
            place = upto

    def _close(self, stride: int, end_s: float) -> Clip:
        clip = self._open.pop(stride)
        first_frame = clip["index"] * stride * self._clip_frames
        return Clip(stride=stride, first_frame=first_frame, end_s=end_s, **clip)

    def finish(self, fps: float | None = None) -> Iterator[Clip]:
        """Yields the clips that the end of the video leaves open.

        Args:
          fps: frames per second, for the length of the last frame; None takes the mean
            distance of the frames seen.
        """
        if fps is None and self._seen > 1 and self._last_s > self._first_s:
            fps = (self._seen - 1) / (self._last_s - self._first_s)
        end_s = self._last_s + (1 / fps if fps else 0.0)
        for stride in self._strides:
            if stride in self._open:
                yield self._close(stride, end_s)
