"""Decoding sound: mono float32 at a wanted rate, on the clock of the picture.

Channels are averaged; gaps between timestamps become silence, overlaps are cut. The band-limited
resampling is libswresample's with a filter four times as long as its default: measured from 44100
and 48000 to 22050 Hz it is flat within 0.01 dB up to 0.9 of the Nyquist frequency and aliases
from 1.1 of it on are 100 dB down (the default loses 1 dB and lets aliases through at -42 dB).

A cut equals the same part of the whole up to one sample (half a millisecond in Matroska, which
rounds timestamps to milliseconds), and up to what a codec draws at random (AAC's noise).
"""

import math
import os
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from rac_jax.media import container as box
from rac_jax.media.container import MediaError
from rac_jax.media.frames import check_span, promised_length_s

# linear_interp matters only for rates without a small common divisor.
FILTER = "filter_size=128:cutoff=0.97:linear_interp=1"
ROUGH_FILTER = "filter_size=32:cutoff=0.97:linear_interp=1"  # its default's length

# Read before the part that is wanted and dropped after resampling: the filter and the decoder
# (bit reservoirs, overlapping windows) have settled by then. Whole seconds are whole samples.
LEAD_S = 1

JITTER_S = 0.03  # containers round timestamps; less than this is no gap
RESTART_S = 1.0  # timestamps that fall back further than this start anew
# Silence that gaps may become in one file: headers and timestamps can claim any length.
MOST_SILENCE_S = 6 * 3600.0

# Of several tracks the first that is heard within so long is listened to.
AUDITION_S = 10.0
AUDIBLE = 1e-4  # of full scale

# Of planar sound with this many channels and more, FFmpeg keeps the planes where PyAV's arrays
# do not look for them.
MANY_CHANNELS = 8


def stream_audio(
    path: str | os.PathLike,
    *,
    rate: int = 22050,
    start_s: float = 0.0,
    end_s: float | None = None,
    origin_s: float | None = None,
    rough: bool = False,
) -> Iterator[np.ndarray]:
    """Decodes sound in chunks, in constant memory.

    Args:
      path: a media file.
      rate: wanted samples per second.
      start_s: time of the first sample, in seconds after the first frame of the file's picture
        (without a picture: after the start of the sound). Where the sound begins later, silence
        comes first.
      end_s: end of the part to read, None for all.
      origin_s: where 0 is on the file's own clock; None looks for the first frame of its picture.
      rough: resample by a filter of a quarter of the length, in a fraction of the time.

    Returns:
      An iterator over float32 [n] chunks of about a second, in the range -1..1 of full scale;
      empty where the sound ends before `start_s`.

    Raises:
      MediaError: while iterating, if the file cannot be read or has no sound.
      ValueError: for arguments out of range.
    """
    check_audio(rate, start_s, end_s)
    samples = None if end_s is None else round((end_s - start_s) * rate)
    taps = ROUGH_FILTER if rough else FILTER
    return _stream(os.fspath(path), int(rate), start_s, samples, origin_s, taps)


def check_audio(rate: int, start_s: float, end_s: float | None) -> None:
    """Raises ValueError for arguments of `stream_audio` that are out of range."""
    if rate < 1:
        raise ValueError(f"rate: must be at least 1, not {rate}")
    check_span(start_s, end_s)


def _stream(
    path: str,
    rate: int,
    start_s: float,
    samples: int | None,
    zero_s: float | None,
    taps: str,
) -> Iterator:
    if zero_s is None:
        zero_s = box.picture_start_s(path)
    with box.open_media(path) as container:
        stream = choose_stream(container, path)
        if stream is None:
            raise MediaError(f"{path}: has no sound")
        decoded = box.decode(container, stream, path)
        first = next(decoded, None)
        if first is None:
            raise MediaError(f"{path}: nothing of its sound can be decoded")
        if zero_s is None:
            zero_s = _time_s(first) or 0.0
        begin_s = zero_s + start_s - LEAD_S
        source_rate = first.sample_rate
        decoded = box.decode_from(container, stream, path, first, decoded, begin_s)
        timeline = _timeline(decoded, container, path, source_rate, begin_s)
        if source_rate != rate:
            timeline = _resampled(timeline, source_rate, rate, taps)
        skip, left = LEAD_S * rate, samples
        for block in timeline:
            dropped = min(skip, len(block))
            skip -= dropped
            block = block[dropped:][:left]
            if left is not None:
                left -= len(block)
            if len(block):
                yield block
            if left == 0:
                return


