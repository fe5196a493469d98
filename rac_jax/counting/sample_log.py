"""The sound of one video on disk: appended to while it is heard, read at random, hours of it."""

import dataclasses
import mmap
import tempfile
import weakref

import numpy as np

BYTES = 4  # of a float32 sample
COPIED = 1 << 20  # samples copied at a time


class _Store:
    """An unnamed temporary file of float32 samples, closed with its last user."""

    def __init__(self):
        self._file = tempfile.TemporaryFile(prefix="rac_jax-sound-")  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self.samples = 0
        self._map: mmap.mmap | None = None
        self._mapped = 0

    def append(self, samples: np.ndarray) -> None:
        self.samples += len(samples)
        if samples.any():
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(samples, np.float32).tobytes())
            self._file.flush()
        else:
            # A hole: silence takes no room on the disk.
            self._file.truncate(self.samples * BYTES)

    def read(self, index: np.ndarray) -> np.ndarray:
        if self._mapped != self.samples:
            length = self.samples * BYTES
            # The one before is closed when nobody holds an array of it any more.
            self._map = mmap.mmap(self._file.fileno(), length, access=mmap.ACCESS_READ)
            self._mapped = self.samples
        samples = np.frombuffer(self._map, np.float32)[index]
        if hasattr(self._map, "madvise"):
            # Pages that were read stay resident otherwise, up to the whole recording.
            self._map.madvise(mmap.MADV_DONTNEED)
        return samples


@dataclasses.dataclass(frozen=True, eq=False)
class SampleLog:
    """Mono float32 samples. A value: `append` gives another log and leaves this one as it is.

    Logs that grew from one another share a file as far as they agree; what is appended to one
    that is not its file's latest goes to a copy.

    Attributes:
      samples: how many there are.
    """

    samples: int = 0
    _store: _Store | None = None

    def append(self, samples: np.ndarray) -> "SampleLog":
        """The log with samples [n] after its own."""
        if not len(samples):
            return self
        store = self._store
        if store is None or store.samples != self.samples:
            store = _Store()
            for first in range(0, self.samples, COPIED):
                last = min(first + COPIED, self.samples)
                store.append(self.read(np.arange(first, last)))
        store.append(samples)
        return SampleLog(self.samples + len(samples), store)

    def read(self, index: np.ndarray) -> np.ndarray:
        """Samples by number.

        Args:
          index: int [...]; past either end there is silence.

        Returns:
          float32 [...].
        """
        inside = (index >= 0) & (index < self.samples)
        if not self.samples:
            return np.zeros(np.shape(index), np.float32)
        found = self._store.read(np.clip(index, 0, self.samples - 1))
        return found if inside.all() else np.where(inside, found, np.float32(0))
