"""One run at a time in a workdir."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import IO

FILE = ".lock"


@contextlib.contextmanager
def locked(workdir: pathlib.Path) -> Iterator[None]:
    """Holds a workdir, which is made, for this process; the system lets go when it dies.

    Raises:
      ValueError: if another process holds it.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with open(workdir / FILE, "a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except OSError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ValueError(
                f"{workdir}: another run is at work here (process {owner})"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _lock(file: IO[str]) -> None:
    """Locks an open file until it is closed, or raises OSError at once."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
