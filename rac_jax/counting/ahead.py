"""Working ahead: the next chunk is read, and the next file begun, while the model is at one."""

import collections
import concurrent.futures
import contextlib
import queue
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

from rac_jax import media

Item = TypeVar("Item")
Result = TypeVar("Result")
END = object()


def call_ahead(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    """Calls a function of every item, of each in a thread that begins while the last is at work.

    So the second file is opened and decoded while the first is counted, the third when the
    first has been asked for and dealt with; never more than two at once.

    Args:
      function: may be called from two threads at once.
      items: in order.

    Yields:
      (item, wait) in the same order; `wait()` returns the result or raises what the call raised.
    """
    begun: collections.deque = collections.deque()
    for item in items:
        future: concurrent.futures.Future = concurrent.futures.Future()
        # A daemon: whoever interrupts the program does not wait for the next file.
        thread = threading.Thread(
            target=_settle, args=(future, function, item), daemon=True
        )
        thread.start()
        begun.append((item, future.result))
        if len(begun) > 1:
            yield begun.popleft()
    yield from begun


def _settle(future: concurrent.futures.Future, function: Callable, item) -> None:
    try:
        future.set_result(function(item))
    except BaseException as error:  # noqa: BLE001, raised again by whoever waits
        future.set_exception(error)


def read_ahead(items: Iterable[Item], depth: int = 2) -> Generator[Item]:
    """Yields the items, which another thread takes from their source a few ahead.

    The thread begins at once, whether or not anybody has asked for an item yet.

    Args:
      items: taken in order; faults that their source reports go where the reader's would.
      depth: how many may wait.

    Returns:
      The items. An exception of the source is raised in its place. If the caller stops early
      the thread does too, and the source is closed, before `close` returns.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stopped = threading.Event()

    def put(item, error, faults) -> bool:
        seen, faults[:] = tuple(faults), ()
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put((item, error, seen), timeout=0.1)
                return True
        return False

    def work() -> None:
        source = iter(items)
        with media.collect_faults() as faults:
            try:
                for item in source:
                    if not put(item, None, faults):
                        break
                put(END, None, faults)
            except BaseException as error:  # noqa: BLE001, raised again by the reader
                put(END, error, faults)
            finally:
                close = getattr(source, "close", None)
                if close is not None:
                    close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    taken = _take(waiting, stopped, thread)
    # A generator that nobody has asked for anything does not run its `finally`.
    weakref.finalize(taken, stopped.set)
    return taken


def _take(waiting: queue.Queue, stopped: threading.Event, thread: threading.Thread):
    try:
        while True:
            item, error, faults = waiting.get()
            for fault in faults:
                media.pass_on_fault(fault)
            if error is not None:
                raise error
            if item is END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()
