"""Clips of an exercise recorded while somebody marks its repetitions with a key.

The key is pressed when a repetition begins and whenever one ends, which is where the next one
begins, until a break is told. What is recorded are videos at a steady rate and their marks in
seconds of these files, as `phase_tags` reads them.
"""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from rac_jax.counting.steady import SteadyFrames
from rac_jax.data.phase_tags import Marks, TaggedClip
from rac_jax.media.encode import VideoWriter

MARK, BREAK, NEXT, END = "mark", "break", "next", "end"
FPS = 25.0  # of the clips
WAIT_S = 0.1  # for a frame, and so the most that a key waits
# Marks that are closer are one key that was pressed twice; nobody repeats anything so fast.
LEAST_S = 0.2


class Frames(Protocol):
    """Where frames come from while they happen, see `rac_jax.media.live.LiveSource`."""

    @property
    def over(self) -> bool: ...

    def take(self, wait_s: float) -> tuple[np.ndarray, np.ndarray]: ...


def record(
    source: Frames,
    next_key: Callable[[], str | None],
    folder: pathlib.Path,
    told: Callable[[str], None],
) -> Iterator[TaggedClip]:
    """Records clips until the source or somebody ends it.

    Args:
      source: that is open.
      next_key: the next of the keys that were pressed, `MARK`, `BREAK`, `NEXT` or `END`, or
        None.
      folder: of the clips, which get names that are free.
      told: a line for whoever is recorded.

    Yields:
      Each clip when its file is complete.

    Raises:
      MediaError: if the source failed.
      OSError: if a file cannot be written.
    """
    key: str | None = None
    while key != END and not source.over:
        path = _free(folder)
        clip, key = _record_clip(path, source, next_key, told)
        if clip is not None:
            yield clip


def _free(folder: pathlib.Path) -> pathlib.Path:
    """The first name of a clip that is not there."""
    number = 1
    while (path := folder / f"clip{number:02d}.mp4").exists():
        number += 1
    return path


def _record_clip(
    path: pathlib.Path,
    source: Frames,
    next_key: Callable[[], str | None],
    told: Callable[[str], None],
) -> tuple[TaggedClip | None, str | None]:
    """(a clip, None if no frame came; the key that ended it, None for the source's end)."""
    steady, ticks_s = SteadyFrames(FPS), []
    marks: list[float | None] = []  # None for a break
    last_s, ended = 0.0, None
    with contextlib.ExitStack() as stack:
        writer = None
        while True:
            # What was pressed before there was a frame marks nothing.
            while ended is None and (key := next_key()) is not None:
                if key in (NEXT, END):
                    ended = key
                elif writer is not None:
                    marks.append(last_s if key == MARK else None)
                    number = len(cycles_of(marks, ticks_s))
                    told(f"{path.name}: {number} repetitions, {last_s:.1f} s")
            if ended is not None or source.over:
                break
            frames, times_s = source.take(WAIT_S)
            if not len(times_s):
                continue
            if writer is None:
                size = frames.shape[1:3]
                writer = stack.enter_context(VideoWriter(path, fps=FPS, size=size))
            steady, given, due_s = steady.feed(frames, times_s)
            if given:
                writer.write(np.stack(given))
            ticks_s += due_s
            last_s = float(times_s[-1])
        if writer is None:
            return None, ended
        given, due_s = steady.finish()
        if given:
            writer.write(np.stack(given))
            ticks_s += due_s
    return TaggedClip(str(path), cycles_of(marks, ticks_s)), ended


def cycles_of(
    marks: Sequence[float | None], ticks_s: Sequence[float]
) -> tuple[Marks, ...]:
    """Repetitions between the marks.

    Args:
      marks: in seconds of the source, rising; None for a break.
      ticks_s: of every frame of the clip, in seconds of the source.

    Returns:
      In seconds of the clip; it is not known when they turn round, so half-way.
    """
    found: list[Marks] = []
    begun_s: float | None = None
    for mark_s in marks:
        if mark_s is None:
            begun_s = None
            continue
        # Frames that the source left out are not in the clip.
        time_s = float(np.searchsorted(ticks_s, mark_s)) / FPS
        if begun_s is None:
            begun_s = time_s
        elif time_s - begun_s >= LEAST_S:
            found.append((begun_s, (begun_s + time_s) / 2, time_s))
            begun_s = time_s
    return tuple(found)
