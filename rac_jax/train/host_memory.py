"""Memory of training steps on a CPU.

XLA asks for a step's whole memory anew each time, and the C library gives it back to the system
after the step: gigabytes that the system has to clear page by page, a tenth of a step's time and
more, and several times that on a virtual machine whose host takes back what is free.
"""

import ctypes
import logging
import platform

LOG = logging.getLogger("rac_jax.train")
# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_in_libc() -> bool:
    """Lets the first thread of this process keep the memory that it frees, where libc is glibc.

    Returns:
      Whether it does. The process then holds the most that it ever needed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(M_MMAP_MAX, 0) and libc.mallopt(M_TRIM_THRESHOLD, -1))


def keep_freed_memory() -> bool:
    """Lets a CPU's training steps keep the memory that they free, for the next step.

    To be called before JAX first uses a device: the CPU's steps then run in the thread that
    calls them, which has to be the process's first. Steps on other devices stay as they are.

    Returns:
      Whether the memory is kept.
    """
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    stays = jax.default_backend() == "cpu" and keep_in_libc()
    LOG.debug("memory that steps free %s", "stays" if stays else "is given back")
    return stays
