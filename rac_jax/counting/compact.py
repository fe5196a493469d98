"""`CompactCounter`: counts with the compact family, window by window at several strides."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from rac_jax.counting import sets
from rac_jax.counting.counter import Counter
from rac_jax.counting.encode import plan_batches
from rac_jax.counting.mel_columns import MelColumns
from rac_jax.counting.periods import PeriodLine, Periods
from rac_jax.counting.result import SightCount, SoundCount, WindowCount
from rac_jax.counting.soundtrack import Soundtrack
from rac_jax.counting.source import Source
from rac_jax.counting.weights import ModelError
from rac_jax.data.windows import (
    WINDOW_FRAMES,
    Window,
    WindowAssembler,
    window_starts,
)

PROTOCOL = "compact"
CONFIG_FIELDS = ("strides", "rule", "reliability")
SOUND_FPS = 30.0  # frames per second of the grid when there is no picture
SHORTEST_LINE = 12  # strided frames under which a stride has nothing to say


def default_batch_sizes() -> tuple[int, ...]:
    """Batch sizes: without padding on CPU, larger on accelerators."""
    return (8, 1) if jax.default_backend() == "cpu" else (64,)


def reliability(weights: dict[str, float], sight: float, sound: float) -> float:
    """Weight of the sound, γ of Eq. 10, from the confidence of both streams.

    Args:
      weights: {"bias", "sight", "sound"} of a logistic function.
      sight: confidence of the sight stream, in [0, 1].
      sound: confidence of the sound stream, in [0, 1].

    Returns:
      γ in (0, 1).
    """
    logit = weights["bias"] + weights["sight"] * sight + weights["sound"] * sound
    return float(1 / (1 + np.exp(-logit)))


class StreamReader:
    """Runs one stream over windows of all strides and joins what comes out.

    Args:
      function: windows [B, ...] to `PeriodOutput`, jitted.
      strides: temporal strides.
      sizes: batch sizes in falling order.
    """

    def __init__(
        self, function: Callable, strides: tuple[int, ...], sizes: tuple[int, ...]
    ):
        self._function = function
        self._sizes = sizes
        self._lines = {stride: PeriodLine(stride) for stride in strides}
        self._waiting: list[tuple[tuple[int, int, int], np.ndarray]] = []
        self.cost = {"clips": 0, "calls": 0, "compiled": 0}
        self._shapes: set[int] = set()

    def add(self, stride: int, start: int, valid: int, window: np.ndarray) -> None:
        """Queues a window; windows of a stride come in order."""
        self._waiting.append(((stride, start, valid), window))
        if len(self._waiting) == self._sizes[0]:
            self._run(self._sizes[0])

    def _run(self, size: int) -> None:
        batch, self._waiting = self._waiting[:size], self._waiting[size:]
        windows = [window for _, window in batch]
        windows += [windows[-1]] * (size - len(batch))
        output = jax.device_get(self._function(np.stack(windows)))
        for row, ((stride, start, valid), _) in enumerate(batch):
            self._lines[stride].add(
                start, valid, output.periods[row], output.periodicity[row]
            )
        self._shapes.add(size)
        self.cost["clips"] += len(batch)
        self.cost["calls"] += 1
        self.cost["compiled"] = len(self._shapes)

    def finish(self) -> list[Periods]:
        """The lines of all strides that are long enough; at least the smallest stride's."""
        for size in plan_batches(len(self._waiting), self._sizes):
            self._run(size)
        lines = [line.finish() for _, line in sorted(self._lines.items())]
        return [x for x in lines if len(x.mass) >= SHORTEST_LINE] or lines[:1]


