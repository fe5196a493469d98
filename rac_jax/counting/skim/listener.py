"""Which seconds of a sound track go with a repetition: a small network, learnt.

Around each second the autocorrelation of the onsets tells how well they repeat at periods from
0.2 to 3 s, and how well the same bands repeat. Repetitions are not exact, and the longer they
take the less so: each period is looked at as widely as it is long. A network of one hidden layer
turns this into a probability. It is trained by `python -m benchmarks.skim_listener` on the sound
of procedural scenes, in which background noise, music, speech and irregular sounds are told from
sets; its weights are in `listener.safetensors` beside this file.
"""

import functools
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors.numpy
import scipy.fft

from rac_jax.counting.skim import rhythm

WEIGHTS = pathlib.Path(__file__).with_name("listener.safetensors")

PERIODS_S = np.geomspace(0.2, 3.0, 20)
WIDTH = 0.07  # standard deviation of a repetition's length, as a share of it
LEAST_WIDTH = 1.5  # of it, in values of the envelope
LONG_S, SHORT_S = 8.0, 4.0  # of sound around a second that are looked at
SHORT_PERIODS = 14  # of them fit into the short one
LONGEST_LAG_S = 3.6
QUIET = 1e-6  # power beside which no rise is heard
AROUND_S = 10.0  # of sound whose median is the background
SOFTEST = 1e-3  # of an envelope, below which nothing is told
BLOCK = 128  # seconds at once

PER_S = rhythm.RATE / rhythm.HOP


def onsets(powers: np.ndarray) -> np.ndarray:
    """Rises above the background, of each band by itself.

    Args:
      powers: [n, F] of `rhythm.listen`.

    Returns:
      [n, F - 1], at least 0: rises of log(1 + power / background).
    """
    bands = powers[:, :-1]
    step = round(AROUND_S * PER_S)
    places = np.arange(0, max(1, len(bands)), step)
    middles = np.stack(
        [np.median(bands[max(0, p - step // 2) : p + 3 * step // 2], 0) for p in places]
    )
    index = np.arange(len(bands))
    background = np.stack(
        [np.interp(index, places + step / 2, one) for one in middles.T], axis=1
    )
    levels = np.log1p(bands / (background + QUIET))
    return np.maximum(np.diff(levels, axis=0, prepend=levels[:1]), 0)


def features(powers: np.ndarray, seconds: int) -> np.ndarray:
    """What the network is given of each second.

    Args:
      powers: [n, F] of `rhythm.listen`.
      seconds: N, seconds of the track.

    Returns:
      float32 [N, C]: the likeness of the onsets to themselves a period later, at all periods and
      over `LONG_S`, over `SHORT_S`, and band by band; then how strong and how peaked they are.
    """
    if not len(powers):
        powers = np.zeros((1, len(rhythm.BAND_EDGES)), np.float32)
    bands = onsets(powers)
    whole = bands.sum(1, keepdims=True)
    found = [
        likeness(whole, seconds, LONG_S),
        likeness(whole, seconds, SHORT_S)[:, :SHORT_PERIODS],
        likeness(bands, seconds, LONG_S),
    ]
    # The strength of the onsets around each second, and of their highest.
    near = around(whole, np.arange(seconds), SHORT_S)[..., 0]  # [N, m]
    mean, most = near.mean(1), near.max(1)
    high = (near > 0.5 * most[:, None]).mean(1)
    spread = np.square(near).mean(1) / (np.square(mean) + SOFTEST)
    shape = [
        *(np.log(mean + 0.01), np.log(most + 0.1), high, np.log(spread + 0.1)),
        np.log((most + 0.1) / (mean + 0.01)),
    ]
    return np.concatenate([*found, np.stack(shape, 1)], axis=1).astype(np.float32)


def around(values: np.ndarray, seconds: np.ndarray, span_s: float) -> np.ndarray:
    """The values [n, F] within `span_s` around the middles of some seconds: [N, m, F]."""
    span = round(span_s * PER_S)
    # Zeros before the beginning and after the end.
    starts = np.round((seconds + 0.5) * PER_S).astype(int) - span // 2
    index = starts[:, None] + np.arange(span)
    inside = (index >= 0) & (index < len(values))
    return np.where(inside[..., None], values[np.clip(index, 0, len(values) - 1)], 0.0)


def likeness(envelopes: np.ndarray, seconds: int, span_s: float) -> np.ndarray:
    """Autocorrelations at `PERIODS_S`, blurred by as much as repetitions differ.

    Args:
      envelopes: [n, F]; products are added up over F.
      seconds: N.
      span_s: seconds of the envelopes that are looked at.

    Returns:
      [N, 20], at most about 1; the blurred value at each period over that at 0.
    """
    span = round(span_s * PER_S)
    lags = min(span - 1, round(LONGEST_LAG_S * PER_S))
    at_period, at_zero = _blurs(lags)
    # A part overlaps itself the less the later: what is missing is made up for.
    share = span / (span - np.arange(lags))
    found = []
    for first in range(0, seconds, BLOCK):
        block = np.arange(first, min(first + BLOCK, seconds))
        parts = around(envelopes, block, span_s)  # [N, m, F]
        parts = parts - parts.mean(1, keepdims=True)
        power = np.square(np.abs(scipy.fft.rfft(parts, 2 * span, axis=1))).sum(-1)
        products = scipy.fft.irfft(power, axis=1)[:, :lags] * share
        found.append(products @ at_period / np.maximum(products @ at_zero, SOFTEST))
    return np.concatenate(found)


@functools.cache
def _blurs(lags: int) -> tuple[np.ndarray, np.ndarray]:
    """What weighs an autocorrelation of so many lags around each period, and around 0."""
    signed = np.arange(1 - lags, lags)
    found = []
    for middles in (PERIODS_S * PER_S, 0 * PERIODS_S):
        # Blurring an envelope twice blurs its autocorrelation √2 times as widely.
        widths = np.sqrt(2) * np.maximum(LEAST_WIDTH, WIDTH * PERIODS_S * PER_S)
        bells = np.exp(-np.square((signed[:, None] - middles) / widths) / 2)
        folded = bells[lags - 1 :].copy()
        folded[1:] += bells[lags - 2 :: -1]
        found.append(folded)
    return found[0], found[1]


def log_odds(weights: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
    """The network: [N, C] of `features` to float64 [N]."""
    scaled = (inputs - weights["middle"]) / weights["scale"]
    hidden = np.tanh(scaled @ weights["kernel1"] + weights["bias1"])
    return (hidden @ weights["kernel2"] + weights["bias2"])[:, 0].astype(np.float64)


@functools.cache
def shipped() -> dict[str, np.ndarray]:
    """The weights that come with the package."""
    return safetensors.numpy.load_file(WEIGHTS)
