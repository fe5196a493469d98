"""A recording's mel bands, hours of it in constant memory, averaged over parts of frames."""

import tempfile

import numpy as np

from rac_jax.counting.programs import Kept
from rac_jax.models.compact import bands
from rac_jax.models.sight_sound.soundtrack import Soundtrack
from rac_jax.ops import mel, spectrogram

BLOCK_COLUMNS = 1024  # spectrogram columns per call


_log_mel = Kept(
    lambda windows: mel.log_mel(spectrogram.log_power(windows)), "mel columns"
)


class MelColumns:
    """Random access to the mel bands of a soundtrack; they lie in an unnamed temporary file.

    Args:
      track: the sound.
    """

    def __init__(self, track: Soundtrack):
        self._file = tempfile.TemporaryFile(prefix="rac_jax-mel-")  # noqa: SIM115 (__exit__)
        for first in range(0, track.columns, BLOCK_COLUMNS):
            columns = np.arange(first, first + BLOCK_COLUMNS)
            rows = np.asarray(_log_mel(track.windows(columns)), np.float32)
            self._file.write(rows[: track.columns - first].tobytes())
        self._file.flush()
        shape = (track.columns, mel.BANDS)
        self._columns = (
            np.memmap(self._file, np.float32, mode="r", shape=shape)
            if track.columns
            else np.zeros(shape, np.float32)
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def window(self, times_s: np.ndarray) -> np.ndarray:
        """The sound of consecutive frames.

        Args:
          times_s: float64 [T + 1] when each frame begins, and when the last one ends, in
            seconds from the first sample.

        Returns:
          float32 [T, 4, 32].
        """
        edges = bands.column_positions(bands.sub_frame_edges(times_s))
        first = int(np.clip(np.floor(edges[0]), 0, len(self._columns)))
        end = int(np.clip(np.ceil(edges[-1]) + 1, first, len(self._columns)))
        parts = bands.average_columns(self._columns[first:end], edges - first)
        return parts.reshape(len(times_s) - 1, bands.SUB_FRAMES, mel.BANDS)