class CompactNetworks:
    """The streams of a compact model as jitted functions.

    Args:
      module: a `Compact` module.
      variables: its variables.
      preprocessing: the `preprocessing` of its `config.json`.
      batch_sizes: in falling order; None chooses by backend.
    """

    def __init__(
        self,
        module: nn.Module,
        variables: Any,
        preprocessing: dict[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self.size = int(preprocessing["size"])
        self.batch_sizes = batch_sizes or default_batch_sizes()
        variables = jax.device_put(variables)

        def stream(method):
            run = jax.jit(
                lambda variables, x: module.apply(variables, x, method=method)
            )
            return lambda windows: run(variables, windows)

        self.sight = stream("sight")
        self.sound = stream("sound")


class CompactCounter(Counter):
    """A compact model that counts repetitions in videos; see `Counter`.

    Args:
      module: the Flax module.
      variables: its variables.
      config: the model's `config.json`, with "strides", "rule" and "reliability".
      batch_sizes: in falling order; None chooses by backend.

    Raises:
      ModelError: if the config lacks one of these.
    """

    def __init__(
        self,
        module: nn.Module,
        variables: Any,
        config: dict[str, Any],
        *,
        batch_sizes: tuple[int, ...] | None = None,
    ):
        missing = [name for name in CONFIG_FIELDS if name not in config]
        if missing:
            raise ModelError(f"{config['name']}: its config.json lacks {missing[0]}")
        self.model = module
        self.variables = variables
        self.config = config
        self.networks = CompactNetworks(
            module, variables, config["preprocessing"], batch_sizes
        )

    def _protocol(self, protocol: str | None) -> str:
        if protocol not in (None, PROTOCOL):
            raise ValueError(
                f"protocol: {protocol!r} is not for models of the family compact"
            )
        return PROTOCOL

    def _strides(self, stride: int | None, max_stride: int | None) -> tuple[int, ...]:
        if stride is not None or max_stride is not None:
            super()._strides(stride, max_stride)  # raises what is out of range
        if stride is not None:
            return (stride,)
        known = self.config["strides"]
        return tuple(s for s in known if max_stride is None or s <= max_stride)

    def _measure(
        self, source, track, *, protocol, strides, seed, use_sight, progress
    ) -> tuple[SightCount | None, SoundCount | None, float | None, float, dict]:
        lines, times, end_s, cost = self.lines(
            source, track, strides=strides, use_sight=use_sight, progress=progress
        )
        readings = {name: self.read(part, times, end_s) for name, part in lines.items()}
        seen, heard = readings.get("sight"), readings.get("sound")
        gamma = None
        if seen and heard:
            gamma = reliability(
                self.config["reliability"], seen.confidence, heard.confidence
            )
        windows = {
            name: tuple(
                WindowCount(
                    float(times[part.first]),
                    float(times[part.end]) if part.end < len(times) else end_s,
                    part.count,
                )
                for part in reading.sets
            )
            for name, reading in readings.items()
        }
        return (
            seen
            and SightCount(
                seen.count, seen.stride, seen.stride_scores, windows["sight"]
            ),
            heard and SoundCount(heard.count, windows["sound"]),
            gamma,
            end_s,
            cost,
        )

    def lines(
        self,
        source: Source,
        track: Soundtrack,
        *,
        strides: tuple[int, ...],
        use_sight: bool,
        progress: Callable[[int], None],
    ) -> tuple[dict[str, list[Periods]], np.ndarray, float, dict]:
        """Runs the streams over a source.

        Args:
          source: frames are read from it once.
          track: its sound.
          strides: temporal strides.
          use_sight: whether to look at the picture.
          progress: called with the number of frames read since the last call.

        Returns:
          ({"sight", "sound"}: the lines of each stream there is, the times of the frames that
          they stand for [T] and their end in seconds of the file, what each stream cost).
        """
        sizes = self.networks.batch_sizes
        readers = {"sight": StreamReader(self.networks.sight, strides, sizes)}
        if track.columns:
            readers["sound"] = StreamReader(self.networks.sound, strides, sizes)
        times, end_s = np.zeros(0), 0.0
        with MelColumns(track) as columns:

            def listen(window: Window) -> None:
                if track.columns:
                    heard = columns.window(window.times_s - source.start_s)
                    readers["sound"].add(
                        window.stride, window.start, window.valid, heard
                    )

            if use_sight:
                times, end_s = _look(
                    source, strides, readers["sight"], listen, progress
                )
            if not len(times):
                del readers["sight"]
                if track.columns:
                    times, end_s = _listen_alone(source, track, strides, listen)
        lines = {name: reader.finish() for name, reader in readers.items()}
        cost = {name: reader.cost for name, reader in readers.items()}
        return lines, times, end_s, cost

    def read(
        self, lines: list[Periods], times: np.ndarray, end_s: float
    ) -> sets.Reading:
        """Counts one stream by the model's rule."""
        fps = len(times) / max(end_s - times[0], 1e-3)
        return sets.read(lines, len(times), fps, sets.Rule(**self.config["rule"]))


def _look(
    source: Source,
    strides: tuple[int, ...],
    sight: StreamReader,
    listen: Callable[[Window], None],
    progress: Callable[[int], None],
) -> tuple[np.ndarray, float]:
    """Reads the picture once; returns the times of its frames and its end, in seconds."""
    assembler, times = WindowAssembler(strides), [np.zeros(0)]

    def pass_on(windows: list[Window]) -> None:
        for window in windows:
            sight.add(window.stride, window.start, window.valid, window.frames)
            listen(window)

    for chunk in source.frames():
        pass_on(assembler.feed(chunk))
        times.append(chunk.times_s)
        progress(len(chunk.frames))
    pass_on(assembler.finish())
    return np.concatenate(times), assembler.end_s


def _listen_alone(
    source: Source,
    track: Soundtrack,
    strides: tuple[int, ...],
    listen: Callable[[Window], None],
) -> tuple[np.ndarray, float]:
    """Lays a grid of frames over the sound; returns their times and its end, in seconds."""
    frames = max(1, int(np.ceil(track.duration_s * SOUND_FPS)))
    nothing = np.zeros((WINDOW_FRAMES, 0, 0), np.uint8)
    for stride in strides:
        strided = -(-frames // stride)
        for start in window_starts(strided):
            edges = (start + np.arange(WINDOW_FRAMES + 1)) * stride / SOUND_FPS
            valid = min(WINDOW_FRAMES, strided - start)
            listen(Window(stride, start, valid, nothing, source.start_s + edges))
    times = source.start_s + np.arange(frames) / SOUND_FPS
    return times, source.start_s + track.duration_s
