"""Name tables between our variables and PyTorch's, exact in both directions.

A table pairs every array of a network with one tensor of a checkpoint; it is made from the
network's own shapes, so it follows width and depth. Arrays are named by path: "params/" or
"batch_stats/", the groups and layers, and one of "kernel", "bias", "scale", "mean" and "var".
PyTorch keeps a counter with every batch normalisation, `num_batches_tracked`, which has no
meaning to us: ignored when read, 0 when written.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

COUNTER = "num_batches_tracked"
# Our names of a batch normalisation's arrays to PyTorch's.
NORM_NAMES = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


class TableError(ValueError):
    """A tensor that is missing, left over or misshapen: one line that names it."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One array here and one tensor there.

    Attributes:
      path: ours, "params/..." or "batch_stats/...".
      name: theirs.
      shape: ours.
    """

    path: str
    name: str
    shape: tuple[int, ...]

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """The tensor's shape: kernels are [out, in, taps...] there."""
        if not self._is_kernel:
            return self.shape
        return (self.shape[-1], self.shape[-2], *self.shape[:-2])

    @property
    def _is_kernel(self) -> bool:
        return self.path.endswith("/kernel")

    def to_jax(self, tensor: np.ndarray) -> np.ndarray:
        """The array of a tensor."""
        if not self._is_kernel:
            return tensor
        return np.ascontiguousarray(np.moveaxis(tensor, (1, 0), (-2, -1)))

    def to_torch(self, array: np.ndarray) -> np.ndarray:
        """The tensor of an array."""
        if not self._is_kernel:
            return array
        return np.ascontiguousarray(np.moveaxis(array, (-2, -1), (1, 0)))


@dataclasses.dataclass(frozen=True)
class Table:
    """All entries of one state dict.

    Attributes:
      entries: what is read and written.
      unused: tensors of the layout that nothing here needs, by name, with None where any size
        goes; they are checked, dropped, and written as zeros unless `optional`.
      optional: whether the unused tensors may be missing, and are not written.
    """

    entries: tuple[Entry, ...]
    unused: Mapping[str, tuple[int | None, ...]] = dataclasses.field(
        default_factory=dict
    )
    optional: bool = False

    def counters(self) -> set[str]:
        """Names of the batch counters."""
        mean = "." + NORM_NAMES["mean"]
        return {
            entry.name.removesuffix(mean) + "." + COUNTER
            for entry in self.entries
            if entry.name.endswith(mean)
        }

    def to_jax(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays by path of a state dict.

        Raises:
          TableError: naming the first tensor that is missing, left over, misshapen or not of
            floating point.
        """
        wanted = {entry.name: entry.torch_shape for entry in self.entries}
        counters = self.counters()
        for name in [*wanted, *(() if self.optional else self.unused)]:
            if name not in tensors:
                raise TableError(f"lacks the tensor {name}")
        for name in tensors:
            if name not in wanted and name not in self.unused and name not in counters:
                raise TableError(
                    f"holds the tensor {name}, which the model does not have"
                )
        for name, shape in [*wanted.items(), *self.unused.items()]:
            if name in tensors:
                _check_shape(name, tensors[name], shape)
        for name in wanted:
            if not np.issubdtype(tensors[name].dtype, np.floating):
                raise TableError(f"{name} is of type {tensors[name].dtype}, not float")
        return {
            entry.path: entry.to_jax(tensors[entry.name].astype(np.float32))
            for entry in self.entries
        }

    def to_torch(self, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The state dict of arrays by path; arrays of other tables are left alone.

        Raises:
          TableError: naming the first array that is missing or misshapen.
        """
        tensors = {}
        counters = self.counters()
        for entry in self.entries:
            if entry.path not in arrays:
                raise TableError(f"lacks the array {entry.path}")
            array = np.asarray(arrays[entry.path], np.float32)
            _check_shape(entry.path, array, entry.shape)
            tensors[entry.name] = entry.to_torch(array)
            # Right after the running variance, where PyTorch has it.
            counter = entry.name.rpartition(".")[0] + "." + COUNTER
            if entry.name.endswith("." + NORM_NAMES["var"]) and counter in counters:
                tensors[counter] = np.zeros((), np.int64)
        if not self.optional:
            for name, shape in self.unused.items():
                tensors[name] = np.zeros(shape, np.float32)
        return tensors


def _check_shape(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    fits = len(array.shape) == len(shape) and all(
        size in (None, have) for have, size in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise TableError(f"{name} is {list(array.shape)}, the model has [{wanted}]")


def layer_entries(
    shapes: Mapping[str, tuple[int, ...]],
    layer_name: Callable[[tuple[str, ...]], str],
    group: str = "",
    lead: str = "",
) -> tuple[Entry, ...]:
    """Entries of convolutions and batch normalisations, such as those of an encoder.

    Args:
      shapes: of a network's arrays by path.
      layer_name: the published name of a layer, given its path inside the group.
      group: where in the network: paths begin with it ("group/part/"); "" for all of it.
      lead: goes before every published name.

    Returns:
      The entries.
    """
    entries = []
    for path, shape in shapes.items():
        # Without "params" or "batch_stats".
        _, _, inner = path.partition("/")
        if inner.startswith(group):
            *parts, leaf = inner.removeprefix(group).split("/")
            leaf = "weight" if leaf == "kernel" else NORM_NAMES[leaf]
            name = f"{lead}{layer_name(tuple(parts))}.{leaf}"
            entries.append(Entry(path, name, shape))
    return tuple(entries)


def dense_entries(
    shapes: Mapping[str, tuple[int, ...]], path: str, name: str
) -> tuple[Entry, ...]:
    """The two entries of a fully connected layer, by its path here and its name there."""
    return tuple(
        Entry(
            f"params/{path}/{ours}", f"{name}.{theirs}", shapes[f"params/{path}/{ours}"]
        )
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
    )
