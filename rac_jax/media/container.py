"""Opening media files with PyAV, and the clock that picture and sound share."""

import contextlib
import contextvars
import itertools
import logging
import math
import os
from collections.abc import Iterator
from fractions import Fraction

import av

logger = logging.getLogger(__name__)

# Containers with an index of exact timestamps. In all others a seek may land anywhere, or timestamps
# restart in the middle of the file: there we decode from the start.
SEEKABLE = {"mov", "mp4", "matroska", "webm", "wav"}

SEEK_MARGIN_S = 1.0  # over the distance by which decoding order and time can differ

# PyAV before 19 fails on titles that are not UTF-8 unless told to replace what it cannot read.
LENIENT = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)

# Formats that FFmpeg finds in what is really text or anything.
NOT_MEDIA = {"tty", "bin", "concat", "ffmetadata"}


class MediaError(ValueError):
    """A media file cannot be used; the message is one line, "<path>: <reason>"."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


_collected: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar(
    "collected faults", default=None
)


@contextlib.contextmanager
def collect_faults() -> Iterator[list[str]]:
    """Collects what is wrong with files that can be read in part.

    Yields:
      A list that fills up with "<path>: <reason>", each once; nothing is logged meanwhile.
    """
    faults: list[str] = []
    token = _collected.set(faults)
    try:
        yield faults
    finally:
        _collected.reset(token)


def report_fault(path: str, reason: str) -> None:
    """Hands a fault to the collector around this call, or logs it as a warning."""
    pass_on_fault(" ".join(f"{path}: {reason}".split()))


def pass_on_fault(fault: str) -> None:
    """Does what `report_fault` does with a line that another collector has collected."""
    faults = _collected.get()
    if faults is None:
        logger.warning("%s", fault)
    elif fault not in faults:
        faults.append(fault)


@contextlib.contextmanager
def open_media(path: str | os.PathLike) -> Iterator[av.container.InputContainer]:
    """Opens a media file for reading.

    Args:
      path: a file.

    Yields:
      The open PyAV container, closed afterwards.

    Raises:
      MediaError: if there is no such file, or nothing in it that FFmpeg can read.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise MediaError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise MediaError(f"{path}: is not a file")
    if not os.path.getsize(path):
        raise MediaError(f"{path}: is empty")
    try:
        # "file:" keeps FFmpeg from reading a name with a colon as a scheme.
        container = av.open(f"file:{path}", **LENIENT)
    except (av.error.InvalidDataError, av.error.EOFError):
        raise MediaError(
            f"{path}: is not a media file, or its beginning or index is missing"
        ) from None
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: cannot be opened ({reason(error)})") from None
    with container:
        if NOT_MEDIA & set(container.format.name.split(",")):
            raise MediaError(f"{path}: is not a media file")
        yield container


def reason(error: Exception) -> str:
    """What an error of PyAV says, without the file name and number it puts around it."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def video_stream(container) -> av.VideoStream | None:
    """The stream to look at: the first that is not a cover picture and can be decoded."""
    cover = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover and stream.codec_context is not None:
            return stream
    return None


def audio_stream(container) -> av.AudioStream | None:
    """The stream to listen to: the one marked as default, else the first decodable one."""
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    default = av.stream.Disposition.default
    return next(
        (s for s in streams if s.disposition & default), next(iter(streams), None)
    )


def can_seek(container) -> bool:
    """Whether seeking lands where it should."""
    return bool(SEEKABLE & set(container.format.name.split(",")))


def decode(container, stream, path: str) -> Iterator:
    """Decodes a stream to its end, and over what is broken in it.

    A packet that cannot be decoded is left out; where the file cannot be read any further the
    stream ends. Both are reported as one warning at the end.

    Args:
      container: an open container, at its start or just after a seek.
      stream: one of its streams.
      path: the file's name, for the warning.

    Yields:
      Decoded frames.
    """
    broken = 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                broken += 1
                continue
            yield from frames
    except (av.error.FFmpegError, OSError) as error:
        report_fault(path, f"the {_kind(stream)} breaks off ({reason(error)})")
    if broken:
        report_fault(
            path,
            f"left out what is broken of the {_kind(stream)} ({broken} packets)",
        )


def decode_from(
    container, stream, path: str, first, rest: Iterator, time_s: float
) -> Iterator:
    """Goes on decoding a stream from a moment on, or from a little before.

    Args:
      container: an open container.
      stream: one of its streams, of which `first` was just decoded.
      path: the file's name, for warnings.
      first: its first frame.
      rest: the frames after it.
      time_s: where to begin, on the file's clock.

    Returns:
      Decoded frames; the first is at or before `time_s`, if there is one. Without an index, or
      near the start, simply all of them.
    """
    begin = itertools.chain([first], rest)
    if first.pts is None or not can_seek(container):
        return begin
    begin_s = seconds(first.pts, first.time_base)
    margin_s = SEEK_MARGIN_S
    while time_s - margin_s > begin_s:
        target = math.floor((time_s - margin_s) / stream.time_base)
        container.seek(target, stream=stream, backward=True)
        decoded = decode(container, stream, path)
        landed = next(decoded, None)
        if landed is None:
            return iter(())  # past the end
        if landed.pts is not None and seconds(landed.pts, landed.time_base) <= time_s:
            return itertools.chain([landed], decoded)
        margin_s *= 4
    if margin_s > SEEK_MARGIN_S:
        container.seek(first.pts, stream=stream, backward=True)
        return decode(container, stream, path)
    return begin


def _kind(stream) -> str:
    return {"video": "picture", "audio": "sound"}.get(stream.type, stream.type)


def seconds(pts: int, time_base: Fraction) -> float:
    """A timestamp in seconds, rounded once."""
    return pts * time_base.numerator / time_base.denominator


def picture_start_s(path: str | os.PathLike) -> float | None:
    """When the first frame is shown, on the file's own clock.

    Args:
      path: a media file.

    Returns:
      Seconds, or None for a file without a picture.

    Raises:
      MediaError: if the file cannot be opened.
    """
    path = os.fspath(path)
    with open_media(path) as container:
        stream = video_stream(container)
        if stream is None:
            return None
        for frame in decode(container, stream, path):
            return 0.0 if frame.pts is None else seconds(frame.pts, frame.time_base)
    return None
