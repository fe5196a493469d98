"""How many clips an encoder takes at once: as many as the device has memory for."""

import jax

# On accelerators, in falling order.
SIZES = (128, 32, 8, 2)
# Of a clip per pixel and frame: three arrays of the size of the first layer's output, 64 channels
# at half the width and height in float32, which are the largest of S3D and of R(2+1)D.
BYTES_PER_PIXEL = 3 * 16 * 4
# Of the free memory; two batches are in flight (`encode.IN_FLIGHT`), and the rest is for what the
# compiler keeps beside them.
SHARE = 0.3
UNKNOWN = 8 * 2**30  # bytes, where a device does not tell


def choose_batch_sizes(
    on_cpu: tuple[int, ...], frames: int, size: int
) -> tuple[int, ...]:
    """Batch sizes in falling order for clips of `frames` frames of `size` x `size` pixels.

    On CPU, where larger batches save nothing, they are those given.
    """
    if jax.default_backend() == "cpu":
        return on_cpu
    return fitting_sizes(frames * size * size * BYTES_PER_PIXEL, free_memory())


def free_memory() -> int:
    """Free bytes of this process's first device."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" not in stats:
        return UNKNOWN
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def fitting_sizes(clip_bytes: int, free: int) -> tuple[int, ...]:
    """Those of `SIZES` whose clips fit into a share of the free bytes; the smallest always."""
    fitting = tuple(size for size in SIZES if size * clip_bytes <= SHARE * free)
    return fitting or SIZES[-1:]
