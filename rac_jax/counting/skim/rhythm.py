"""How rhythmic a long sound track is, second by second; numpy only.

An onset envelope (the rise of the logarithm of the power in a few bands) and, around each second,
the highest peak of its autocorrelation. An hour takes seconds: nothing is learnt here.
"""

from collections.abc import Iterable

import numpy as np

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


def onset_envelope(blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The envelope of a sound track, in constant memory but for the result.

    Args:
      blocks: float32 samples at `RATE` in order, in blocks of any length.

    Returns:
      (onsets float32 [n], at least 0; loudness float32 [n], the mean power), one value for each
      `HOP` samples.
    """
    window = np.hanning(WINDOW + 1)[:WINDOW].astype(np.float32)
    onsets, loudness = [], []
    waiting = np.zeros(WINDOW - HOP, np.float32)
    before = None
    need = (BLOCK - 1) * HOP + WINDOW
    held: list[np.ndarray] = [waiting]
    size = len(waiting)

    def compute(samples: np.ndarray) -> None:
        nonlocal before
        windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
        power = np.square(np.abs(np.fft.rfft(windows * window, axis=-1)))  # [n, F]
        bands = np.add.reduceat(power, BAND_EDGES[:-1], axis=-1)  # [n, bands]
        logs = np.log(bands + FLOOR)
        first = logs[:1] if before is None else before
        rises = np.diff(np.concatenate([first, logs]), axis=0)
        before = logs[-1:]
        onsets.append(np.maximum(rises, 0).sum(-1).astype(np.float32))
        loudness.append(np.square(windows).mean(-1).astype(np.float32))

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
    nothing = np.zeros(0, np.float32)
    return np.concatenate([nothing, *onsets]), np.concatenate([nothing, *loudness])


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
        spectrum = np.fft.rfft(parts, 2 * span, axis=-1)
        products = np.fft.irfft(np.square(np.abs(spectrum)), axis=-1)
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
