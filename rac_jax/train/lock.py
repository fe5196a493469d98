"""One run at a time in a workdir."""

import contextlib
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import IO

FILE = ".lock"
# Windows locks bytes, and lets nobody else read them: one far behind what the file holds.
LOCKED_BYTE = 1 << 20

LOG = logging.getLogger("rac_jax.train")


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
        # What systems raise for a lock that another process has.
        except (BlockingIOError, PermissionError):
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ValueError(
                f"{workdir}: another run is at work here (process {owner})"
            ) from None
        except OSError as error:
            # Some network file systems have no locks: no reason not to train there.
            LOG.warning("%s: cannot be locked (%s)", workdir, error.strerror)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _lock(file: IO[str]) -> None:
    """Locks an open file until it is closed, or raises OSError at once."""
    if os.name == "nt":
        import msvcrt

        file.seek(LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
