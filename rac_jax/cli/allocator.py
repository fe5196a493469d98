"""The C library's memory, kept for the next step.

An XLA:CPU program takes one large block for every run. The C library gives such a block back to
the system at once and fetches it anew, a page fault at a time: in a training step of an S3D up
to half of the time (two cores, Linux).
"""

import ctypes
import sys

# Of <malloc.h>.
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Has freed memory stay with this process; does nothing where the C library is not glibc.

    Only before the first thread: memory that another thread's arena holds is given back still.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(ARENA_MAX, 1)
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, -1)  # as a size: never
