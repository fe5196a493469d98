"""What a frozen encoder finds in the windows of a stage's batches, worked out once and stored.

A folder holds for each of the processes that made it `shard-00000-of-00002/`, with a file for every
`PART` batches: one record that says what the file is, then one per window, batch after batch, of
this process's rows. `index.json` is written last: a folder without it is gone on with, from the
last file that all processes have whole. Batch k is a function of k alone, so a folder that was
interrupted is the same as one that was not.
"""

import contextlib
import dataclasses
import json
import pathlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np

from rac_jax import drafts
from rac_jax.data.records import (
    ANEW,
    Company,
    RecordFile,
    pack,
    unpack,
    write_records,
)

SCHEMA = 1
PART = 8  # batches of a file
SHARD = "shard-{:05d}-of-{:05d}"
FILE = "{:06d}.array_record"
INDEX = "index.json"

HostBatch = dict[str, np.ndarray]
# (batches already stored) -> this process's rows of those that follow; closed at the end.
Batches = Callable[[int], Generator[HostBatch, None, None]]


@dataclasses.dataclass(frozen=True)
class _Part:
    """One file of one process.

    Attributes:
      path: of the file.
      key: of all that the features depend on.
      rows: numbers of a batch's rows that it has.
      first: number of its first batch.
      batches: how many it has.
    """

    path: pathlib.Path
    key: str
    rows: tuple[int, ...]
    first: int
    batches: int

    @property
    def header(self) -> dict[str, Any]:
        """What the first record says, as JSON."""
        return {
            "schema": SCHEMA,
            "key": self.key,
            "rows": list(self.rows),
            "first": self.first,
            "batches": self.batches,
        }

    def open(self) -> RecordFile:
        """The file, after a look at what it is.

        Raises:
          ValueError: if it is missing, cut, damaged or of something else.
        """
        file = RecordFile(self.path, "window")
        found = _header(file)
        for name, value in self.header.items():
            if found.get(name) != value:
                raise ValueError(
                    f"{self.path}: holds other features ({name} {found.get(name)!r}, "
                    f"wanted {value!r}); {ANEW}"
                )
        wanted = 1 + self.batches * len(self.rows)
        if len(file) != wanted:
            raise ValueError(
                f"{self.path}: holds {len(file)} records, not {wanted}; {ANEW}"
            )
        return file

    def write(self, batches: Iterator[HostBatch]) -> None:
        """Writes the next batches into the file, which appears whole or not at all.

        Raises:
          OSError: if it cannot be written.
        """

        def records() -> Iterator[bytes]:
            yield json.dumps(self.header).encode()
            for _ in range(self.batches):
                batch = next(batches)
                for place in range(len(self.rows)):
                    yield pack({name: leaf[place] for name, leaf in batch.items()})

        with drafts.draft_file(self.path) as draft:
            write_records(draft, records())


def _header(file: RecordFile) -> dict[str, Any]:
    """What a file says that it is.

    Raises:
      ValueError: if it does not say.
    """
    record = file.read(0)
    try:
        found = json.loads(record)
    except ValueError:  # no JSON, or no text
        found = None
    if isinstance(found, dict):
        return found
    raise ValueError(f"{file.path}: is no file of stored features; {ANEW}")


def _parts(
    folder: pathlib.Path, key: str, rows: Sequence[int], batches: int
) -> list[_Part]:
    """The files of one process, in order."""
    firsts = range(0, batches, PART)
    return [
        _Part(
            folder / FILE.format(number),
            key,
            tuple(int(row) for row in rows),
            first,
            min(PART, batches - first),
        )
        for number, first in enumerate(firsts)
    ]


