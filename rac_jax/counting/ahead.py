"""Reading ahead: what the next chunk needs of the CPU is done while the model works on this one."""

import contextlib
import contextvars
import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
END = object()


def read_ahead(items: Iterable[Item], depth: int = 2) -> Generator[Item]:
    """Yields the items, which another thread takes from their source a few ahead.

    Args:
      items: taken in order, in a copy of the caller's context (faults go where its would).
      depth: how many may wait.

    Yields:
      The items. An exception of the source is raised in its place. If the caller stops early
      the thread does too, and the source is closed, before `close` returns.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stopped = threading.Event()

    def put(item) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return True
        return False

    def work() -> None:
        source = iter(items)
        try:
            for item in source:
                if not put((item, None)):
                    break
            put((END, None))
        except BaseException as error:  # noqa: BLE001, raised again by the reader
            put((END, error))
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()
