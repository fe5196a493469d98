"""What happens to bytes: flips, cuts, swaps, and numbers that lie."""

from collections.abc import Callable

import numpy as np

Damage = Callable[[np.random.Generator, bytes], bytes]

# What headers are made to claim.
LIES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def flip_bits(rng: np.random.Generator, data: bytes) -> bytes:
    """Flips up to 64 bits anywhere."""
    array = bytearray(data)
    for place in rng.integers(0, len(array), rng.integers(1, 65)):
        array[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(array)


def cut(rng: np.random.Generator, data: bytes) -> bytes:
    """Leaves out the end, the beginning or a part of the middle."""
    first, last = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    return (data[:first], data[last:], data[:first] + data[last:])[rng.integers(0, 3)]


def swap(rng: np.random.Generator, data: bytes) -> bytes:
    """Swaps two chunks of the same length."""
    size = int(rng.integers(1, max(2, len(data) // 8)))
    a, b = sorted(rng.integers(0, max(1, len(data) - size), 2).tolist())
    if b - a < size:
        return data
    chunks = (data[:a], data[b : b + size], data[a + size : b], data[a : a + size])
    return b"".join([*chunks, data[b + size :]])


def lie(rng: np.random.Generator, data: bytes) -> bytes:
    """Writes telling numbers of one to eight bytes, most of them near the beginning."""
    array = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        size = int(rng.choice([1, 2, 4, 8]))
        reach = min(len(array), 512) if rng.random() < 0.7 else len(array)
        place = int(rng.integers(0, max(1, reach - size)))
        value = int(rng.choice(LIES)) & ((1 << 8 * size) - 1)
        order = "big" if rng.random() < 0.5 else "little"
        array[place : place + size] = value.to_bytes(size, order)
    return bytes(array)


def repeat(rng: np.random.Generator, data: bytes) -> bytes:
    """Writes a part of it twice, or all of it."""
    first, last = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    return data + data[first:last] if rng.random() < 0.5 else data + data


DAMAGES: tuple[Damage, ...] = (flip_bits, cut, swap, lie, repeat)


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """One to three damages, one after the other."""
    for _ in range(rng.integers(1, 4)):
        if not data:
            break
        data = DAMAGES[rng.integers(0, len(DAMAGES))](rng, data)
    return data
