"""Several processes as one run."""

import logging

import jax

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
