"""A source counted live until somebody ends it, and what everybody who watches may know."""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rac_jax.counting.counter import Counter
from rac_jax.counting.live import DELAY_S, FPS, LiveCount
from rac_jax.counting.needs import FrameNeeds
from rac_jax.counting.reading import CausalEstimator
from rac_jax.counting.result import CountResult
from rac_jax.counting.said import Said
from rac_jax.counting.source import FrameLayout
from rac_jax.media.container import MediaError
from rac_jax.media.live import LATE_S, LiveSource, RateMeter


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A moment of a session.

    Attributes:
      said: what has been said since the start, or since the count was reset.
      source_fps: frames that come per second.
      model_fps: frames that are counted per second.
      frames: that came.
      drop_rate: share of them that were dropped, in [0, 1].
      reading_s: how long the last reading took.
      paused: whether counting rests.
      over: whether it has ended.
    """

    said: Said
    source_fps: float = 0.0
    model_fps: float = 0.0
    frames: int = 0
    drop_rate: float = 0.0
    reading_s: float = 0.0
    paused: bool = False
    over: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        said, going = self.said, self.said.open_set
        sets = [dataclasses.asdict(one) for one in said.sets]
        return {
            "time_s": round(said.until_s, 3),
            "count": said.count,
            "settled": said.settled,
            "resting": said.resting,
            "sets": sets + ([dataclasses.asdict(going)] if going else []),
            "durations_s": [round(one, 3) for one in said.durations_s],
            "source_fps": round(self.source_fps, 1),
            "model_fps": round(self.model_fps, 1),
            "frames": self.frames,
            "drop_rate": round(self.drop_rate, 4),
            "reading_s": round(self.reading_s, 3),
            "paused": self.paused,
            "over": self.over,
        }


Watcher = Callable[[Snapshot], None]


def prepare(counter: Counter, needs: FrameNeeds, fps: float) -> None:
    """Compiles what counting live will run, before there are frames that would be late."""
    if isinstance(counter.estimator, CausalEstimator):
        counter.estimator.prepare()
    live = LiveCount(counter, "nothing", fps)
    height, width = needs.size or (needs.short_side or 64,) * 2
    number = round(2 * (fps or FPS))
    channels = 1 if needs.colour == "grey" else 3
    frames = np.zeros((number, height, width, channels), np.uint8)
    live.feed(frames, np.arange(number) / (fps or FPS), late=True)
    live.finish()


class LiveSession:
    """Counts a source.

    `run` counts in the thread that calls it; `pause`, `reset` and `end` may be called from any.

    Args:
      counter: the model, see `live.live_counter`.
      source: "camera N", an address, a file or "lavfi:GRAPH".
      delay_s: see `said.Said`.
      late_s: after which a frame that was not counted is dropped, in seconds.
      picture: whether pictures are wanted to show.
      **options: of the model's family.

    Attributes:
      source: that is open; its `picture` is the newest one.
      result: of everything since the start or the last reset; None until it has ended.

    Raises:
      MediaError: if the source cannot be opened.
      ValueError: for an option or a model that cannot be.
    """

    def __init__(
        self,
        counter: Counter,
        source: str,
        *,
        delay_s: float = DELAY_S,
        late_s: float = LATE_S,
        picture: bool = False,
        **options: Any,
    ):
        self._counter, self._options, self._delay_s = counter, options, delay_s
        needs = LiveCount(counter, source, 0.0, delay_s=delay_s, **options).needs
        prepare(counter, needs, 0.0)
        self.source = LiveSource(
            source,
            size=needs.size,
            short_side=needs.short_side,
            aspect=needs.aspect,
            interpolation=needs.interpolation,
            most_fps=needs.most_fps,
            picture=picture,
            late_s=late_s,
        )
        self._layout = FrameLayout.of(needs, self.source.height, self.source.width)
        fps = self.source.fps
        self._fps = min(fps, needs.most_fps or fps)
        self._counted = RateMeter()
        self._paused, self._reset_wanted, self._end_wanted = False, False, False
        self._live = self._start(0.0)
        self._lock = threading.Lock()
        self.result: CountResult | None = None
        self.snapshot = Snapshot(self._live.said)

    def _start(self, start_s: float) -> LiveCount:
        return LiveCount(
            self._counter,
            self.source.name,
            self._fps,
            delay_s=self._delay_s,
            start_s=start_s,
            **self._options,
        )

    def pause(self, paused: bool | None = None) -> None:
        """Lets counting rest, or go on; None for the other of the two. Frames go by meanwhile."""
        with self._lock:
            self._paused = not self._paused if paused is None else paused

    def reset(self) -> None:
        """Begins anew at nothing."""
        self._reset_wanted = True

    def end(self) -> None:
        """Ends `run` after the frames that are there."""
        self._end_wanted = True

    def run(self, watch: Watcher) -> CountResult:
        """Counts until the source ends, or `end` is called.

        Args:
          watch: is called with every moment that differs, from this thread.

        Returns:
          The result, as that of a whole file with the frames that were counted.

        Raises:
          MediaError: if the source gave nothing to count.
        """
        began, failure = time.perf_counter(), None
        last_s = 0.0
        with self.source:
            while not (self._end_wanted or self.source.over):
                try:
                    frames, times_s = self.source.take()
                except MediaError as error:
                    failure = error
                    break
                if self._reset_wanted:
                    self._reset_wanted = False
                    self._live = self._start(last_s)
                    began = time.perf_counter()
                if len(times_s):
                    last_s = float(times_s[-1])
                    if not self._paused:
                        self._live.feed(self._layout.finish(frames), times_s, late=True)
                        self._counted.count(len(times_s))
                self._tell(watch, over=False)
        if failure is not None and not self._live.frames:
            raise failure
        if not self._live.frames:
            raise MediaError(f"{self.source.name}: gave no frame that was counted")
        faults = self.source.faults + ((str(failure),) if failure else ())
        result = self._live.finish(faults)
        self.result = dataclasses.replace(result, seconds=time.perf_counter() - began)
        self._tell(watch, over=True)
        return self.result

    def _tell(self, watch: Watcher, *, over: bool) -> None:
        said = self._live.said
        new = Snapshot(
            said.conclude(self.result.rounded) if over else said,
            self.source.rate.per_s,
            self._counted.per_s,
            self.source.frames,
            self.source.drop_rate,
            self._live.reading_s,
            self._paused,
            over,
        )
        if new != self.snapshot:
            self.snapshot = new
            watch(new)
