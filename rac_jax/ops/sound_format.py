"""The format of the log spectrograms that every sound network here was trained on.

`scipy.signal.spectrogram(y, 22050, nperseg=512, noverlap=353)` and the logarithm of that plus
1e-7: windows and overlap of the VGGSound audio encoder (Chen et al., 2020, there at 16 kHz), which
the paper on counting by sight and sound takes over (Zhang et al., CVPR 2021, section 3.2), at
the rate of its released code.
Column j sees the samples [HOP · j, HOP · j + WINDOW) and nothing else.

These numbers live here alone. Plain Python, so that workers and command lines can read them
without importing JAX.
"""

import functools

import numpy as np

RATE = 22050  # samples per second, mono
WINDOW = 512  # samples that one column sees, scipy's nperseg
OVERLAP = 353  # samples that neighbouring columns share, scipy's noverlap
HOP = WINDOW - OVERLAP  # samples from one column to the next
BINS = WINDOW // 2 + 1  # frequency rows, from 0 Hz to RATE / 2
COLUMNS_PER_S = RATE / HOP

# Columns from a column's first sample to the middle of its window, less half a column: at
# time t, t · COLUMNS_PER_S - CENTRE is the position at which column j stands for [j, j + 1).
CENTRE = WINDOW / 2 / HOP - 0.5

# scipy's default window is a Tukey window of which this share is tapered.
TAPER = 0.25

# Added to the power before the logarithm, as in the released code.
FLOOR = 1e-7

# Added to the standard deviation of a whole spectrogram when it is divided by it, as in the
# released code, so that digital silence stays finite.
STD_FLOOR = 1e-9

# Standard deviation of the log spectrogram under which there is no sound at all: what is left
# of digital silence is rounding, which standardising would blow up to a signal.
SILENCE = 1e-3


def column_count(samples: int) -> int:
    """Number of spectrogram columns of a waveform.

    Args:
      samples: its length, S.

    Returns:
      floor((max(S, WINDOW) - OVERLAP) / HOP): a waveform shorter than one window counts as
      zero-padded to one. No samples, no columns.
    """
    if samples <= 0:
        return 0
    return (max(samples, WINDOW) - OVERLAP) // HOP


@functools.cache
def analysis_window() -> np.ndarray:
    """The periodic Tukey window that each column is weighed by: float64 [WINDOW].

    It is shared by all callers and cannot be written to.
    """
    # scipy.signal takes long to import; a count with compiled programs does without it.
    import scipy.signal.windows

    window = scipy.signal.windows.tukey(WINDOW, TAPER, sym=False)
    window.flags.writeable = False
    return window
