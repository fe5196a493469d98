"""Devices as a mesh of two axes, and which tensor lies where.

`data` holds copies of the parameters, `fsdp` splits the large ones; the batch is split over
both. Batch statistics are global of themselves: under jit a mean over a sharded batch is the
mean over the whole batch.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXES = ("data", "fsdp")
BATCH = PartitionSpec(AXES)
REPLICATED = PartitionSpec()
# (pattern of the path, dimension to split over fsdp counted from the end). Kernels of
# convolutions and dense layers are split along their output channels; vectors are copied.
RULES = ((r"(^|/)kernel$", -1),)
LARGE = 2**14  # elements; smaller tensors cost more to gather than to keep


def make_mesh(
    data: int = -1, fsdp: int = 1, devices: Sequence[Any] | None = None
) -> Mesh:
    """Arranges devices.

    Args:
      data: size of the `data` axis, -1 for whatever is left.
      fsdp: size of the `fsdp` axis.
      devices: in the order of the mesh, row by row; by default all of the run, in the order
        that JAX finds best for how they are wired.

    Returns:
      The mesh. The devices of one process need not be next to each other in it.

    Raises:
      ValueError: if the sizes do not multiply to the number of devices.
    """
    number = jax.device_count() if devices is None else len(devices)
    if fsdp < 1 or number % fsdp:
        raise ValueError(f"mesh.fsdp: {fsdp} does not divide {number} devices")
    rest = number // fsdp
    if data not in (-1, rest):
        raise ValueError(
            f"mesh.data: {data} x fsdp {fsdp} is not the {number} devices there are"
        )
    shape, kinds = (rest, fsdp), (AxisType.Auto, AxisType.Auto)
    if devices is None:
        return jax.make_mesh(shape, AXES, axis_types=kinds)
    return Mesh(np.asarray(devices).reshape(shape), AXES, kinds)


def spec(path: str, shape: Sequence[int], fsdp: int) -> PartitionSpec:
    """Where one tensor lies.

    Args:
      path: joined with "/".
      shape: of the tensor.
      fsdp: size of that axis.

    Returns:
      Split by the first rule whose pattern is found in the path, if the tensor is large and
      its dimension divides; copied otherwise.
    """
    for pattern, dimension in RULES:
        if re.search(pattern, path):
            large = np.prod(shape, dtype=np.int64) >= LARGE
            if fsdp > 1 and large and shape[dimension] % fsdp == 0:
                axes = [None] * len(shape)
                axes[dimension] = "fsdp"
                return PartitionSpec(*axes)
            break
    return REPLICATED


def state_shardings(state: Any, mesh: Mesh) -> Any:
    """Shardings of a training state, leaf by leaf.

    Optimiser states and averages carry the paths of their parameters, so one table serves all.

    Args:
      state: tree of arrays or of shapes.
      mesh: the devices.

    Returns:
      The same tree of `NamedSharding`.
    """

    def of(path, leaf):
        name = "/".join(
            str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", ""))))
            for part in path
        )
        return NamedSharding(mesh, spec(name, leaf.shape, mesh.shape["fsdp"]))

    return jax.tree_util.tree_map_with_path(of, state)


def put(tree: Any, shardings: Any) -> Any:
    """Host arrays, the same in every process, as global arrays."""

    def one(leaf, sharding):
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(
            leaf.dtype, jax.dtypes.prng_key
        ):
            data = one(jax.random.key_data(leaf), sharding)
            return jax.random.wrap_key_data(data)
        if jax.process_count() == 1:
            return jax.device_put(leaf, sharding)
        host = np.asarray(leaf)
        return jax.make_array_from_callback(
            host.shape, sharding, lambda index: host[index]
        )

    return jax.tree.map(one, tree, shardings)


def local_rows(mesh: Mesh, batch: int) -> np.ndarray:
    """The rows of a global batch that this process has to supply.

    Args:
      mesh: the devices.
      batch: rows of the global batch.

    Returns:
      Their numbers, rising; they need not follow each other.

    Raises:
      ValueError: if the batch does not divide by the devices.
    """
    if batch % mesh.size:
        raise ValueError(f"batch {batch} does not divide by {mesh.size} devices")
    spans = NamedSharding(mesh, BATCH).addressable_devices_indices_map((batch,))
    rows = [np.arange(batch)[rows] for (rows,) in spans.values()]
    return np.unique(np.concatenate(rows))


def put_batch(batch: Any, mesh: Mesh, rows: np.ndarray, number: int) -> Any:
    """This process's rows as a global batch, split over all devices.

    Args:
      batch: tree of arrays, the rows of `rows` in their order.
      mesh: the devices.
      rows: of this process, as `local_rows` gives them.
      number: rows of the global batch.

    Returns:
      The tree of global arrays.
    """
    sharding = NamedSharding(mesh, BATCH)

    def put(local: np.ndarray) -> jax.Array:
        def part(index: tuple[slice, ...]) -> np.ndarray:
            first = np.searchsorted(rows, index[0].start or 0)
            return local[first : first + number // mesh.size]

        return jax.make_array_from_callback((number, *local.shape[1:]), sharding, part)

    return jax.tree.map(put, batch)


def own_rows(batch: Any) -> Any:
    """What lies on this process's devices of a batch that is split over all: host arrays.

    The rows are those of `local_rows`, in their order.
    """

    def of(leaf: jax.Array) -> np.ndarray:
        parts = {
            shard.index[0].start or 0: shard.data for shard in leaf.addressable_shards
        }
        return np.concatenate([np.asarray(parts[first]) for first in sorted(parts)])

    return jax.tree.map(of, batch)


def constrain_batch(mesh: Mesh) -> Callable[[Any], Any]:
    """For inside a jitted function: keeps what is batched split over all devices."""
    sharding = NamedSharding(mesh, BATCH)
    return lambda tree: jax.tree.map(
        lambda leaf: jax.lax.with_sharding_constraint(leaf, sharding), tree
    )


def to_host(tree: Any) -> Any:
    """Whole host arrays of a tree, in every process, however it is sharded."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)
