"""Decoding pictures: frames with their true times, resized while they stream.

Timestamps are those of the file (the frame rate may vary), counted from the first frame that is
shown: FFmpeg applies edit lists and drops what lies before the first cut. Where timestamps are
missing or do not rise, the frame follows the one before at the average frame rate. Interlaced
frames stay woven. Pixels that are not square stay as they are stored.
"""

import itertools
import logging
import math
import os
from collections.abc import Iterator

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import Interpolation, VideoReformatter

from rac_jax.media import container as box
from rac_jax.media.container import MediaError
from rac_jax.media.pixels import (
    FrameChunk,
    Orientation,
    check_interpolation,
    check_size,
    resize_frames,
)

logger = logging.getLogger(__name__)

DEFAULT_FPS = 25.0  # where a file names no frame rate
SHORT_OF_S = 1.0  # how much of its promised length a file may lack without a warning

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

    Returns:
      An iterator over chunks of `chunk` frames, the last one shorter: exactly the frames with
      start_s <= t < end_s, turned as the file's display matrix says. It is empty where the
      video ends before `start_s`.

    Raises:
      MediaError: while iterating, if the file cannot be read, has no picture or yields no frame.
      ValueError: for arguments out of range.
    """
    check_interpolation(interpolation)
    if size is not None:
        size = check_size(size)
    if chunk < 1:
        raise ValueError(f"chunk: must be at least 1, not {chunk}")
    check_span(start_s, end_s)
    return _stream(os.fspath(path), size, interpolation, start_s, end_s, chunk)


def check_span(start_s: float, end_s: float | None) -> None:
    """Raises ValueError unless 0 <= start_s <= end_s."""
    if not 0 <= start_s < math.inf:
        raise ValueError(f"start_s: must be at least 0, not {start_s}")
    if end_s is not None and not end_s >= start_s:
        raise ValueError(f"end_s: must not be before start_s {start_s}, is {end_s}")


def _stream(path, size, interpolation, start_s, end_s, chunk) -> Iterator[FrameChunk]:
    end_s = math.inf if end_s is None else end_s
    frames, times = None, np.empty(chunk)
    filled = 0
    with box.open_media(path) as container:
        shrink = None
        for frame, time_s in timed_frames(container, path, start_s):
            if time_s >= end_s:
                break
            if time_s < start_s:
                continue
            if shrink is None:
                shrink = _Shrink(frame, size, interpolation)
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


def timed_frames(container, path: str, start_s: float = 0.0) -> Iterator:
    """Decodes the picture of an open file.

    Args:
      container: an open container, at its start.
      path: its name, for messages.
      start_s: frames before this time may be left out, to save decoding.

    Yields:
      (PyAV frame, seconds after the first frame), times rising.

    Raises:
      MediaError: if there is no picture or it yields no frame.
    """
    stream = box.video_stream(container)
    if stream is None:
        raise MediaError(f"{path}: has no picture")
    stream.thread_type = "AUTO"
    step = 1 / (frame_rate(stream) or DEFAULT_FPS)
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
    last, repaired = -math.inf, 0
    for frame in decoded:
        if frame.pts is None or zero is None:
            time_s = None
        else:
            time_s = box.seconds(frame.pts - zero, frame.time_base)
        if time_s is None or time_s <= last:
            repaired += 1
            time_s = last + step if last > -math.inf else 0.0
        last = time_s
        yield frame, time_s
    if repaired:
        logger.debug("%s: %d frames had no usable time", path, repaired)
    promised_s = _promised_s(container, stream)
    if -math.inf < last + step < promised_s - max(SHORT_OF_S, step):
        box.report_fault(
            path,
            f"the picture ends at {last + step:.1f} s, "
            f"the file promises {promised_s:.1f} s",
        )


def _promised_s(container, stream) -> float:
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


def frame_rate(stream) -> float:
    """Average frames per second of a stream, 0.0 where the file does not say."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else 0.0


def orientation(frame: av.VideoFrame) -> Orientation:
    """How a frame is to be laid."""
    data = frame.side_data.get(SideData.DISPLAYMATRIX)
    if data is None:
        return Orientation()
    return Orientation.from_matrix(np.frombuffer(data, np.int32, 9).tolist())


class _Shrink:
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
            picture = self._reformatter.reformat(frame, format="rgb24", threads=1)
            pixels = resize_frames(_as_array(picture)[None], self._stored, "bilinear")
            pixels = pixels[0]
        else:
            height, width = self._stored
            picture = self._reformatter.reformat(
                frame,
                width=width,
                height=height,
                format="rgb24",
                interpolation=AREA,
                threads=1,
            )
            pixels = _as_array(picture)
        target[:] = self._orientation.apply(pixels)


def _as_array(picture: av.VideoFrame) -> np.ndarray:
    """A view of an rgb24 frame, uint8 [H, W, 3]; rows may lie apart in memory."""
    plane = picture.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    width = picture.width
    return rows[: picture.height, : 3 * width].reshape(picture.height, width, 3)
