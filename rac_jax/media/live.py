"""`LiveSource`: the newest frames of a camera, a stream or a file that plays at its own pace.

A thread takes what the worker decodes. What is not asked for in time is dropped and counted, never
queued: whoever counts slowly counts fewer frames, not older ones.
"""

import collections
import dataclasses
import threading
import time
from typing import Self

import numpy as np

from rac_jax.media.container import MediaError, collect_faults
from rac_jax.media.frames import check_frames
from rac_jax.media.isolation import answers

LATE_S = 1.0  # after which a frame that nobody took is dropped, unless told otherwise
RATED_S = 5.0  # over which the rates of frames are averaged


class RateMeter:
    """How often something happens, per second, over the last `RATED_S`."""

    def __init__(self):
        self._times: collections.deque[float] = collections.deque()

    def count(self, number: int = 1) -> None:
        """Notes that it happened so often now."""
        self._times.extend([time.monotonic()] * number)

    @property
    def per_s(self) -> float:
        """The rate now; 0 before there are two."""
        now = time.monotonic()
        while self._times and now - self._times[0] > RATED_S:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        span_s = now - self._times[0]
        return len(self._times) / span_s if span_s > 0 else 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """What is shown of a source.

    Attributes:
      number: from 1 on, in order.
      jpeg: a file.
    """

    number: int
    jpeg: bytes


class LiveSource:
    """Frames as they come; use as a context, which ends its thread and its worker.

    Args:
      source: "camera N", an address, a file, or "lavfi:GRAPH" of FFmpeg's.
      size, short_side, aspect: see `pixels.fitted_size`.
      interpolation, most_fps: see `stream_frames`.
      picture: whether pictures are wanted, too.
      late_s: after which a frame that nobody took is dropped, in seconds.

    Attributes:
      name: the source.
      fps: frames per second as it says, 0.0 if it does not.
      height, width: of its picture as shown.
      frames: decoded so far, dropped ones as well.
      dropped: of these.
      rate: how many come per second.
      faults: what is wrong with it, "<name>: <reason>" each.

    Raises:
      MediaError: if it cannot be opened, or gives no frame.
    """

    def __init__(
        self,
        source: str,
        *,
        size: tuple[int, int] | None = None,
        short_side: int | None = None,
        aspect: str = "stretch",
        interpolation: str = "area",
        most_fps: float | None = None,
        picture: bool = False,
        late_s: float = LATE_S,
    ):
        self.name = source
        self.fps, self.height, self.width = 0.0, 0, 0
        self.frames = self.dropped = 0
        self.rate = RateMeter()
        self.faults: tuple[str, ...] = ()
        self._request = {
            "do": "live",
            "size": check_frames(size, interpolation, 0.0, None, 1, most_fps),
            "short_side": short_side,
            "aspect": aspect,
            "interpolation": interpolation,
            "most_fps": most_fps,
            "picture": picture,
            "late_s": late_s,
        }
        self._late_s = late_s
        self._left_out = 0
        self._waiting: collections.deque = collections.deque()  # (since, frame, time_s)
        self._picture: Picture | None = None
        self._error: MediaError | None = None
        self._over = self._stopped = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        with self._news:
            self._news.wait_for(lambda: self.height or self._over)
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        self._stopped = True
        self._thread.join()

    @property
    def over(self) -> bool:
        """Whether it has ended and all of its frames were taken or dropped."""
        with self._news:
            return self._over and not self._waiting

    @property
    def picture(self) -> Picture | None:
        """The newest picture."""
        return self._picture

    @property
    def drop_rate(self) -> float:
        """Share of the frames that were dropped, in [0, 1]."""
        return self.dropped / self.frames if self.frames else 0.0

    def take(self, wait_s: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
        """The frames that came since they were taken last, without those that are late by now.

        Args:
          wait_s: how long to wait for one.

        Returns:
          (uint8 [n, H, W, 3], float64 [n] seconds after the first frame); n may be 0.

        Raises:
          MediaError: if the source failed, after its last frames were taken.
        """
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._over, wait_s)
            late = time.monotonic() - self._late_s
            while self._waiting and self._waiting[0][0] < late:
                self._waiting.popleft()
                self.dropped += 1
            taken = list(self._waiting)
            self._waiting.clear()
            if not taken and self._error is not None:
                raise self._error
        if not taken:
            return np.zeros((0, 0, 0, 3), np.uint8), np.zeros(0)
        return (
            np.stack([frame for _, frame, _ in taken]),
            np.array([time_s for _, _, time_s in taken]),
        )

    def _run(self) -> None:
        with collect_faults() as faults:
            messages = answers(self.name, self._request)
            try:
                for header, payload in messages:
                    if self._stopped:
                        break
                    self._receive(header, payload)
            except MediaError as error:
                self._error = error
            finally:
                messages.close()
            with self._news:
                self.faults = tuple(faults)
                self._over = True
                self._news.notify_all()

    def _receive(self, header: dict, payload: bytearray) -> None:
        with self._news:
            if header["kind"] == "source":
                self.fps = header["fps"]
                self.height, self.width = header["height"], header["width"]
                self._news.notify_all()
                return
            size = int(np.prod(header["shape"]))
            frame = np.frombuffer(payload, np.uint8, size).reshape(header["shape"])
            if header["picture"]:
                number = self._picture.number + 1 if self._picture else 1
                self._picture = Picture(number, bytes(payload[size:]))
            more = header["left_out"] - self._left_out
            self._left_out = header["left_out"]
            self.frames += 1 + more
            self.dropped += more
            self.rate.count()
            # Late ones go, also while nobody asks.
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] < now - self._late_s:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((now, frame, header["time_s"]))
            self._news.notify_all()
