"""Which frames and which spectrogram columns make a clip: index arithmetic on arrays.

A clip of stride s is 64 frames, s apart: it spans 64 s frames of the video. Frames are numbered
from 0; -1 stands for zero padding (zero after normalisation). Spectrogram columns are given as
fractional positions: x means (1 - f) column[floor x] + f column[floor x + 1] with f = x - floor x,
so that a resize in time is a gather and a blend; -1 is padding again, and so is a column past the
last one.

`tile_clips` and `span_columns` are paper 1's appendix A; what begins with `released_` is the
procedure of the authors' released code, which differs from it. `ClipAssembler` cuts the clips of
`tile_clips` out of a stream of frames.
"""

import dataclasses

import numpy as np

CLIP_FRAMES = 64
SEGMENT_COLUMNS = 500
PADDING = -1
FRAME_S = 0.04  # how long a lone frame of unknown rate lasts

# The released code's second look at an incomplete window is this much wider.
EXTRA_STRIDE = 2
# The released reliability threshold on the count by sound.
COMPLETE_SEGMENTS_OVER = 11


def clip_indices(
    frames: int, stride: int, start: int = 0, clip_frames: int = CLIP_FRAMES
) -> np.ndarray:
    """Frame numbers of one clip.

    Args:
      frames: length of the video, T, at least 1.
      stride: frames from one to the next, at least 1.
      start: number of the clip's first frame, in [0, T).
      clip_frames: length of the clip.

    Returns:
      int64 [clip_frames]: start, start + stride, ...; -1 from the end of the video on.

    Raises:
      ValueError: for a stride or a length under 1, or a start outside the video.
    """
    _check(frames, stride)
    if not 0 <= start < frames:
        raise ValueError(f"start: must be in [0, {frames}), not {start}")
    index = start + stride * np.arange(clip_frames, dtype=np.int64)
    return np.where(index < frames, index, PADDING)


def tile_clips(frames: int, stride: int, clip_frames: int = CLIP_FRAMES) -> np.ndarray:
    """Frame numbers of the consecutive clips that cover a video, the last one padded.

    Args:
      frames: length of the video, T, at least 1.
      stride: temporal stride in frames, at least 1.
      clip_frames: length of a clip.

    Returns:
      int64 [N, clip_frames], N = ceil(T / (clip_frames stride)); -1 is padding.

    Raises:
      ValueError: for a stride or a length under 1.
    """
    _check(frames, stride)
    span = clip_frames * stride
    starts = np.arange(0, frames, span, dtype=np.int64)  # [N]
    index = starts[:, None] + stride * np.arange(clip_frames)  # [N, clip_frames]
    return np.where(index < frames, index, PADDING)


def released_sight_windows(
    frames: int, stride: int, clip_frames: int = CLIP_FRAMES
) -> tuple[np.ndarray, np.ndarray | None]:
    """The clips that the released code counts, with its second look at the end.

    The windows are those of `tile_clips`. If the last one is incomplete and not the only one, an
    extra one starts one window earlier (at the start of the last complete one) with stride + 2.
    Where that one ends before the video does the released code stops with an error; here it is
    simply complete.

    Args:
      frames: length of the video, T, at least 1.
      stride: temporal stride in frames, at least 1.
      clip_frames: length of a clip.

    Returns:
      (windows int64 [N, clip_frames], extra int64 [clip_frames] or None).

    Raises:
      ValueError: for a stride or a length under 1.
    """
    windows = tile_clips(frames, stride, clip_frames)
    span = clip_frames * stride
    if frames <= span or frames % span == 0:
        return windows, None
    start = (len(windows) - 2) * span
    return windows, clip_indices(frames, stride + EXTRA_STRIDE, start, clip_frames)


def released_sight_count(window_counts, extra_count: float | None) -> float:
    """Adds up the counts of `released_sight_windows`.

    Args:
      window_counts: float [N], counts of the windows in order.
      extra_count: count of the extra window, or None.

    Returns:
      The sum without an extra window; with at most two windows the mean of their sum and the
      extra count; otherwise the sum of all but the last two, plus the mean of the sum of the
      last two and the extra count.
    """
    counts = np.asarray(window_counts, np.float64)
    if extra_count is None:
        return float(counts.sum())
    return float(counts[:-2].sum() + (counts[-2:].sum() + extra_count) / 2)


def released_stride_columns(
    frames: int, columns: int, stride: int, segment: int = SEGMENT_COLUMNS
) -> np.ndarray:
    """The sound that the released stride choice puts beside the first clip of a stride.

    With r = 64 stride / T: the first round(r columns) columns for r <= 1, otherwise all of them
    and round((r - 1) columns) of padding. Under 500 they are padded, else resized to 500 (a
    padded spectrogram is resized with its padding). Rounding is numpy's, half to even.

    Args:
      frames: length of the video, T, at least 1.
      columns: length of the spectrogram.
      stride: temporal stride in frames, at least 1.
      segment: wanted length.

    Returns:
      float64 [segment] column positions; -1 and positions past the last column are padding.

    Raises:
      ValueError: for a stride or a length under 1.
    """
    _check(frames, stride)
    ratio = CLIP_FRAMES * stride / frames
    if ratio > 1:
        length = columns + int(np.round((ratio - 1) * columns))
    else:
        length = int(np.round(ratio * columns))
    return span_columns(0, length, columns, segment)


