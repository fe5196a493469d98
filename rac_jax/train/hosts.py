"""Several processes as one run."""

import logging
from collections.abc import Callable, Iterable, Sequence

import jax
import numpy as np

from rac_jax.data.records import Company

LOG = logging.getLogger("rac_jax.train")
FROM_ENVIRONMENT = -1


def start(coordinator: str | None, processes: int, process: int | None) -> None:
    """Joins the processes of a run; before anything touches a device.

    Args:
      coordinator: HOST:PORT of process 0.
      processes: how many there are, -1 to find everything out from the environment (TPU pods,
        SLURM, Open MPI).
      process: number of this one.

    Raises:
      ValueError: if the numbers do not fit.
    """
    if processes == FROM_ENVIRONMENT:
        jax.distributed.initialize()
    else:
        if coordinator is None or process is None or not 0 <= process < processes:
            raise ValueError(
                f"--num_processes={processes} needs --coordinator=HOST:PORT and "
                f"--process_id from 0 to {processes - 1}"
            )
        jax.distributed.initialize(coordinator, processes, process)
    LOG.info(
        "process %d of %d, %d of %d devices",
        jax.process_index(),
        jax.process_count(),
        jax.local_device_count(),
        jax.device_count(),
    )


def barrier(name: str) -> None:
    """Waits for all processes of the run."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def first_says(value: bool) -> bool:
    """What the first process of the run says, in all of them."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return bool(multihost_utils.broadcast_one_to_all(np.array(value)))


def least(value: int) -> int:
    """The least of what the processes of the run say, in all of them."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return int(multihost_utils.process_allgather(np.array(value)).min())


def company() -> Company:
    """The processes of the run, for what they write between them."""
    return Company(jax.process_count(), jax.process_index(), barrier, first_says, least)


def share_out(
    number: int, function: Callable[[Sequence[int]], Iterable[np.ndarray]]
) -> np.ndarray:
    """Rows that the processes of a run compute between them.

    Args:
      number: N, how many rows.
      function: numbers of rows to each one's float [K], the same K for all; called once, for
        this process's share.

    Returns:
      float64 [N, K], in every process; [0, 0] without rows.
    """
    processes, own = jax.process_count(), jax.process_index()
    if not number:
        return np.zeros((0, 0))
    # A process without a row of its own in the last round repeats another one's.
    rounds = -(-number // processes)
    mine = [min(k * processes + own, number - 1) for k in range(rounds)]
    rows = np.stack([np.asarray(row, np.float64) for row in function(mine)])
    if processes == 1:
        return rows
    from jax.experimental import multihost_utils

    # As bytes: gathering would round float64 to float32.
    packed = np.ascontiguousarray(rows).view(np.uint8)
    gathered = np.asarray(multihost_utils.process_allgather(packed))
    everything = np.ascontiguousarray(gathered).view(
        np.float64
    )  # [processes, rounds, K]
    return everything.swapaxes(0, 1).reshape(-1, rows.shape[1])[:number]
