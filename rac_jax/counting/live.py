"""Counting while it happens: frames of a stream go in, what is said of them comes out."""

import time
from typing import Any

import numpy as np

from rac_jax.counting.counter import Counter
from rac_jax.counting.estimator import Chunk, ReadAgain, SourceInfo
from rac_jax.counting.reading import Reading, StreamReader
from rac_jax.counting.result import CountResult
from rac_jax.counting.said import Said
from rac_jax.counting.source import NO_SAMPLES

READ_S = 0.25  # of frames from one reading to the next
DELAY_S = 0.5  # for which an increment may be taken back, unless told otherwise
FPS = 25.0  # of a stream that does not say

# Windows are run as soon as they are full, not in batches that wait for each other.
BATCH_SIZES = (1,)


def live_counter(counter: Counter) -> Counter:
    """The same model, for streams: nothing in it waits for a batch to fill."""
    return Counter(
        counter.family,
        counter.network,
        counter.variables,
        counter.config,
        batch_sizes=BATCH_SIZES,
    )


class LiveCount:
    """Counts one stream of frames, by sight.

    What is said depends on the frames alone, however they are cut into chunks, as long as every
    reading is taken; one that comes late may be left out (`feed`), and what the stream is
    concluded into is the same all the same: the result of a whole file with these frames.

    Args:
      counter: the model; see `live_counter`.
      name: of the stream.
      fps: its frames per second, about; 0 if it does not say.
      delay_s: for how long an increment may be taken back after it was said, in seconds.
      start_s: of its clock.
      **options: of the model's family.

    Attributes:
      said: what has been said so far.
      state: of the estimator; see `state_files`.
      frames: how many were fed.
      reading: the last one, None before the first.
      reading_s: how long the last reading took.

    Raises:
      ValueError: for an option that the family does not have, a value out of range, or a model
        that does not look at frames.
    """

    def __init__(
        self,
        counter: Counter,
        name: str,
        fps: float,
        *,
        delay_s: float = DELAY_S,
        start_s: float = 0.0,
        **options: Any,
    ):
        chosen = counter.options(**options)
        self.needs = counter.family.needs(counter.config, chosen).frames
        if self.needs is None:
            raise ValueError(
                f"{counter.config['name']}: does not look at frames, and a stream is "
                "counted by sight"
            )
        self._counter, self._name = counter, name
        self._info = SourceInfo(name, start_s, fps or FPS, True, False)
        self._every = max(1, round(READ_S * (fps or FPS)))
        self._reader = StreamReader(counter.estimator, counter.config["name"])
        self._began = time.perf_counter()
        self._last_s = start_s
        self.frames = 0
        self.reading: Reading | None = None
        self.reading_s = 0.0
        self.said = Said(delay_s, until_s=start_s)
        self.state = counter.estimator.start(self._info, chosen)

    def feed(
        self, frames: np.ndarray, times_s: np.ndarray, *, late: bool = False
    ) -> Said:
        """Counts on.

        Args:
          frames: uint8 [n, H, W, C] as `needs` says.
          times_s: float64 [n] rising, in seconds of the stream's clock.
          late: whether readings that were due in the middle of these frames are left out, and
            the last one taken only.

        Returns:
          What is said now.
        """
        before = 0
        due = range(
            self._every - self.frames % self._every, len(times_s) + 1, self._every
        )
        for place in due[-1:] if late else due:
            self._feed(frames[before:place], times_s[before:place])
            self._read()
            before = place
        self._feed(frames[before:], times_s[before:])
        return self.said

    def _feed(self, frames: np.ndarray, times_s: np.ndarray) -> None:
        if not len(times_s):
            return
        chunk = Chunk(frames, times_s, NO_SAMPLES)
        self.state, partial = self._counter.estimator.feed(self.state, chunk)
        self.frames += len(times_s)
        self._last_s = float(times_s[-1])
        self._reader.note(partial, self._last_s)

    def _read(self) -> None:
        began = time.perf_counter()
        self.state, self.reading = self._reader.read(
            self.state, self._info.start_s, self._last_s
        )
        self.said = self.said.hear(self.reading)
        self.reading_s = time.perf_counter() - began

    def finish(self, faults: tuple[str, ...] = ()) -> CountResult:
        """What a whole file with these frames would give; the stream may go on after it.

        Args:
          faults: of the stream, "<name>: <reason>" each.

        Raises:
          ValueError: of a family that reads a video twice.
        """
        found = self._counter.estimator.finish(self.state)
        if isinstance(found, ReadAgain):
            raise ValueError(  # noqa: TRY004, it is no argument's type
                f"{self._counter.config['name']}: reads a video twice, which a stream "
                "does not allow"
            )
        return self._counter.result(
            found,
            self._name,
            self._info.start_s,
            seconds=time.perf_counter() - self._began,
            faults=faults,
        )
