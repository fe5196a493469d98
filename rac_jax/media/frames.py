"""Decoding pictures: frames with their true times, resized while they stream.

Timestamps are those of the file (the frame rate may vary), counted from the first frame that is
shown: FFmpeg applies edit lists and drops what lies before the first cut. Where timestamps are
missing or do not rise, the frame follows the one before at the average frame rate. Interlaced
frames stay woven. Pixels that are not square stay as they are stored.
"""

import contextlib
import itertools
import logging
import math
import os
from collections.abc import Iterator

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from rac_jax.media import container as box
from rac_jax.media import images
from rac_jax.media.container import MediaError
from rac_jax.media.pixels import (
    FrameChunk,
    Orientation,
    check_interpolation,
    check_size,
    resize_frames,
)

logger = logging.getLogger(__name__)

# From this size on frames are decoded one at a time, not one per core.
LARGE_PIXELS = 16_000_000
# Thinned frames lie this much closer than their rate asks for: containers round timestamps, and
# an average of 30.02 frames per second is no faster than 30.
RATE_SLACK = 1.02
TIME_SLACK_S = 0.0005
SHORT_OF_S = 1.0  # how much of its promised length a file may lack without a warning

UNSPECIFIED = 2  # of transfer functions and primaries (ITU-T H.273)

# Without these two, swscale rounds down and is up to 2.2 grey levels too dark; with them 0.3 off.
AREA = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def stream_frames(
    path: str | os.PathLike,
    *,
    size: tuple[int, int] | None = None,
    interpolation: str = "area",
    start_s: float = 0.0,
    end_s: float | None = None,
    chunk: int = 32,
    most_fps: float | None = None,
    keyframes: bool = False,
) -> Iterator[FrameChunk]:
    """Decodes frames in chunks; memory holds one large frame beside the small ones.

    Args:
      path: a media file.
      size: wanted (height, width), the aspect ratio is not kept; None keeps the frames' own.
      interpolation: "area" averages what falls together (fast and free of aliasing);
        "bilinear" has half-pixel centres and no anti-aliasing, from full-size frames converted
        as OpenCV converts them: within one grey level of OpenCV's INTER_LINEAR, which is what
        paper 1's released code looks at.
      start_s: first time to read, in seconds after the first frame.
      end_s: end of the part to read (exclusive), None for all.
      chunk: frames per chunk, at least 1.
      most_fps: frames per second to give at most; by their times, frames that follow sooner are
        left out. None gives all.
      keyframes: only frames that are coded without others, which costs next to nothing beside
        decoding them all: packets of other frames are read and not decoded.

    Returns:
      An iterator over chunks of `chunk` frames, the last one shorter: the frames with
      start_s <= t < end_s, turned as the file's display matrix says. It is empty where the
      video ends before `start_s`.

    Raises:
      MediaError: while iterating, if the file cannot be read, has no picture or yields no frame.
      ValueError: for arguments out of range.
    """
    size = check_frames(size, interpolation, start_s, end_s, chunk, most_fps)
    gap_s = 0.0 if most_fps is None else least_gap_s(most_fps)
    return _stream(
        os.fspath(path), size, interpolation, start_s, end_s, chunk, gap_s, keyframes
    )


def check_frames(
    size: tuple[int, int] | None,
    interpolation: str,
    start_s: float,
    end_s: float | None,
    chunk: int,
    most_fps: float | None,
) -> tuple[int, int] | None:
    """The size as integers; raises ValueError for arguments of `stream_frames` out of range."""
    check_interpolation(interpolation)
    check_span(start_s, end_s)
    if chunk < 1:
        raise ValueError(f"chunk: must be at least 1, not {chunk}")
    if most_fps is not None and not most_fps > 0:
        raise ValueError(f"most_fps: must be above 0, not {most_fps}")
    return None if size is None else check_size(size)


def least_gap_s(most_fps: float) -> float:
    """Seconds that two frames lie apart at least, for at most so many per second."""
    return 1 / (RATE_SLACK * most_fps) - TIME_SLACK_S


def check_span(start_s: float, end_s: float | None) -> None:
    """Raises ValueError unless 0 <= start_s <= end_s."""
    if not 0 <= start_s < math.inf:
        raise ValueError(f"start_s: must be at least 0, not {start_s}")
    if end_s is not None and not end_s >= start_s:
        raise ValueError(f"end_s: must not be before start_s {start_s}, is {end_s}")


def _stream(
    path, size, interpolation, start_s, end_s, chunk, gap_s, keyframes
) -> Iterator[FrameChunk]:
    end_s = math.inf if end_s is None else end_s
    frames, times = None, np.empty(chunk)
    filled, last_s = 0, -math.inf
    with contextlib.ExitStack() as stack:
        if images.is_pictures(path):
            timed = images.timed_pictures(path)
        else:
            container = stack.enter_context(box.open_media(path))
            timed = timed_frames(container, path, start_s, keyframes)
        shrink = None
        for frame, time_s in timed:
            if time_s >= end_s:
                break
            if time_s < start_s or time_s - last_s < gap_s:
                continue
            last_s = time_s
            if shrink is None:
                shrink = Shrink(frame, size, interpolation)
            if frames is None:
                frames = np.empty((chunk, *shrink.size, 3), np.uint8)
            shrink.into(frame, frames[filled])
            times[filled] = time_s
            filled += 1
            if filled == chunk:
                yield FrameChunk(frames, times)
                frames, times = None, np.empty(chunk)
                filled = 0
    if filled:
        yield FrameChunk(frames[:filled], times[:filled])