def choose_stream(container, path: str) -> av.AudioStream | None:
    """The stream to listen to.

    Of several: those marked as default first, and among them the first that is no digital
    silence in its first seconds, or that cannot be told from it.

    Args:
      container: an open container.
      path: the file's name, from which it is opened again to listen to several streams.
    """
    streams = box.audio_streams(container)
    if len(streams) > 1:
        for stream in streams:
            with box.open_media(path) as other:
                if _is_heard(other, other.streams[stream.index], path):
                    return stream
    return next(iter(streams), None)


def _is_heard(container, stream, path: str) -> bool:
    """Whether a stream is more than silence within `AUDITION_S`."""
    heard_s = 0.0
    # What is wrong with a stream that is not listened to in the end is of no interest.
    with box.collect_faults():
        for frame in box.decode(container, stream, path):
            if np.abs(mono(frame)).max(initial=0.0) > AUDIBLE:
                return True
            heard_s += frame.samples / max(1, frame.sample_rate)
            if heard_s > AUDITION_S:
                break
    return False


def _time_s(frame: av.AudioFrame) -> float | None:
    return None if frame.pts is None else box.seconds(frame.pts, frame.time_base)


def _timeline(
    decoded: Iterator, container, path: str, rate: int, origin_s: float
) -> Iterator[np.ndarray]:
    """Lays decoded frames one after the other as their timestamps say.

    A gap becomes silence where it can be one: within the length that the file promises, and
    either short or under a picture that goes on. Any other jump ahead begins a new recording,
    which follows at once, as its picture does (`frames.timed_frames`).

    Yields:
      Mono float32 blocks of at most about a second at the source's rate; the first sample is at
      `origin_s` on the file's clock.
    """
    # Without a promised length a jump ahead may be anything: then frames just follow.
    promised_s = (container.duration or 0) / av.time_base
    promised = (promised_s + (container.start_time or 0) / av.time_base) - origin_s
    indexed = box.can_seek(container)
    longest = (box.LONGEST_GAP_S if indexed else box.JUMP_S) * rate
    shown = _picture_end_s(container, path) - origin_s
    cursor, shift, silent, jumps = 0, 0, 0, 0
    # Channels are mixed a second at a time: frames are short, and each call has its price.
    waiting: list[np.ndarray] = []
    held = 0
    begun = False
    for frame in decoded:
        if frame.sample_rate != rate:
            box.report_fault(
                path,
                f"the sound changes from {rate} to {frame.sample_rate} Hz, "
                "it is read up to there",
            )
            break
        samples = _channels(frame)
        if waiting and _form(samples) != _form(waiting[0]):
            yield from _flushed(waiting)
            waiting, held = [], 0
        time_s = _time_s(frame)
        place = cursor if time_s is None else round((time_s - origin_s) * rate) + shift
        if begun and cursor - place > RESTART_S * rate:
            shift += cursor - place
            place = cursor
        gap = place - cursor
        if gap < 0 and (not begun or -gap > JITTER_S * rate):
            samples = samples[:, -gap:]
        elif gap > 0 and (not begun or gap > JITTER_S * rate):
            possible = place <= (promised + JITTER_S) * rate
            covered = gap <= longest or (indexed and place <= shown * rate)
            if possible and covered and silent + gap <= MOST_SILENCE_S * rate:
                yield from _flushed(waiting)
                yield from _silence(gap, rate)
                cursor = place
                silent += gap
                waiting, held = [], 0
            else:
                jumps += possible
                shift -= gap
        length = samples.shape[1]
        begun = begun or length > 0
        waiting.append(samples)
        cursor += length
        held += length
        if held >= rate:
            yield from _flushed(waiting)
            waiting, held = [], 0
    yield from _flushed(waiting)
    if jumps:
        box.report_fault(
            path,
            f"the sound's clock jumps ahead ({jumps} times), read on without a gap",
        )


