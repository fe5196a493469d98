"""Opening media files with PyAV, and the clock that picture and sound share."""

import contextlib
import contextvars
import dataclasses
import itertools
import logging
import math
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Progress:
    """How far this process has decoded, for whoever must know that it does.

    Attributes:
      packets: decoded so far, of all files.
    """

    packets: int = 0


progress = Progress()

# Containers with an index of exact timestamps. In all others a seek may land anywhere, or timestamps
# restart in the middle of the file: there we decode from the start.
SEEKABLE = {"mov", "mp4", "matroska", "webm", "wav"}

SEEK_MARGIN_S = 1.0  # over the distance by which decoding order and time can differ

# In a row: so many packets that cannot be decoded, or places where the file cannot be read, end
# a stream. Half a minute of video is over 500 packets; a disk that fails would be asked for ever.
MOST_BAD_PACKETS = 500
MOST_BAD_READS = 20

# Timestamps that jump ahead by more than this begin a new recording in a container without an
# index, such as two transport streams joined into one; with an index, a jump is a gap up to the
# longest that is believed.
JUMP_S = 10.0
LONGEST_GAP_S = 600.0

# Packets from the start of a file that tell its streams apart, and that average a rate: a screen
# recorder writes hundreds of frames in a burst.
COMPARED_PACKETS = 300
AVERAGED_PACKETS = 20_000
LIKELY_FPS = (1.0, 120.0)  # average rates that a header is believed without looking
DEFAULT_FPS = 25.0  # where nothing tells a frame rate

# A picture of more pixels is refused before it is decoded: of 16000 x 16000 a decoder held 3.9 GB.
MOST_PIXELS = 100_000_000

URL_SCHEMES = ("http://", "https://")
URL_TIMEOUT_S = 20.0  # to open, and for every read

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
      path: a file, or an address that begins with http:// or https://.

    Yields:
      The open PyAV container, closed afterwards.

    Raises:
      MediaError: if there is no such file, or nothing in it that FFmpeg can read.
    """
    path = os.fspath(path)
    if path.startswith(URL_SCHEMES):
        with opened(path, path, timeout=URL_TIMEOUT_S) as container:
            yield container
        return
    if not os.path.exists(path):
        raise MediaError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise MediaError(f"{path}: is not a file")
    if not os.path.getsize(path):
        raise MediaError(f"{path}: is empty")
    # "file:" keeps FFmpeg from reading a name with a colon as a scheme.
    with opened(f"file:{path}", path) as container:
        yield container


@contextlib.contextmanager
def opened(
    address: str, path: str, **wanted: Any
) -> Iterator[av.container.InputContainer]:
    """Opens what FFmpeg calls `address` and its user `path`; the rest is `av.open`'s."""
    try:
        container = av.open(address, **LENIENT, **wanted)
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


def video_stream(container, path: str) -> av.VideoStream | None:
    """The stream to look at.

    Of several that can be decoded and are no cover pictures: one with more than a single packet,
    then the one marked as default, then the first.

    Args:
      container: an open container.
      path: the file's name, from which it is opened again to look into several streams.
    """
    cover = av.stream.Disposition.attached_pic
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & cover and stream.codec_context is not None
    ]
    if len(streams) < 2:
        return next(iter(streams), None)
    packets = {stream.index: 0 for stream in streams}
    with open_media(path) as other:
        for packet in _survey(other, packets, COMPARED_PACKETS):
            packets[packet.stream.index] += 1
    return min(
        streams, key=lambda s: (packets[s.index] < 2, not _is_default(s), s.index)
    )


def audio_streams(container) -> list[av.AudioStream]:
    """The streams that can be listened to, those marked as default first."""
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    return sorted(streams, key=lambda s: (not _is_default(s), s.index))


def _is_default(stream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.default)


def _survey(container, indices: Iterable[int], most: int) -> Iterator[av.Packet]:
    """Packets from the start of a file, without decoding, as far as it can be read."""
    streams = [container.streams[index] for index in indices]
    with contextlib.suppress(av.error.FFmpegError, OSError):
        for packet in itertools.islice(container.demux(streams), most):
            if packet.size:
                yield packet


def average_fps(stream, path: str) -> float:
    """Average frames per second of a stream, by its timestamps where its header is doubtful.

    Raw DV says 60000, a screen recording without a rate is guessed at 1000: what cannot be is
    not believed, and the packets at the start of the file are looked at.

    Args:
      stream: of video.
      path: the file's name.

    Returns:
      Above 0; 25 where nothing tells.
    """
    least, most = LIKELY_FPS
    if stream.average_rate and least <= stream.average_rate <= most:
        return float(stream.average_rate)
    with open_media(path) as other:
        times = sorted(
            seconds(packet.pts, packet.time_base)
            for packet in _survey(other, (stream.index,), AVERAGED_PACKETS)
            if packet.pts is not None
        )
    if len(times) > 1 and times[-1] > times[0]:
        return (len(times) - 1) / (times[-1] - times[0])
    guessed = stream.guessed_rate
    return float(guessed) if guessed and least <= guessed <= most else DEFAULT_FPS


def can_seek(container) -> bool:
    """Whether seeking lands where it should."""
    return bool(SEEKABLE & set(container.format.name.split(",")))


def decode(container, stream, path: str) -> Iterator:
    """Decodes a stream to its end, and over what is broken in it.

    A packet that cannot be decoded is left out, and a place where the file cannot be read is
    passed over, until `MOST_BAD_PACKETS` or `MOST_BAD_READS` of them come in a row. Both are
    reported as one warning at the end. A packet without a byte repeats a frame and gives none.

    Args:
      container: an open container, at its start or just after a seek.
      stream: one of its streams.
      path: the file's name, for the warning.

    Yields:
      Decoded frames.
    """
    broken = bad_packets = bad_reads = 0
    ended = None
    packets = container.demux(stream)
    while ended is None:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except (av.error.FFmpegError, OSError) as error:
            # The iterator is over, the file perhaps not.
            bad_reads += 1
            if bad_reads == MOST_BAD_READS:
                ended = reason(error)
            packets = container.demux(stream)
            continue
        progress.packets += 1
        # The packet at the very end, which empties the decoder, has no time.
        if not packet.size and (packet.pts, packet.dts) != (None, None):
            continue
        try:
            frames = packet.decode()
        except av.error.EOFError:
            break
        except (av.error.FFmpegError, OSError) as error:
            broken += 1
            bad_packets += 1
            if bad_packets == MOST_BAD_PACKETS:
                ended = reason(error)
            continue
        if frames:
            bad_packets = bad_reads = 0
        yield from frames
    if ended is not None:
        report_fault(path, f"the {_kind(stream)} breaks off ({ended})")
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
      Seconds, or None for a file without a picture that can be decoded.

    Raises:
      MediaError: if the file cannot be opened.
    """
    path = os.fspath(path)
    with open_media(path) as container:
        stream = video_stream(container, path)
        if stream is None:
            return None
        for frame in decode(container, stream, path):
            return 0.0 if frame.pts is None else seconds(frame.pts, frame.time_base)
    return None
