"""Running encoders over clips in batches of a few fixed sizes, each distinct clip once."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import numpy as np

# A full batch in flight while the next one is decoded; more would only hold memory.
IN_FLIGHT = 2


def plan_batches(items: int, sizes: Sequence[int]) -> list[int]:
    """Splits `items` into batches of the given sizes, the largest first.

    Args:
      items: how many, at least 0.
      sizes: allowed batch sizes, in falling order; only the last batch may be partly filled,
        and only if the smallest size is above 1.

    Returns:
      The sizes of the batches, in order.
    """
    plan = []
    for size in sizes:
        full, items = divmod(items, size)
        plan += [size] * full
    return plan + [sizes[-1]] * (items > 0)


class BatchEncoder:
    """Feeds items to a jitted function in fixed batch sizes and keeps its outputs as rows.

    Items are known by a key: one that was added before is not computed again. It changes as it
    is used; who needs it as it was, such as a state of an estimator, works on a `copy`.

    Args:
      name: for the log.
      function: called with the arrays that `prepare` returns, each with the batch as leading
        axis; returns a pytree of arrays with the same leading axis.
      prepare: turns a list of items into those arrays.
      sizes: batch sizes in falling order.

    Attributes:
      calls: how often the function ran.
      shapes: the batch sizes that were used, one compilation each.
    """

    def __init__(
        self, name: str, function: Callable, prepare: Callable, sizes: Sequence[int]
    ):
        self.name = name
        self.calls = 0
        self.shapes: set[int] = set()
        self._function = function
        self._prepare = prepare
        self._sizes = sizes
        self._rows: dict[Hashable, int] = {}
        self._waiting: list[Any] = []
        self._flying: list[tuple[int, Any]] = []
        self._landed: list[Any] = []

    def copy(self) -> "BatchEncoder":
        """One that goes on by itself from here; items and outputs so far are shared, not copied."""
        twin = BatchEncoder(self.name, self._function, self._prepare, self._sizes)
        twin.calls, twin.shapes = self.calls, set(self.shapes)
        twin._rows = dict(self._rows)
        twin._waiting = list(self._waiting)
        twin._flying, twin._landed = list(self._flying), list(self._landed)
        return twin

    def add(self, key: Hashable, item: Any) -> None:
        """Queues an item; runs a batch as soon as the largest size is full."""
        if key in self._rows:
            return
        self._rows[key] = len(self._rows)
        self._waiting.append(item)
        if len(self._waiting) == self._sizes[0]:
            self._run(self._sizes[0])

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._rows

    def flush(self) -> None:
        """Runs what is still queued."""
        for size in plan_batches(len(self._waiting), self._sizes):
            self._run(size)

    def _run(self, size: int) -> None:
        items, self._waiting = self._waiting[:size], self._waiting[size:]
        filled = len(items)
        items += [items[-1]] * (size - filled)
        self._flying.append((filled, self._function(*self._prepare(items))))
        self.calls += 1
        self.shapes.add(size)
        while len(self._flying) > IN_FLIGHT:
            self._land()

    def _land(self) -> None:
        filled, output = self._flying.pop(0)
        self._landed.append(
            jax.tree.map(lambda leaf: np.asarray(leaf)[:filled], output)
        )

    def rows(self, keys: Sequence[Hashable]) -> Any:
        """The outputs of the given keys, in that order, as one pytree of numpy arrays."""
        self.flush()
        while self._flying:
            self._land()
        if len(self._landed) > 1:
            self._landed = [
                jax.tree.map(lambda *parts: np.concatenate(parts), *self._landed)
            ]
        index = np.array([self._rows[key] for key in keys])
        return jax.tree.map(lambda leaf: leaf[index], self._landed[0])


def map_rows(function: Callable, size: int, *rows: Any) -> np.ndarray:
    """Applies a jitted function to rows in padded batches of one size.

    Args:
      function: takes pytrees with a leading axis of `size`, returns an array [size].
      size: the batch size, one compilation.
      *rows: pytrees of numpy arrays with the same leading axis.

    Returns:
      [N] the function's values.
    """
    count = len(jax.tree.leaves(rows)[0])
    values = []
    for first in range(0, count, size):
        index = np.minimum(np.arange(first, first + size), count - 1)
        part = function(*jax.tree.map(lambda leaf, index=index: leaf[index], rows))
        values.append(np.asarray(part)[: count - first])
    return np.concatenate(values)