def store(
    folder: pathlib.Path,
    key: str,
    number: int,
    rows: Sequence[int],
    batches: Batches,
    company: Company,
    progress: Callable[[int, int], None],
) -> None:
    """Stores batches, each process its rows, and goes on where an earlier call was interrupted.

    Args:
      folder: where they go; all processes see it.
      key: of all that the features depend on.
      number: of batches.
      rows: numbers of a batch's rows that this process has.
      batches: (batches already stored) -> this process's rows of those that follow, numbers and
        float32 or bfloat16 features by name, [rows, ...].
      company: the processes.
      progress: called with (batches stored, batches in all).

    Raises:
      ValueError: if a file that is there is damaged or of something else; it is named.
      OSError: if a file cannot be written.
      Whatever `batches` raises; what was stored remains.
    """
    shard = folder / SHARD.format(company.index, company.number)
    shard.mkdir(parents=True, exist_ok=True)
    parts = _parts(shard, key, rows, number)
    whole = 0
    while whole < len(parts) and parts[whole].path.exists():
        parts[whole].open()
        whole += 1
    # All of them work on one batch at a time: none may be ahead of another.
    whole = company.least(whole)
    left = parts[whole:]
    if left:
        with contextlib.closing(batches(left[0].first)) as coming:
            for part in left:
                part.write(coming)
                progress(part.first + part.batches, number)
    company.wait(f"shards of {folder.name}")
    if company.index == 0:
        first = [
            folder / SHARD.format(index, company.number) / FILE.format(0)
            for index in range(company.number)
        ]
        found = [_header(RecordFile(path, "window"))["rows"] for path in first]
        index = {"schema": SCHEMA, "key": key, "batches": number, "rows": found}
        with drafts.draft_file(folder / INDEX) as draft:
            draft.write_text(json.dumps(index), encoding="utf-8")
    company.wait(folder.name)


class StoredFeatures:
    """The batches of a folder of features.

    Args:
      folder: that `store` filled.
      key: of all that the features depend on.

    Attributes:
      batches: how many there are.

    Raises:
      ValueError: if a file is missing, damaged, cut or of something else; the message names it.
    """

    def __init__(self, folder: pathlib.Path, key: str):
        index = _read_index(folder / INDEX)
        if index["key"] != key:
            raise ValueError(
                f"{folder / INDEX}: is of other features (key {index['key']}, wanted {key})"
            )
        self.batches: int = index["batches"]
        number = len(index["rows"])
        self._parts = [
            _parts(folder / SHARD.format(shard, number), key, rows, self.batches)
            for shard, rows in enumerate(index["rows"])
        ]
        # Damage shows now rather than in the middle of a training run.
        for parts in self._parts:
            for part in parts:
                part.open()
        self._places = {
            row: (shard, place)
            for shard, rows in enumerate(index["rows"])
            for place, row in enumerate(rows)
        }
        # One file of each process is open at a time.
        self._files: dict[int, tuple[int, RecordFile]] = {}
        self._lock = threading.Lock()

    def read(self, number: int, rows: Sequence[int]) -> HostBatch:
        """Some rows of a batch.

        Args:
          number: of the batch; after the last one the first comes again.
          rows: their numbers.

        Returns:
          [rows, ...] by name, as they were stored.

        Raises:
          ValueError: if a record is damaged; the file is named.
        """
        with self._lock:
            windows = [self._window(number % self.batches, int(row)) for row in rows]
        return {name: np.stack([one[name] for one in windows]) for name in windows[0]}

    def _window(self, number: int, row: int) -> HostBatch:
        shard, place = self._places[row]
        which, within = divmod(number, PART)
        if self._files.get(shard, (-1,))[0] != which:
            self._files[shard] = which, self._parts[shard][which].open()
        file = self._files[shard][1]
        record = 1 + within * len(self._parts[shard][which].rows) + place
        data = file.read(record)
        try:
            return unpack(data)
        except ValueError as error:
            raise file.damaged(record, error) from None


def _read_index(path: pathlib.Path) -> dict[str, Any]:
    """What `index.json` says.

    Raises:
      ValueError: if it is missing, damaged or of another version.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        schema = found["schema"]
        if schema == SCHEMA:
            rows = [[int(row) for row in shard] for shard in found["rows"]]
            return {
                "key": str(found["key"]),
                "batches": int(found["batches"]),
                "rows": rows,
            }
    except FileNotFoundError:
        raise ValueError(f"{path}: is missing, no features are stored here") from None
    # What is no JSON or no text is a ValueError, too.
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: is damaged ({error}); {ANEW}") from None
    raise ValueError(f"{path}: is of schema {schema}, this version reads {SCHEMA}")