def segment_columns(columns: int, segment: int = SEGMENT_COLUMNS) -> np.ndarray:
    """Column positions of the consecutive segments of a spectrogram, the last one padded.

    Args:
      columns: length of the spectrogram.
      segment: length of a segment.

    Returns:
      float64 [N, segment], N = ceil(columns / segment); -1 is padding.
    """
    starts = np.arange(0, columns, segment)  # [N]
    index = starts[:, None] + np.arange(segment)  # [N, segment]
    return np.where(index < columns, index, PADDING).astype(np.float64)


def resized_columns(
    first: int, last: int, segment: int = SEGMENT_COLUMNS
) -> np.ndarray:
    """Column positions that resize columns first..last - 1 to one segment.

    Bilinear with half-pixel centres and no anti-aliasing, as OpenCV resizes: position i reads
    first + (i + 1/2) (last - first) / segment - 1/2, clamped to [first, last - 1].

    Args:
      first: first column.
      last: column after the last one, over `first`.
      segment: wanted length.

    Returns:
      float64 [segment].

    Raises:
      ValueError: if there is no column.
    """
    if last <= first:
        raise ValueError(f"columns {first}..{last}: there is nothing to resize")
    position = (np.arange(segment) + 0.5) * ((last - first) / segment) - 0.5
    return first + np.clip(position, 0, last - first - 1)


def span_columns(
    first: int, last: int, available: int, segment: int = SEGMENT_COLUMNS
) -> np.ndarray:
    """Column positions of the sound under one span of time.

    Under 500 columns they stay as they are, followed by padding; a longer span is resized to
    500. What the span has past the end of the spectrogram counts as columns of padding.

    Args:
      first: first column of the span, at least 0.
      last: column after its last one.
      available: length of the spectrogram.
      segment: wanted length.

    Returns:
      float64 [segment]; -1 and positions past the last column are padding, and one between
      the last column and the next blends the two.

    Raises:
      ValueError: for a negative `first`.
    """
    if first < 0:
        raise ValueError(f"first: must be at least 0, not {first}")
    if last - first < segment:
        position = first + np.arange(segment, dtype=np.float64)
        return np.where(position < min(last, available), position, PADDING)
    return resized_columns(first, last, segment)


