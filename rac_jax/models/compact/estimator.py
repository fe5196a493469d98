"""`CompactCounter`: counts with the compact family, window by window at several strides."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from rac_jax.counting.batch_sizes import choose_batch_sizes
from rac_jax.counting.batching import plan_batches
from rac_jax.counting.counter import Counter
from rac_jax.counting.programs import Kept
from rac_jax.counting.result import (
    Measured,
    RepetitionSet,
    SightCount,
    SoundCount,
    WindowCount,
)
from rac_jax.counting.source import Source
from rac_jax.counting.weights import ModelError
from rac_jax.media import FrameChunk
from rac_jax.models.compact import decoder as sets
from rac_jax.models.compact import posteriors as periods
from rac_jax.models.compact.mel_columns import MelColumns
from rac_jax.models.compact.network import STRIDES, Reading
from rac_jax.models.compact.windows import (
    WINDOW_FRAMES,
    Window,
    WindowAssembler,
    window_starts,
)
from rac_jax.models.sight_sound.soundtrack import Soundtrack

PROTOCOL = "compact"
CONFIG_FIELDS = ("rule", "confidence")
SOUND_FPS = 30.0  # frames per second of the grid when there is no picture
MOST_FPS = (
    45.0  # of a picture; of faster ones only every second frame is seen, or fewer
)
SHORTEST_LINE = 12  # strided frames under which a stride has nothing to say
BLOCK_INSTANTS = 256  # read at once, with a margin on both sides
MARGIN_INSTANTS = 64  # more than the reader sees to one side


@dataclasses.dataclass(frozen=True)
class Lines:
    """What the streams say of a source.

    Attributes:
      sight: stride to [n, 29] of `periods.PeriodLine`, or None without a picture.
      sound: likewise, or None without sound.
      times: float64 [T] when each frame begins, in seconds of the file.
      end_s: when the last one ends.
      cost: per stream what its encoder did.
    """

    sight: dict[int, np.ndarray] | None
    sound: dict[int, np.ndarray] | None
    times: np.ndarray
    end_s: float
    cost: dict[str, dict[str, int]]


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
        self._lines = {stride: periods.PeriodLine() for stride in strides}
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

    def finish(self) -> dict[int, np.ndarray]:
        """The lines of all strides that are long enough; at least the smallest stride's."""
        for size in plan_batches(len(self._waiting), self._sizes):
            self._run(size)
        lines = {stride: line.finish() for stride, line in sorted(self._lines.items())}
        least = min(lines)
        return {
            stride: line
            for stride, line in lines.items()
            if stride == least or len(line) >= SHORTEST_LINE
        }


