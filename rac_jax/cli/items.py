"""Work on many items, of which one that fails is a record with a reason and not the end.

Every command that goes through files, rows or scenes asks `attempt`, so that what a file can do
wrong is said in one way and loses nothing of the others.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Result = TypeVar("Result")

# What a file, a disk, the memory or the numbers in a file can do. Errors of XLA, which are
# RuntimeErrors, are such a thing, too: a video may need more memory than a device has.
FAILURES = (ValueError, OSError, ArithmeticError, MemoryError, RuntimeError)


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM)."""

    code = 143


INTERRUPTED = 130  # the exit code after Ctrl-C
STOPPED = (INTERRUPTED, Terminated.code)


def exit_code(stop: KeyboardInterrupt) -> int:
    """What a command that was stopped returns."""
    return stop.code if isinstance(stop, Terminated) else INTERRUPTED


def attempt(name: str, call: Callable[[], Result]) -> tuple[Result | None, str | None]:
    """Calls a function that deals with one item.

    Args:
      name: of the item, which the reason begins with.
      call: deals with it.

    Returns:
      (what it returned, None), or (None, the reason in one line).
    """
    try:
        return call(), None
    except FAILURES as error:
        return None, describe(name, error)


def describe(name: str, error: Exception) -> str:
    """An error in one line that begins with the name of the item."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename not in (None, name) else ""
        text = where + error.strerror
    elif isinstance(error, MemoryError):
        text = "needs more memory than there is"
    else:
        text = str(error) or type(error).__name__
    text = " ".join(text.split())
    return text if text.startswith(name) else f"{name}: {text}"


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises `Terminated` meanwhile, so that it can be dealt with like Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
