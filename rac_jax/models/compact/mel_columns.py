"""A recording's mel bands, computed while it is heard, and whether it is more than silence.

Columns are computed in blocks of one size, which begin at the same columns however the samples
arrive. Only those that a later window may still need are held.
"""

import copy
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.programs import CompiledProgram
from rac_jax.models.compact import bands
from rac_jax.ops import mel, sound_format, spectrogram

BLOCK_COLUMNS = 256  # computed at once, 1.8 s of sound
BLOCK_HOP = BLOCK_COLUMNS * sound_format.HOP  # samples from block to block
BLOCK_SAMPLES = BLOCK_HOP - sound_format.HOP + sound_format.WINDOW  # that a block sees


def _mel_block(
    samples: jax.Array, valid: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mel bands of a block of columns, and sums for the deviation of the log spectrogram.

    Args:
      samples: [BLOCK_SAMPLES].
      valid: how many of the columns are real, at least 1.

    Returns:
      (log power in mel bands [BLOCK_COLUMNS, 32]; sum of the log spectrogram over the real
      columns; sum of its squares about their mean).
    """
    power = spectrogram.log_spectrogram(samples).T  # [n, F]
    real = (jnp.arange(BLOCK_COLUMNS) < valid)[:, None]  # [n, 1]
    total = jnp.sum(power, where=real)
    mean = total / (valid * sound_format.BINS)
    around = jnp.sum(jnp.square(power - mean), where=real)
    return mel.log_mel(power), total, around


_compute_block = CompiledProgram(_mel_block, "mel block")


class MelColumns:
    """The mel bands of a mono recording at 22050 Hz, from its samples as they come.

    Attributes:
      samples: how many were heard.
      available: columns that are computed, from the first one on.
    """

    def __init__(self):
        self.samples = 0
        self.available = 0
        self._first = 0  # column at which those that are held begin
        self._rows: list[np.ndarray] = []
        self._waiting: list[np.ndarray] = []  # samples that no block is made of yet,
        self._waits = 0  # how many
        # Mean of the log spectrogram so far and sum of squares about it, of so many values.
        self._mean, self._squares, self._values = 0.0, 0.0, 0

    def copy(self) -> "MelColumns":
        """One that goes on by itself from here; samples and columns are shared, not copied."""
        twin = copy.copy(self)
        twin._rows, twin._waiting = list(self._rows), list(self._waiting)
        return twin

    @property
    def duration_s(self) -> float:
        """Seconds that were heard."""
        return self.samples / sound_format.RATE

    @property
    def held(self) -> int:
        """How many columns are in memory."""
        return self.available - self._first

    @property
    def audible(self) -> bool:
        """Whether what is computed so far is more than digital silence.

        That has no deviation but rounding errors.
        """
        if not self._values:
            return False
        return math.sqrt(self._squares / self._values) > sound_format.SILENCE

    def feed(self, samples: np.ndarray) -> None:
        """Hears samples float32 [n], which follow those before."""
        if not len(samples):
            return
        self.samples += len(samples)
        self._waiting.append(np.asarray(samples, np.float32))
        self._waits += len(samples)
        if self._waits < BLOCK_SAMPLES:
            return
        heard = np.concatenate(self._waiting)
        first = 0
        while len(heard) - first >= BLOCK_SAMPLES:
            self._compute(heard[first : first + BLOCK_SAMPLES], BLOCK_COLUMNS)
            first += BLOCK_HOP
        # A copy, so that the block's samples are not held by what is left of them.
        rest = heard[first:].copy()
        self._waiting, self._waits = [rest], len(rest)

    def finish(self) -> None:
        """Computes the last columns, of what is left; nothing is to be heard afterwards."""
        columns = sound_format.column_count(self.samples) - self.available
        if columns > 0:
            heard = np.concatenate(self._waiting)[:BLOCK_SAMPLES]
            room = BLOCK_SAMPLES - len(heard)
            self._compute(np.pad(heard, (0, room)), columns)

    def _compute(self, samples: np.ndarray, columns: int) -> None:
        rows, total, around = jax.device_get(
            _compute_block(samples, np.asarray(columns, np.float32))
        )
        self._rows.append(rows[:columns])
        self.available += columns
        # Chan's parallel update keeps hours of float32 sums exact enough.
        values = columns * sound_format.BINS
        gap, together = float(total) / values - self._mean, self._values + values
        self._squares += float(around) + gap**2 * self._values * values / together
        self._mean += gap * values / together
        self._values = together

    def has(self, times_s: np.ndarray) -> bool:
        """Whether all is computed that `window` of these times wants of any longer recording."""
        end = bands.column_positions(times_s[-1])
        return int(np.ceil(end)) + 1 <= self.available

    def window(self, times_s: np.ndarray) -> np.ndarray:
        """The sound of consecutive frames.

        Args:
          times_s: float64 [T + 1] when each frame begins, and when the last one ends, in
            seconds from the first sample.

        Returns:
          float32 [T, 4, 32].

        Raises:
          ValueError: if it begins before what is held.
        """
        edges = bands.column_positions(bands.sub_frame_edges(times_s))
        first = int(np.clip(np.floor(edges[0]), 0, self.available))
        end = int(np.clip(np.ceil(edges[-1]) + 1, first, self.available))
        if first < self._first:
            raise ValueError(f"column {first} is gone, {self._first} is the first held")
        parts = bands.average_columns(self._columns(first, end), edges - first)
        return parts.reshape(len(times_s) - 1, bands.SUB_FRAMES, mel.BANDS)

    def _columns(self, first: int, end: int) -> np.ndarray:
        """Columns that are held, [end - first, 32]."""
        if not self._rows:
            return np.zeros((0, mel.BANDS), np.float32)
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        return self._rows[0][first - self._first : end - self._first]

    def forget(self, times_s: Iterable[float]) -> None:
        """Drops the columns before the earliest of the times from which windows may begin."""
        earliest = bands.column_positions(min(times_s))
        first = int(np.clip(np.floor(earliest), self._first, self.available))
        # Whole blocks at a time: every drop copies what stays.
        if first - self._first >= BLOCK_COLUMNS:
            self._rows = [self._columns(first, self.available).copy()]
            self._first = first
