"""How a sound file is damaged: seeded changes of bytes, the same on every machine."""

import re

import numpy as np

# Where containers and tables keep numbers that others believe.
MARKS = re.compile(
    rb"mdhd|mvhd|tkhd|stts|stsz|stco|stsc|avih|strh|strf|fmt |data|RIFF|\x44\x89|[0-9]+"
)
LIES = (b"\0", b"\xff", b"\x7f", b"\x80")


def damaged(data: bytes, dice: np.random.Generator) -> bytes:
    """Damages a file in one to three ways.

    Args:
      data: of the sound file, at least one byte.
      dice: what to draw from.

    Returns:
      The damaged file; may be empty.
    """
    for _ in range(dice.integers(1, 4)):
        if not data:
            break
        change = CHANGES[dice.integers(len(CHANGES))]
        data = change(data, dice)
    return data


def _flip(data: bytes, dice: np.random.Generator) -> bytes:
    changed = np.frombuffer(data, np.uint8).copy()
    where = dice.integers(len(changed), size=dice.integers(1, 33))
    changed[where] ^= (1 << dice.integers(8, size=len(where))).astype(np.uint8)
    return changed.tobytes()


def _cut(data: bytes, dice: np.random.Generator) -> bytes:
    start, end = sorted(dice.integers(len(data) + 1, size=2))
    # The end of a file is missing more often than a piece of its middle.
    return data[:start] if dice.random() < 0.5 else data[:start] + data[end:]


def _swap(data: bytes, dice: np.random.Generator) -> bytes:
    first, second, third = sorted(dice.integers(len(data) + 1, size=3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def _lie(data: bytes, dice: np.random.Generator) -> bytes:
    marks = list(MARKS.finditer(data))
    if not marks:
        return _flip(data, dice)
    mark = marks[dice.integers(len(marks))]
    if mark.group().isdigit():
        number = (b"-1", b"0", b"1e400", b"nan", b"null", b'""', b"9" * 30)
        return (
            data[: mark.start()]
            + number[dice.integers(len(number))]
            + data[mark.end() :]
        )
    start = mark.end() + int(dice.integers(24))
    lie = LIES[dice.integers(len(LIES))] * int(dice.integers(1, 9))
    return data[:start] + lie + data[start + len(lie) :]


CHANGES = (_flip, _cut, _swap, _lie)