def released_reliability_windows(
    frames: int, stride: int, clip_frames: int = CLIP_FRAMES
) -> int:
    """How many clips, from the first on, the released reliability estimate looks at.

    Those whose span ends before the last frame: the comparison is strict, so that a clip that
    ends exactly where the video does is left out; at least one.

    Args:
      frames: length of the video, T, at least 1.
      stride: temporal stride in frames, at least 1.
      clip_frames: length of a clip.

    Returns:
      A number of rows of `tile_clips`, at least 1.

    Raises:
      ValueError: for a stride or a length under 1.
    """
    _check(frames, stride)
    return max(1, (frames - 1) // (clip_frames * stride))


def released_reliability_segments(
    columns: int, sound_count: float, segment: int = SEGMENT_COLUMNS
) -> np.ndarray:
    """Column positions of the segments that the released reliability estimate looks at.

    Over 500 columns: the consecutive segments that end before the last column (strictly, at
    least one) if more than 11 repetitions were heard, else the whole resized to one segment.
    Otherwise the whole, padded.

    Args:
      columns: length of the spectrogram.
      sound_count: the count by sound.
      segment: length of a segment.

    Returns:
      float64 [M, segment], M at least 1; -1 is padding.
    """
    if columns <= segment:
        return span_columns(0, columns, columns, segment)[None]  # [1, segment]
    if sound_count > COMPLETE_SEGMENTS_OVER:
        return segment_columns(columns, segment)[: (columns - 1) // segment]
    return resized_columns(0, columns, segment)[None]  # [1, segment]


def pair_windows(
    sight_n: int, sound_n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs sight windows and sound windows by position, as the released code does.

    Args:
      sight_n: number of sight windows, at least 1.
      sound_n: number of sound windows, at least 1.
      rng: draws the places that fill up the shorter list, from itself, with replacement.

    Returns:
      (sight_idx int64 [M], sound_idx int64 [M]), M = max(sight_n, sound_n).

    Raises:
      ValueError: if there is nothing to pair.
    """
    if sight_n < 1 or sound_n < 1:
        raise ValueError(f"cannot pair {sight_n} sight and {sound_n} sound windows")
    pairs = max(sight_n, sound_n)
    sight, sound = (
        np.concatenate([np.arange(n), rng.integers(0, n, pairs - n)])
        for n in (sight_n, sound_n)
    )
    return sight, sound


@dataclasses.dataclass(frozen=True)
class Clip:
    """One clip of one temporal stride.

    Attributes:
      stride: temporal stride in frames.
      index: its place among the clips of this stride: it spans frames
        [64 stride index, 64 stride (index + 1)) of the video.
      frames: uint8 [64, H, W, 3]; what the video does not reach is 0.
      valid: number of real frames, at least 1.
      first_frame: number of the first frame.
      end_frame: end of the span (exclusive), not after the end of the video.
      start_s: time of the first frame.
      end_s: time of the first frame after the span, or the end of the last frame.
    """

    stride: int
    index: int
    frames: np.ndarray
    valid: int
    first_frame: int
    end_frame: int
    start_s: float
    end_s: float


@dataclasses.dataclass(frozen=True)
class _OpenClip:
    """A clip whose span is not over: copies of its frames so far, in order."""

    first_frame: int
    start_s: float
    parts: tuple[np.ndarray, ...] = ()


@dataclasses.dataclass(frozen=True)
class ClipAssembler:
    """Cuts a stream of frames into the clips of `tile_clips`, one open clip per stride.

    A value: `feed` gives the assembler after the frames and leaves this one as it is.

    Attributes:
      strides: temporal strides in frames, each at least 1.
      clip_frames: length of a clip.

    Raises:
      ValueError: for a stride under 1 or given twice.
    """

    strides: tuple[int, ...]
    clip_frames: int = CLIP_FRAMES
    _open: tuple[_OpenClip, ...] = ()
    _seen: int = 0
    _first_s: float = 0.0
    _last_s: float = 0.0

    def __post_init__(self):
        strides = self.strides
        if len(set(strides)) < len(strides) or min(strides, default=1) < 1:
            raise ValueError(
                f"strides: must be at least 1 and different, not {list(strides)}"
            )

    def feed(
        self, frames: np.ndarray, times_s: np.ndarray
    ) -> tuple["ClipAssembler", list[Clip]]:
        """Takes the next frames; a clip is done when the frame after its span arrives.

        Args:
          frames: uint8 [n, H, W, 3], in order, from the video's first on.
          times_s: float [n], their times.

        Returns:
          The assembler after them, and the clips that are done now, by the end of their span,
          then by stride as given: an order that does not depend on how the video is cut.
        """
        if not len(frames):
            return self, []
        done, still_open = [], []
        for place, stride in enumerate(self.strides):
            one = self._open[place] if self._open else None
            ended, one = self._feed_stride(stride, one, frames, times_s)
            done += ended
            still_open.append(one)
        # The sort is stable, so that strides stay in their order.
        done.sort(key=lambda clip: clip.end_frame)
        after = dataclasses.replace(
            self,
            _open=tuple(still_open),
            _seen=self._seen + len(frames),
            _first_s=self._first_s if self._seen else float(times_s[0]),
            _last_s=float(times_s[-1]),
        )
        return after, done

    def _feed_stride(
        self,
        stride: int,
        one: _OpenClip | None,
        frames: np.ndarray,
        times_s: np.ndarray,
    ) -> tuple[list[Clip], _OpenClip]:
        """The clips of one stride that are done, and the one that is open after the frames."""
        begin, end = self._seen, self._seen + len(frames)
        span = stride * self.clip_frames
        done = []
        at = begin
        while at < end:
            first = at // span * span
            if at == first:
                start_s = float(times_s[at - begin])
                if one is not None:
                    done.append(self._close(stride, one, first, start_s))
                one = _OpenClip(first, start_s)
            until = min(first + span, end)
            # The first frame from `at` on that is a multiple of the stride into the clip.
            wanted = first + -(-(at - first) // stride) * stride
            if wanted < until:
                # A copy: a view would hold all frames between those that are wanted.
                part = frames[wanted - begin : until - begin : stride].copy()
                one = dataclasses.replace(one, parts=(*one.parts, part))
            at = until
        return done, one

    def _close(self, stride: int, one: _OpenClip, end_frame: int, end_s: float) -> Clip:
        valid = -(-(end_frame - one.first_frame) // stride)
        shape = (self.clip_frames - valid, *one.parts[0].shape[1:])
        padding = [np.zeros(shape, np.uint8)] if shape[0] else []
        return Clip(
            stride=stride,
            index=one.first_frame // (stride * self.clip_frames),
            frames=np.concatenate([*one.parts, *padding]),
            valid=valid,
            first_frame=one.first_frame,
            end_frame=end_frame,
            start_s=one.start_s,
            end_s=end_s,
        )

    def finish(self, fps: float | None = None) -> list[Clip]:
        """Ends the video.

        Args:
          fps: frames per second, for the time at which the last frame ends; None takes the
            mean of the times seen.

        Returns:
          The last clip of each stride, padded with zeros; nothing for a video without frames.
        """
        if not self._seen:
            return []
        if fps:
            step = 1 / fps
        elif self._seen > 1:
            step = (self._last_s - self._first_s) / (self._seen - 1)
        else:
            step = FRAME_S
        return [
            self._close(stride, one, self._seen, self._last_s + step)
            for stride, one in zip(self.strides, self._open, strict=True)
        ]


def _check(frames: int, stride: int) -> None:
    if stride < 1:
        raise ValueError(f"stride: must be at least 1, not {stride}")
    if frames < 1:
        raise ValueError(f"frames: must be at least 1, not {frames}")