class CompactNetworks:
    """The streams of a compact model as jitted functions.

    Args:
      module: a `Compact` module.
      variables: its variables.
      preprocessing: the `preprocessing` of its `config.json`.
      batch_sizes: in falling order; None chooses by the device's memory.
    """

    def __init__(
        self,
        module: nn.Module,
        variables: Any,
        preprocessing: dict[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self.size = int(preprocessing["size"])
        self.batch_sizes = batch_sizes or choose_batch_sizes(
            (8, 1), WINDOW_FRAMES, self.size
        )
        variables = jax.device_put(variables)

        def program(method):
            apply = functools.partial(module.apply, method=method)
            return functools.partial(Kept(apply, module, method), variables)

        self.sight = program("sight")
        self.sound = program("sound")
        self._read = program("read")

    def read(self, lines: Lines) -> Reading:
        """The distributions at every instant, read block by block.

        Args:
          lines: of both streams, or of one.

        Returns:
          Arrays [G, 55], and [G] for `gamma`.
        """
        number, parts = periods.instants(len(lines.times)), []
        for first in range(0, number, BLOCK_INSTANTS):
            low = max(0, first - MARGIN_INSTANTS)
            high = min(number, first + BLOCK_INSTANTS + MARGIN_INSTANTS)
            evidence = [
                None if part is None else self._evidence(part, low, high)
                for part in (lines.sight, lines.sound)
            ]
            found = self.read_evidence(*evidence)
            own = slice(first - low, min(first + BLOCK_INSTANTS, number) - low)
            parts.append(jax.tree.map(lambda leaf, own=own: leaf[0, own], found))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    def read_evidence(
        self, sight: np.ndarray | None, sound: np.ndarray | None
    ) -> Reading:
        """Reads evidence [B, G, 54, 2 S], see `Compact.read`; arrays on the host."""
        return jax.device_get(self._read(sight, sound))

    @staticmethod
    def _evidence(part: dict[int, np.ndarray], low: int, high: int) -> np.ndarray:
        """Evidence of instants, padded to one of few lengths. [1, G', 54, 2 S]"""
        found = periods.stack_evidence(part, low, high - low)
        room = -len(found) % MARGIN_INSTANTS
        return np.pad(found, ((0, room), (0, 0), (0, 0)))[None]


class CompactCounter(Counter):
    """A compact model that counts repetitions in videos; see `Counter`.

    Args:
      module: the Flax module.
      variables: its variables.
      config: the model's `config.json`, with "rule" (see `sets.Rule`) and "confidence".
      batch_sizes: in falling order; None chooses by the device's memory.

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
        if stride is not None and stride not in STRIDES:
            known = ", ".join(map(str, STRIDES))
            raise ValueError(
                f"stride: {stride} is not one of those of this model: {known}"
            )
        if stride is not None:
            return (stride,)
        if max_stride is not None and max_stride < 1:
            raise ValueError(f"max_stride: must be at least 1, not {max_stride}")
        return tuple(s for s in STRIDES if max_stride is None or s <= max_stride)

    def _measure(
        self, source, track, *, protocol, strides, use_sight, progress, seed
    ) -> Measured:
        lines = self.lines(
            source, track, strides=strides, use_sight=use_sight, progress=progress
        )
        if not len(lines.times):
            return Measured(0.0, None, None, None, lines.end_s, lines.cost)
        reading = self.networks.read(lines)
        rule, frames = sets.Rule(**self.config["rule"]), len(lines.times)

        def counted(distribution):
            return None if distribution is None else self._tally(distribution, lines)

        fused = sets.tally(reading.fused, frames, rule)
        seen, heard = counted(reading.sight), counted(reading.sound)
        gamma = None
        if reading.gamma is not None:
            # Where repetitions are; all over if there are none.
            inside = fused.rate[:: periods.STEP_FRAMES] > 0
            gamma = float(reading.gamma[inside if inside.any() else ...].mean())
        scores = {
            stride: float(np.mean(line[:, :-1].max(1) * line[:, -1]))
            for stride, line in (lines.sight or {}).items()
        }
        stride = max(scores, key=scores.get) if scores else strides[0]
        return Measured(
            count=fused.count,
            sight=seen
            and SightCount(
                seen[0], stride, scores if len(strides) > 1 else {}, seen[1]
            ),
            sound=heard and SoundCount(*heard),
            reliability=gamma,
            end_s=lines.end_s if use_sight else 0.0,
            encoders=lines.cost,
            sets=tuple(_as_set(one, lines) for one in fused.sets),
            confidence=confidence(self.config["confidence"], fused),
        )

    def _tally(self, distribution, lines: Lines):
        """One stream's count, and its sets as windows."""
        found = sets.tally(
            distribution, len(lines.times), sets.Rule(**self.config["rule"])
        )
        windows = tuple(
            WindowCount(*_seconds(np.array([one.first, one.end]), lines), one.count)
            for one in found.sets
        )
        return found.count, windows

    def lines(
        self,
        source: Source,
        track: Soundtrack,
        *,
        strides: tuple[int, ...],
        use_sight: bool,
        progress: Callable[[int], None],
    ) -> Lines:
        """Runs the streams over a source.

        Args:
          source: frames are read from it once.
          track: its sound.
          strides: temporal strides.
          use_sight: whether to look at the picture.
          progress: called with the number of frames read since the last call.

        Returns:
          What they say; no frames at all if the source has none.
        """
        sizes = self.networks.batch_sizes
        readers = {"sight": StreamReader(self.networks.sight, strides, sizes)}
        # Digital silence is no sound, unless there is nothing else.
        with_sound = track.audible or (track.columns > 0 and not use_sight)
        if with_sound:
            readers["sound"] = StreamReader(self.networks.sound, strides, sizes)
        times, end_s = np.zeros(0), 0.0
        with MelColumns(track) as columns:

            def listen(window: Window) -> None:
                if with_sound:
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
                if with_sound:
                    times, end_s = _listen_alone(source, track, strides, listen)
        if not len(times):
            return Lines(None, None, times, end_s, {})
        return Lines(
            sight=readers["sight"].finish() if "sight" in readers else None,
            sound=readers["sound"].finish() if "sound" in readers else None,
            times=times,
            end_s=end_s,
            cost={name: reader.cost for name, reader in readers.items()},
        )


def confidence(table: dict[str, list[float]], found: sets.Tally) -> float:
    """The probability that a count is off by one at most, as calibrated on scenes.

    Args:
      table: {"score", "positive"}: rising scores and the share of such scenes counted right;
        "negative" likewise for scenes without any set found, by the score of none.
      found: what was counted.
    """
    kind = "positive" if found.sets else "negative"
    return float(np.interp(found.score, table[f"{kind}_score"], table[kind]))


def _seconds(frames: np.ndarray, lines: Lines) -> list[float]:
    """Places among frames as seconds of the file."""
    edges = np.append(lines.times, max(lines.end_s, lines.times[-1]))
    return [float(t) for t in np.interp(frames, np.arange(len(edges)), edges)]


def _as_set(one: sets.PeriodSet, lines: Lines) -> RepetitionSet:
    edges = _seconds(one.edges, lines)
    cycles = tuple(itertools.pairwise(edges))
    return RepetitionSet(edges[0], edges[-1], one.count, cycles)


def _look(
    source: Source,
    strides: tuple[int, ...],
    sight: StreamReader,
    listen: Callable[[Window], None],
    progress: Callable[[int], None],
) -> tuple[np.ndarray, float]:
    """Reads the picture once; returns the times of its frames and its end, in seconds.

    Periods are found up to a number of frames: at twice the frame rate, half as slow ones.
    """
    assembler, times = WindowAssembler(strides), [np.zeros(0)]
    skip, seen = max(1, math.ceil(source.fps / MOST_FPS)), 0

    def pass_on(windows: list[Window]) -> None:
        for window in windows:
            sight.add(window.stride, window.start, window.valid, window.frames)
            listen(window)

    for chunk in source.frames():
        kept = slice(-seen % skip, None, skip)
        part = FrameChunk(chunk.frames[kept], chunk.times_s[kept])
        pass_on(assembler.feed(part))
        times.append(part.times_s)
        seen += len(chunk.frames)
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
