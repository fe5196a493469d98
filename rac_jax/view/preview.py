"""A few frames and a small spectrogram of a media file, for people to look at.

Both are bounded however long the file is: frames are found by seeking, and the spectrogram is
pooled to a fixed number of columns while the sound streams by. The models never see these;
`rac_jax.ops.spectrogram` holds what they see.
"""

import os
from collections.abc import Iterable

import numpy as np
import scipy.signal

from rac_jax import media

RATE = 22050  # samples per second, as the models' spectrograms
WINDOW = 512  # samples per column
HOP = 159  # samples between columns
BINS = WINDOW // 2 + 1
FLOOR_DB = -120.0  # shown for digital silence and for columns without sound
MAX_COLUMNS = 800  # no screen shows more
# Above this many columns (12 minutes of sound) only evenly spaced ones are computed.
MAX_TRANSFORMS = 100_000
# Up to this many frames, decoding all of them costs less than seeking for each thumbnail.
MAX_DECODED = 900
_SLICE = 1 << 18  # samples transformed at once


def thumbnails(
    path: str | os.PathLike,
    times_s: np.ndarray,
    *,
    height: int,
    info: media.MediaInfo | None = None,
) -> list[np.ndarray | None]:
    """Frames of a video at given times.

    Args:
      path: the video.
      times_s: float [n], rising, in seconds of the file.
      height: height of the frames, in pixels; the width follows the aspect ratio.
      info: what `media.probe` said of the file, if it was asked before.

    Returns:
      n frames uint8 [height, W, 3]; None where the video has no frame near that time.

    Raises:
      MediaError: if the file cannot be read or has no picture.
    """
    info = media.probe(path) if info is None else info
    if not info.has_video:
        raise media.MediaError(f"{path}: it has no picture")
    if not len(times_s):
        return []
    size = (height, max(1, round(height * info.width / info.height)))
    spacing = float(np.min(np.diff(times_s))) if len(times_s) > 1 else 1.0
    start_s = max(0.0, times_s[0] - spacing / 2)
    end_s = times_s[-1] + spacing / 2
    if (end_s - start_s) * info.fps <= MAX_DECODED:
        return _nearest(path, times_s, size, start_s, end_s)
    return [_first_after(path, t, t + spacing, size) for t in times_s]


def _nearest(path, times_s, size, start_s, end_s) -> list[np.ndarray | None]:
    """The frames nearest to the given times, from one pass over all frames between."""
    found: list[np.ndarray | None] = [None] * len(times_s)
    distance = np.full(len(times_s), np.inf)
    chunks = media.stream_frames(path, size=size, start_s=start_s, end_s=end_s)
    for chunk in chunks:
        gap = np.abs(chunk.times_s[None, :] - np.asarray(times_s)[:, None])  # [n, T]
        best = np.argmin(gap, axis=1)
        for i, t in enumerate(best):
            if gap[i, t] < distance[i]:
                distance[i] = gap[i, t]
                found[i] = chunk.frames[t].copy()  # a view would keep the whole chunk
    return found


def _first_after(path, start_s, end_s, size) -> np.ndarray | None:
    """The first frame in [start_s, end_s), or None."""
    chunks = media.stream_frames(path, size=size, start_s=start_s, end_s=end_s, chunk=1)
    for chunk in chunks:
        if len(chunk.frames):
            return chunk.frames[0]
    return None


def spectrogram(
    chunks: Iterable[np.ndarray], samples: int, columns: int = MAX_COLUMNS
) -> np.ndarray:
    """Log power spectrogram, pooled along time by its maximum, in constant memory.

    The maximum, not the mean: a struck sound of a few milliseconds must stay visible when a
    column stands for seconds.

    Args:
      chunks: float32 arrays of samples at 22050 Hz, in order.
      samples: how many samples the time axis stands for; what comes after them is not shown,
        and columns that the sound does not reach stay at `FLOOR_DB`.
      columns: at most this many columns.

    Returns:
      [257, n] float32, decibels; row f is the frequency f * 22050 / 512 Hz.
    """
    transforms = max(1, (samples - WINDOW) // HOP + 1)
    columns = max(1, min(columns, transforms))
    hop = max(HOP, -(-samples // MAX_TRANSFORMS))
    power = np.zeros((columns, BINS), np.float32)
    window = scipy.signal.get_window("hann", WINDOW).astype(np.float32)
    buffer = np.zeros(0, np.float32)
    first, following = 0, 0  # sample at buffer[0], start of the next window
    for piece in _pieces(chunks, samples):
        buffer = np.concatenate([buffer, piece])
        count = (first + len(buffer) - WINDOW - following) // hop + 1
        if count > 0:
            starts = following + hop * np.arange(count)
            frames = buffer[(starts - first)[:, None] + np.arange(WINDOW)]  # [n, 512]
            spectrum = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2  # [n, F]
            column = starts * columns // max(1, samples - WINDOW + 1)
            edges = np.flatnonzero(np.diff(column, prepend=-1))
            pooled = np.maximum.reduceat(spectrum, edges, axis=0)
            here = column[edges]
            power[here] = np.maximum(power[here], pooled)
            following += hop * count
        used = min(following - first, len(buffer))
        buffer, first = buffer[used:], first + used
    level = power.T / np.sum(window) ** 2  # a full-scale sine is at -6 dB
    return 10 * np.log10(np.maximum(level, 10 ** (FLOOR_DB / 10)))


def _pieces(chunks: Iterable[np.ndarray], samples: int):
    """The first `samples` samples in pieces of bounded size, padded to at least one window."""
    left = samples
    for chunk in chunks:
        chunk = chunk[:left]
        left -= len(chunk)
        for i in range(0, len(chunk), _SLICE):
            yield np.asarray(chunk[i : i + _SLICE], np.float32)
        if left <= 0:
            break
    heard = samples - left
    if 0 < heard < WINDOW:
        yield np.zeros(WINDOW - heard, np.float32)