def _picture_end_s(container, path: str) -> float:
    """Where the file says that its picture ends, on its own clock; -inf where it does not."""
    stream = box.video_stream(container, path)
    length_s = 0.0 if stream is None else promised_length_s(container, stream)
    if not length_s:
        return -math.inf
    begin_s = (container.start_time or 0) / av.time_base
    return begin_s + length_s


def _form(samples: np.ndarray) -> tuple[int, np.dtype]:
    """Channels and type of samples; others cannot be put beside them."""
    return len(samples), samples.dtype


def _flushed(waiting: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Mono of frames [channels, n] of one form; nothing of none."""
    if any(samples.shape[1] for samples in waiting):
        yield _mixed(np.concatenate(waiting, axis=1))


def _silence(samples: int, rate: int) -> Iterator[np.ndarray]:
    for done in range(0, samples, rate):
        yield np.zeros(min(rate, samples - done), np.float32)


def mono(frame: av.AudioFrame) -> np.ndarray:
    """The mean of a frame's channels, as a share of full scale.

    Args:
      frame: decoded samples in any of FFmpeg's formats.

    Returns:
      float32 [n], 0 where the file holds no finite number.
    """
    return _mixed(_channels(frame))


def _channels(frame: av.AudioFrame) -> np.ndarray:
    """A frame's samples [channels, n], as they are stored."""
    channels = frame.layout.nb_channels
    if frame.format.is_planar and channels >= MANY_CHANNELS:
        (frame,) = _interleaved(frame)
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, channels).T
    return values


def _mixed(values: np.ndarray) -> np.ndarray:
    """The mean of channels [channels, n] of any type, as float32 [n] shares of full scale."""
    mean = values.mean(axis=0, dtype=np.float64)  # [n]
    if values.dtype == np.uint8:
        mean = (mean - 128) / 128
    elif values.dtype.kind == "i":
        mean /= -float(np.iinfo(values.dtype).min)
    return np.nan_to_num(mean, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)


def _interleaved(frame: av.AudioFrame) -> list[av.AudioFrame]:
    """A planar frame with its channels next to each other."""
    wanted = frame.format.packed
    return av.AudioResampler(wanted, frame.layout, frame.sample_rate).resample(frame)


def _resampled(
    blocks: Iterator[np.ndarray], source: int, rate: int, taps: str = FILTER
) -> Iterator:
    """Resamples a stream; n samples become round(n rate / source)."""
    graph = av.filter.Graph()
    entry = graph.add_abuffer(
        sample_rate=source, format="flt", layout="mono", time_base=Fraction(1, source)
    )
    resampler = graph.add("aresample", f"{rate}:{taps}")
    out = graph.add("abuffersink")
    entry.link_to(resampler)
    resampler.link_to(out)
    graph.configure()
    fed, given = 0, 0
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(block[None], format="flt", layout="mono")
        frame.sample_rate = source
        frame.time_base = Fraction(1, source)
        frame.pts = fed
        fed += len(block)
        graph.push(frame)
        for result in _pull(graph):
            given += len(result)
            yield result
    graph.push(None)
    left = math.floor(fed * rate / source + 0.5) - given
    for result in _pull(graph):
        yield result[:left]
        left -= len(result[:left])
    # Where the last sample falls half a sample before the end, the filter does not give it.
    if left > 0:
        yield np.zeros(left, np.float32)


def resample(waveform: np.ndarray, source: int, rate: int) -> np.ndarray:
    """Resamples a sound in memory as files are resampled.

    Args:
      waveform: float [S], mono.
      source: its samples per second.
      rate: the wanted ones.

    Returns:
      float32 [S rate / source, rounded], the same array if the rates are equal.

    Raises:
      ValueError: for a rate under 1.
    """
    for given in (source, rate):
        if given < 1:
            raise ValueError(f"rate: must be at least 1, not {given}")
    waveform = np.asarray(waveform, np.float32)
    if source == rate or not len(waveform):
        return waveform
    # As before a file's first sample, silence goes ahead in which the filter settles.
    lead = np.zeros(LEAD_S * source, np.float32)
    whole = np.concatenate([lead, waveform])
    blocks = (whole[i : i + source] for i in range(0, len(whole), source))
    resampled = np.concatenate(list(_resampled(blocks, source, rate)))
    return resampled[LEAD_S * rate :]


def _pull(graph: av.filter.Graph) -> Iterator[np.ndarray]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield frame.to_ndarray()[0]
