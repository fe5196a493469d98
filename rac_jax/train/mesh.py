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

BATCH = PartitionSpec(("data", "fsdp"))
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
      devices: all of the run, by default.

    Returns:
      The mesh, with neighbouring devices on the `fsdp` axis.

    Raises:
      ValueError: if the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else list(devices)
    if fsdp < 1 or len(devices) % fsdp:
        raise ValueError(f"mesh.fsdp: {fsdp} does not divide {len(devices)} devices")
    rest = len(devices) // fsdp
    if data not in (-1, rest):
        raise ValueError(
            f"mesh.data: {data} x fsdp {fsdp} is not the {len(devices)} devices there are"
        )
    kinds = (AxisType.Auto, AxisType.Auto)
    return Mesh(np.asarray(devices).reshape(rest, fsdp), ("data", "fsdp"), kinds)


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


def local_rows(mesh: Mesh, batch: int) -> slice:
    """The rows of a global batch that this process has to supply.

    Raises:
      ValueError: if the batch does not divide by the devices.
    """
    if batch % mesh.size:
        raise ValueError(f"batch {batch} does not divide by {mesh.size} devices")
    sharding = NamedSharding(mesh, BATCH)
    spans = [
        index[0].indices(batch)[:2]
        for index in sharding.addressable_devices_indices_map((batch,)).values()
    ]
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    if last - first != len(set(spans)) * (batch // mesh.size):
        raise ValueError("mesh: the rows of one process are not next to each other")
    return slice(first, last)


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """This process's rows as a global batch, split over all devices."""
    sharding = NamedSharding(mesh, BATCH)
    return jax.tree.map(
        lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch
    )


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
