"""ArrayRecord files: written whole, read record by record, and named when they are damaged."""

import dataclasses
import os
import pathlib
import threading
from collections.abc import Callable, Iterable

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy
from array_record.python.array_record_module import (
    ArrayRecordReader,
    ArrayRecordWriter,
)

ANEW = "delete the folder and run the command that made it again"
# One record per group: any of them is read without its neighbours. Higher levels of zstd gain
# nothing on pictures with grain, and level 1 reads back at half a gigabyte per second and more.
WRITER_OPTIONS = "group_size:1,zstd:1"
# For random access: nothing is read ahead.
READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
# Safetensors of numpy has no such type: its bits are kept, under a name that says so.
_BITS = ":bfloat16"


@dataclasses.dataclass(frozen=True)
class Company:
    """The processes that make a folder of records between them; all of them see it.

    Attributes:
      number: how many.
      index: of this one.
      wait: waits for all of them; told for what.
      first: what the first process says, in all of them.
      least: the least of what all say.
    """

    number: int
    index: int
    wait: Callable[[str], None]
    first: Callable[[bool], bool]
    least: Callable[[int], int] = int


ALONE = Company(1, 0, lambda name: None, bool)


def write_records(path: pathlib.Path, records: Iterable[bytes]) -> int:
    """Writes a file, one record in memory at a time.

    Args:
      path: of the file.
      records: in order.

    Returns:
      How many.

    Raises:
      OSError: if it cannot be written.
    """

    def act(function: Callable, *arguments: bytes) -> None:
        try:
            function(*arguments)
        except RuntimeError as error:
            raise OSError(f"{path}: cannot be written ({error})") from None

    number = 0
    writer = ArrayRecordWriter(str(path), WRITER_OPTIONS)
    try:
        for record in records:
            act(writer.write, record)
            number += 1
    finally:
        act(writer.close)
    return number


class RecordFile:
    """One file of records.

    Threads may share it; sent to another process, or in a forked one, it opens the file anew.

    Args:
      path: of the file.
      what: a record is called in messages.
    """

    def __init__(self, path: pathlib.Path, what: str):
        self.path, self._what = path, what
        self.close()

    def close(self) -> None:
        """Lets go of the file until it is read again."""
        self._reader, self._owner, self._lock = None, None, threading.Lock()

    def _open(self) -> ArrayRecordReader:
        with self._lock:
            # A forked process must not share the position in its parent's open file.
            if self._owner != os.getpid():
                if not self.path.is_file():
                    raise ValueError(f"{self.path}: is missing; {ANEW}")
                self._reader = ArrayRecordReader(str(self.path), READER_OPTIONS)
                self._owner = os.getpid()
                if not self._reader.ok():
                    self._owner = None
                    raise ValueError(
                        f"{self.path}: is damaged or was cut short; {ANEW}"
                    )
            return self._reader

    def __getstate__(self) -> dict:
        return {"path": self.path, "what": self._what}

    def __setstate__(self, state: dict) -> None:
        self.path, self._what = state["path"], state["what"]
        self.close()

    def __len__(self) -> int:
        """How many records it holds.

        Raises:
          ValueError: if it is missing or damaged.
        """
        return self._open().num_records()

    def read(self, place: int) -> bytes:
        """Reads one record.

        Raises:
          ValueError: if it is damaged, or the file missing.
        """
        reader = self._open()
        try:
            return reader.read([place])[0]
        except (RuntimeError, ValueError) as error:
            raise self.damaged(place, error) from None

    def damaged(self, place: int, error: Exception) -> ValueError:
        """The error of a record that cannot be understood."""
        return ValueError(f"{self.path}: {self._what} {place} is damaged ({error})")


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays by name as one record."""
    kept = {}
    for name, array in arrays.items():
        # Not `ascontiguousarray`, which gives a number an axis.
        array = np.asarray(array, order="C")
        if array.dtype == ml_dtypes.bfloat16:
            name, array = name + _BITS, array.view(np.uint16)
        kept[name] = array
    return safetensors.numpy.save(kept)


def unpack(record: bytes) -> dict[str, np.ndarray]:
    """What `pack` packed.

    Raises:
      ValueError: if the bytes are something else or were cut.
    """
    try:
        kept = safetensors.numpy.load(record)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"not a record of arrays ({error})") from None
    return {
        name.removesuffix(_BITS): array.view(ml_dtypes.bfloat16)
        if name.endswith(_BITS)
        else array
        for name, array in kept.items()
    }