def timed_frames(
    container, path: str, start_s: float = 0.0, keyframes: bool = False
) -> Iterator:
    """Decodes the picture of an open file.

    Args:
      container: an open container, at its start.
      path: its name, for messages.
      start_s: frames before this time may be left out, to save decoding.
      keyframes: whether the decoder leaves out all other frames.

    Yields:
      (PyAV frame, seconds after the first frame), times rising.

    Raises:
      MediaError: if there is no picture or it yields no frame.
    """
    stream = box.video_stream(container, path)
    if stream is None:
        raise MediaError(f"{path}: has no picture")
    prepare(stream, path)
    if keyframes:
        stream.codec_context.skip_frame = "NONKEY"
    step = 1 / box.average_fps(stream, path)
    # Without an index a jump of seconds begins a new recording.
    jump_s = box.LONGEST_GAP_S if box.can_seek(container) else box.JUMP_S
    decoded = box.decode(container, stream, path)
    first = next(decoded, None)
    if first is None:
        raise MediaError(f"{path}: no frame of its picture can be decoded")
    zero = first.pts
    if zero is not None:
        from_s = box.seconds(zero, first.time_base) + start_s
        decoded = box.decode_from(container, stream, path, first, decoded, from_s)
    else:
        decoded = itertools.chain([first], decoded)
    last, shift_s, repaired, jumps = -math.inf, 0.0, 0, 0
    for frame in decoded:
        if frame.pts is None or zero is None:
            time_s = None
        else:
            time_s = box.seconds(frame.pts - zero, frame.time_base) - shift_s
            # The first frame that is decoded may lie anywhere, after a seek.
            if last > -math.inf and time_s - last > jump_s:
                jumps += 1
                shift_s += time_s - last - step
                time_s = last + step
        if time_s is None or time_s <= last:
            repaired += 1
            time_s = last + step if last > -math.inf else 0.0
        last = time_s
        yield frame, time_s
    if repaired:
        logger.debug("%s: %d frames had no usable time", path, repaired)
    if jumps:
        box.report_fault(
            path,
            f"the picture's clock jumps ahead ({jumps} times), read on without a gap",
        )
        return
    if keyframes:
        return  # the last of them may lie anywhere
    promised_s = promised_length_s(container, stream)
    if -math.inf < last + step < promised_s - max(SHORT_OF_S, step):
        box.report_fault(
            path,
            f"the picture ends at {last + step:.1f} s, "
            f"the file promises {promised_s:.1f} s",
        )


def prepare(stream, path: str) -> None:
    """Makes the decoder of a picture ready.

    Raises:
      MediaError: if its frames are larger than `container.MOST_PIXELS`.
    """
    context = stream.codec_context
    pixels = context.width * context.height
    if pixels > box.MOST_PIXELS:
        raise MediaError(
            f"{path}: its picture has {context.width} x {context.height} pixels, "
            f"more than {box.MOST_PIXELS // 10**6} million are not read"
        )
    # Also for a frame that grows on the way.
    context.options = {"max_pixels": str(box.MOST_PIXELS)}
    stream.thread_type = "AUTO" if pixels < LARGE_PIXELS else "NONE"


def promised_length_s(container, stream) -> float:
    """How long the file says that its picture is, 0.0 where it does not say so for certain."""
    if not box.can_seek(container):
        return 0.0  # guessed from the bit rate
    if stream.duration:
        return box.seconds(stream.duration, stream.time_base)
    # Matroska keeps the whole file's length, and each stream's as a text.
    if len(container.streams) == 1:
        return (container.duration or 0) / av.time_base
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = map(float, parts)
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds


def orientation(frame: av.VideoFrame) -> Orientation:
    """How a frame is to be laid."""
    data = frame.side_data.get(SideData.DISPLAYMATRIX)
    if data is None:
        return Orientation()
    return Orientation.from_matrix(np.frombuffer(data, np.int32, 9).tolist())


class Shrink:
    """Turns decoded frames into arrays of one size: the wanted one, or the first frame's."""

    def __init__(
        self, first: av.VideoFrame, size: tuple[int, int] | None, interpolation: str
    ):
        self._orientation = orientation(first)
        if size is None:
            stored = (first.height, first.width)
            size = self._orientation.stored_size(stored)
        self.size = size
        self._stored = self._orientation.stored_size(size)
        self._gather = interpolation == "bilinear"
        self._reformatter = VideoReformatter()

    def into(self, frame: av.VideoFrame, target: np.ndarray) -> None:
        """Writes a frame into `target`, uint8 [H, W, 3]."""
        if self._gather:
            # swscale's own default, which is what OpenCV gets.
            picture = self._convert(frame, format="rgb24")
            pixels = resize_frames(_as_array(picture)[None], self._stored, "bilinear")
            pixels = pixels[0]
        else:
            height, width = self._stored
            picture = self._convert(
                frame, width=width, height=height, format="rgb24", interpolation=AREA
            )
            pixels = _as_array(picture)
        target[:] = self._orientation.apply(pixels)

    def _convert(self, frame: av.VideoFrame, **wanted) -> av.VideoFrame:
        """A frame in RGB; where its colours are of a kind that swscale refuses, as if BT.709."""
        try:
            return self._reformatter.reformat(frame, threads=1, **wanted)
        except (av.error.FFmpegError, OSError, ValueError):
            frame.colorspace = Colorspace.ITU709
            frame.color_trc = frame.color_primaries = UNSPECIFIED
            return self._reformatter.reformat(frame, threads=1, **wanted)


def _as_array(picture: av.VideoFrame) -> np.ndarray:
    """A view of an rgb24 frame, uint8 [H, W, 3]; rows may lie apart in memory."""
    plane = picture.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    width = picture.width
    return rows[: picture.height, : 3 * width].reshape(picture.height, width, 3)
