"""How rhythmic a long sound track is, second by second.

The power in a few bands, the onset envelope that its rises make and, around each second, the
highest peak of that envelope's autocorrelation. An hour takes seconds. Nothing is learnt here:
`listener` is what is learnt from the same powers, and what policies follow.
"""

from collections.abc import Iterable

import numpy as np
import scipy.fft

RATE = 8_000  # samples per second: hits are heard below 4 kHz, too
HOP = 128  # 16 ms
WINDOW = 256
# Edges of the bands in bins of 31 Hz: a bit over an octave each.
BAND_EDGES = (2, 5, 10, 20, 40, 80, 128)
FLOOR = 1e-6  # added to the power of a band; samples of 1e-4 of full scale are silence
BLOCK = 1024  # columns that are computed at once

SPAN_S = 6.0  # of the envelope around a second
PERIODS_S = (0.2, 2.4)  # shortest and longest period that is looked for
SMOOTH = (
    np.array([1, 3, 4, 3, 1]) / 12
)  # of the envelope, 50 ms: repetitions are not exact


def listen(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """The power of a sound track in bands, in constant memory but for the result.

    Args:
      blocks: float32 samples at `RATE` in order, in blocks of any length.

    Returns:
      float32 [n, F], at least 0, one row for each `HOP` samples; the last column is the mean
      power of the samples, the others are the bands of `BAND_EDGES`.
    """
    window = np.hanning(WINDOW + 1)[:WINDOW].astype(np.float32)
    rows = [np.zeros((0, len(BAND_EDGES)), np.float32)]
    need = (BLOCK - 1) * HOP + WINDOW
    held = [np.zeros(WINDOW - HOP, np.float32)]
    size = len(held[0])

    def compute(samples: np.ndarray) -> None:
        windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
        spectrum = scipy.fft.rfft(windows * window, axis=-1)  # [n, bins]
        power = np.square(np.abs(spectrum))
        bands = np.add.reduceat(power, BAND_EDGES[:-1], axis=-1)  # [n, F - 1]
        mean = np.square(windows).mean(-1, keepdims=True)
        rows.append(np.concatenate([bands, mean], axis=1).astype(np.float32))

    for block in blocks:
        held.append(block)
        size += len(block)
        if size < need:
            continue
        samples = np.concatenate(held)
        while len(samples) >= need:
            compute(samples[:need])
            samples = samples[BLOCK * HOP :]
        held, size = [samples], len(samples)
    rest = np.concatenate(held)
    if len(rest) >= WINDOW:
        compute(rest)
    return np.concatenate(rows)


def onset_envelope(powers: np.ndarray) -> np.ndarray:
    """How much the logarithms of the bands' powers rise, together: float32 [n], at least 0."""
    logs = np.log(powers[:, :-1] + FLOOR)
    rises = np.diff(logs, axis=0, prepend=logs[:1])
    return np.maximum(rises, 0).sum(-1)


def rhythm(onsets: np.ndarray, seconds: int) -> np.ndarray:
    """How much the onsets around each second repeat.

    Args:
      onsets: [n] of `onset_envelope`.
      seconds: N, seconds of the track.

    Returns:
      float32 [N] in [0, 1]: the highest value of the autocorrelation within `SPAN_S` around the
      second's middle, at lags of `PERIODS_S`, over that at lag 0; 0 in silence.
    """
    per_s = RATE / HOP
    span = round(SPAN_S * per_s)
    shortest, longest = (round(p * per_s) for p in PERIODS_S)
    smooth = np.convolve(onsets, SMOOTH, mode="same") if len(onsets) else onsets
    padded = np.pad(smooth, (span, 2 * span))
    scores = np.zeros(seconds, np.float32)
    # Lags overlap less than the whole span: what is missing is made up for.
    share = span / (span - np.arange(longest + 1))
    for first in range(0, seconds, 256):
        middles = np.arange(first, min(first + 256, seconds)) + 0.5
        starts = np.round(middles * per_s - span / 2).astype(int) + span
        starts = np.clip(starts, 0, len(padded) - span)
        parts = padded[starts[:, None] + np.arange(span)]  # [n, span]
        parts = parts - parts.mean(-1, keepdims=True)
        spectrum = scipy.fft.rfft(parts, 2 * span, axis=-1)
        products = scipy.fft.irfft(np.square(np.abs(spectrum)), axis=-1)
        products = products[:, : longest + 1] * share
        whole = products[:, 0]
        peaks = products[:, shortest:].max(-1)
        heard = whole > 1e-3 * span
        scores[first : first + len(middles)] = np.where(
            heard, peaks / np.where(heard, whole, 1.0), 0.0
        )
    return np.clip(scores, 0.0, 1.0)


def per_second(values: np.ndarray, seconds: int) -> np.ndarray:
    """Means of a curve of `HOP` samples for each second; 0 where it has ended. float32 [N]"""
    edges = np.round(np.arange(seconds + 1) * RATE / HOP).astype(int)
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    edges = np.minimum(edges, len(values))
    lengths = np.maximum(np.diff(edges), 1)
    return ((sums[edges[1:]] - sums[edges[:-1]]) / lengths).astype(np.float32)
