"""`CompactEstimator`: counts what it is fed, window by window at several strides.

Pictures and sound are read once, as they come: windows of frames are cut and run at once, windows
of sound as soon as what they need of it was heard. Everything that depends on the order of things
depends on frames and samples alone, never on how they were cut into chunks.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np

from rac_jax.counting.estimator import Chunk, Partial, SourceInfo
from rac_jax.counting.family import Variables
from rac_jax.counting.frame_windows import Window, WindowAssembler
from rac_jax.counting.rate import Rate
from rac_jax.counting.reading import Reading
from rac_jax.counting.result import (
    Measurement,
    RepetitionSet,
    Stream,
    WindowCount,
    rate_of_sets,
)
from rac_jax.counting.window_runs import (
    Network,
    Parts,
    WindowRun,
    stack_windows,
    with_part,
)
from rac_jax.media.cadence import RepeatedFrames
from rac_jax.models.compact import CompactOptions, causal, panel
from rac_jax.models.compact.decision import (
    CompactNetworks,
    Decision,
    check_confidence,
    confidence,
    decide,
)
from rac_jax.models.compact.decoder import Decoded, DecodingConfig, PeriodSet
from rac_jax.models.compact.grid import (
    HOP_FRAMES,
    PERIOD_BINS,
    SOUND_FPS,
    WINDOW_FRAMES,
)
from rac_jax.models.compact.mel_columns import MelColumns
from rac_jax.models.compact.posteriors import (
    Steps,
    StreamPosteriors,
    long_enough,
    stack_posteriors,
)
from rac_jax.models.compact.returns import Changes
from rac_jax.ops.sound_format import COLUMNS_PER_S

# As long as all that was heard is digital silence, the stream of sound is not run: most such
# recordings stay silent. Up to so many columns, ten minutes of them, are held for that.
SILENT_COLUMNS = round(600 * COLUMNS_PER_S)


@dataclasses.dataclass(eq=False)
class CompactState:
    """What is remembered of a video.

    A value to everybody but the estimator, which changes copies of it only.

    Attributes:
      info: of the source.
      options: of the count.
      repeated: drops frames that the container repeats.
      changes: compares frames with those before.
      changed: in parts float16 [n, LAGS]: what it says of each frame.
      assembler: cuts frames into windows.
      columns: the sound so far.
      sight: the stream that looks, None without a picture.
      sound: the stream that listens, None without sound.
      unheard: windows that wait for their sound, in order, without frames.
      times_s: in parts float64 [n]: when each frame begins.
      looked: what was seen in windows that the last reading looked at and that are not over yet,
        see `causal`.
    """

    info: SourceInfo
    options: CompactOptions
    repeated: RepeatedFrames
    changes: Changes
    assembler: WindowAssembler
    columns: MelColumns
    sight: WindowRun | None
    sound: WindowRun | None
    unheard: tuple[Window, ...] = ()
    times_s: Parts = ()
    changed: Parts = ()
    looked: causal.Looked = dataclasses.field(default_factory=dict)

    def copy(self) -> "CompactState":
        """One that goes on by itself from here; arrays are shared, not copied."""
        return dataclasses.replace(
            self,
            repeated=self.repeated.copy(),
            changes=self.changes.copy(),
            assembler=self.assembler.copy(),
            columns=self.columns.copy(),
            sight=self.sight and self.sight.copy(),
            sound=self.sound and self.sound.copy(),
        )


class CompactEstimator:
    """Counts with a compact model.

    Args:
      network: the `Compact` module.
      variables: its variables.
      config: the model's `config.json`, with "decoding" (see `DecodingConfig`) and "confidence".
      batch_sizes: of windows, in falling order; None chooses by the device's memory.

    Attributes:
      networks: the model's parts as compiled programs.
      programs: those of them that a state refers to.

    Raises:
      ValueError: for a field that "decoding" does not have, or a "confidence" that is no table.
    """

    def __init__(
        self,
        network: nn.Module,
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self._decoding = DecodingConfig.from_fields(config["decoding"])
        self._confidence = check_confidence(config["confidence"])
        self._size = int(config["preprocessing"]["size"])
        self.networks = CompactNetworks(network, variables, self._size, batch_sizes)
        self.programs = {
            "sight": self.networks.sight,
            "sound": self.networks.sound,
            "stack": stack_windows,
        }

    def start(self, info: SourceInfo, options: CompactOptions) -> CompactState:
        """The state before the first chunk."""
        strides, sizes = options.strides, self.networks.batch_sizes

        def run(name: str, network: Network, wanted: bool) -> WindowRun | None:
            if not wanted:
                return None
            channels = PERIOD_BINS + 1
            return WindowRun(name, network, strides, WINDOW_FRAMES, channels, sizes)

        return CompactState(
            info,
            options,
            RepeatedFrames(),
            Changes(),
            WindowAssembler(strides, WINDOW_FRAMES, HOP_FRAMES),
            MelColumns(),
            run("sight", self.networks.sight, info.has_picture),
            run("sound", self.networks.sound, info.has_sound),
        )

    def feed(self, state: CompactState, chunk: Chunk) -> tuple[CompactState, Partial]:
        """The state after a chunk; what it counts is known at the end only."""
        state = state.copy()
        if state.sound is not None:
            state.columns.feed(chunk.samples)
        if state.info.has_picture:
            self._look(state, chunk)
        else:
            self._lay_grid(state)
        self._listen(state)
        return state, Partial()

    def prepare(self) -> None:
        """Compiles what a reading needs, so that the first ones are not late."""
        causal.prepare(self.networks, self._size)

    def read(self, state: CompactState) -> tuple[CompactState, Reading]:
        """What is counted of everything that was fed so far; see `causal`.

        With a picture alone it takes as long after an hour as after a minute; with sound all
        that was fed is measured anew.
        """
        if state.sound is not None or not state.info.has_picture:
            found = self.finish(state)
            end_s = state.info.start_s + state.columns.duration_s
            return state, Reading(
                found.rate, state.info.start_s, max(found.end_s, end_s)
            )
        state = state.copy()
        recent = causal.look(state, self.networks.sight)
        if recent is None:
            return state, Reading(Rate(), state.info.start_s, state.info.start_s)
        decision = self.decide(
            recent.frames, recent.posteriors, None, recent.streams.changes
        )
        sets = tuple(
            _as_set(one, recent.streams)
            for one in decision.fused.sets
            if causal.is_told(one, _per_s(one, recent.streams), recent.cuts(one))
        )
        end_s = recent.streams.end_s
        return state, Reading(rate_of_sets(sets), recent.since_s, end_s)

    def finish(self, state: CompactState) -> Measurement:
        """The measurement of everything that was fed.

        Its details: "stride" (the temporal stride that is surest of one period),
        "stride_scores" (how sure each is, by its number as text, in [0, 1]; none where only one
        was looked at), "reliability" (mean weight of the sound where repetitions are; None
        unless there are both streams), "cost" (per stream: windows, calls, compiled programs).
        """
        streams = self.posteriors(state)
        if not len(streams.times_s):
            return Measurement(0.0, Rate())
        sight, sound = (
            None if one is None else functools.partial(stack_posteriors, one)
            for one in (streams.sight, streams.sound)
        )
        frames = len(streams.times_s)
        decision = self.decide(frames, sight, sound, streams.changes)
        sets = tuple(_as_set(one, streams) for one in decision.fused.sets)
        scores = _stride_scores(streams)
        # A stride that was given, or the only one left, has nothing to be compared with.
        compared = len(state.options.strides) > 1
        shown = {str(s): score for s, score in scores.items()} if compared else {}
        return Measurement(
            count=decision.fused.count,
            rate=rate_of_sets(sets),
            streams=_as_streams(decision, streams),
            sets=sets,
            confidence=confidence(self._confidence, decision.fused),
            details={
                "stride": max(scores, key=scores.__getitem__),
                "stride_scores": shown,
                "reliability": decision.reliability,
                "cost": dict(streams.cost),
            },
            end_s=streams.end_s if state.info.has_picture else 0.0,
            panel=panel.draw if compared else None,
        )

    def decide(
        self,
        frames: int,
        sight: Steps | None,
        sound: Steps | None,
        changes: np.ndarray | None,
    ) -> Decision:
        """Counts T frames whose posteriors are known; see `decision.decide`."""
        return decide(self.networks, self._decoding, frames, sight, sound, changes)

    def posteriors(self, state: CompactState) -> StreamPosteriors:
        """What the streams say of everything that was fed.

        Returns:
          The posteriors; no times at all if there was neither a frame nor a sample.
        """
        state = state.copy()
        info, columns = state.info, state.columns
        columns.finish()

        # What is left: frames held back, windows at the end, and sound that was waited for in
        # vain.
        held = state.repeated.finish()
        if held is not None:
            self._cut(state, *held)
        state.looked = {}
        last = state.assembler.finish()
        if info.has_picture:
            self._run_sight(state, last)
        state.unheard += tuple(map(_without_frames, last))
        # Digital silence is no sound, unless there is nothing else.
        heard = columns.audible or (columns.samples > 0 and not info.has_picture)
        if state.sound is not None and heard:
            self._run_sound(state, state.unheard)

        times_s = np.concatenate([np.zeros(0), *state.times_s])
        if not len(times_s):
            return StreamPosteriors(None, None, None, times_s, 0.0, {})
        runs = {"sight": state.sight, "sound": state.sound if heard else None}
        found = {name: run and long_enough(run.finish()) for name, run in runs.items()}
        end_s = info.start_s + columns.duration_s
        if info.has_picture:
            end_s = state.assembler.end_s
        return StreamPosteriors(
            **found,
            changes=np.concatenate(state.changed) if info.has_picture else None,
            times_s=times_s,
            end_s=end_s,
            cost={name: run.cost for name, run in runs.items() if run is not None},
        )

    def _look(self, state: CompactState, chunk: Chunk) -> None:
        """Takes frames, and counts by those that no container or encoder repeated."""
        if len(chunk.times_s):
            self._cut(state, *state.repeated.feed(chunk.frames[..., 0], chunk.times_s))

    def _cut(
        self, state: CompactState, frames: np.ndarray, times_s: np.ndarray
    ) -> None:
        """Cuts frames: runs what windows they fill, and asks for their sound."""
        if not len(times_s):
            return
        windows = state.assembler.feed(frames, times_s)
        self._run_sight(state, windows)
        if state.sound is not None:
            state.unheard += tuple(map(_without_frames, windows))
        state.times_s = with_part(state.times_s, times_s)
        state.changed = with_part(state.changed, state.changes.feed(frames))

    def _lay_grid(self, state: CompactState) -> None:
        """Without a picture: frames of no pixels as far as there is sound."""
        known = state.assembler.frames
        number = math.ceil(state.columns.duration_s * SOUND_FPS) - known
        if number > 0:
            times_s = state.info.start_s + np.arange(known, known + number) / SOUND_FPS
            windows = state.assembler.feed(np.zeros((number, 0, 0), np.uint8), times_s)
            state.unheard += tuple(windows)
            state.times_s = with_part(state.times_s, times_s)

    def _listen(self, state: CompactState) -> None:
        """Runs the windows whose sound is there, in order, and forgets what no later one needs."""
        columns, start_s = state.columns, state.info.start_s
        if state.sound is None:
            return
        silent = state.info.has_picture and not columns.audible
        if silent and columns.available <= SILENT_COLUMNS:
            return
        ready = tuple(
            itertools.takewhile(
                lambda window: columns.has(window.times_s - start_s), state.unheard
            )
        )
        self._run_sound(state, ready)
        state.unheard = state.unheard[len(ready) :]
        begins = [window.times_s[0] for window in state.unheard]
        begins.append(state.assembler.needed_from_s())
        columns.forget(begin - start_s for begin in begins)

    def _run_sight(self, state: CompactState, windows: list[Window]) -> None:
        for window in windows:
            place = (window.stride, window.start, window.valid)
            state.sight.add(place, window.frames)

    def _run_sound(self, state: CompactState, windows: tuple[Window, ...]) -> None:
        for window in windows:
            place = (window.stride, window.start, window.valid)
            heard = state.columns.window(window.times_s - state.info.start_s)
            state.sound.add(place, heard)


def _without_frames(window: Window) -> Window:
    """The window without its pixels, which would be held while it waits for its sound."""
    nothing = np.zeros((len(window.frames), 0, 0), np.uint8)
    return dataclasses.replace(window, frames=nothing)


def _stride_scores(streams: StreamPosteriors) -> dict[int, float]:
    """How sure each temporal stride is of one period, on average over the video, in [0, 1].

    By sight, or by sound where there is no picture.
    """
    known = streams.sight if streams.sight is not None else streams.sound
    return {
        stride: float(np.mean(rows[:, :-1].max(1) * rows[:, -1]))
        for stride, rows in known.items()
    }


def _seconds(frames: np.ndarray, streams: StreamPosteriors) -> list[float]:
    """Places among frames as seconds of the file."""
    times_s = streams.times_s
    edges = np.append(times_s, max(streams.end_s, times_s[-1]))
    return [float(t) for t in np.interp(frames, np.arange(len(edges)), edges)]


def _per_s(one: PeriodSet, streams: StreamPosteriors) -> float:
    """Repetitions per second of a set, on average."""
    first, *_, last = _seconds(one.edges, streams)
    return one.count / max(last - first, 1e-6)


def _as_set(one: PeriodSet, streams: StreamPosteriors) -> RepetitionSet:
    edges = _seconds(one.edges, streams)
    cycles = tuple(itertools.pairwise(edges))
    return RepetitionSet(edges[0], edges[-1], one.count, cycles, one.score)


def _as_streams(decision: Decision, streams: StreamPosteriors) -> tuple[Stream, ...]:
    """What each stream says by itself, its sets as windows."""

    def stream(name: str, found: Decoded, weight: float) -> Stream:
        windows = tuple(
            WindowCount(*_seconds(np.array([one.first, one.end]), streams), one.count)
            for one in found.sets
        )
        return Stream(name, found.count, weight, windows)

    reliability, found = decision.reliability, []
    if decision.sight is not None:
        weight = 1.0 if reliability is None else 1.0 - reliability
        found.append(stream("sight", decision.sight, weight))
    if decision.sound is not None:
        weight = 1.0 if reliability is None else reliability
        found.append(stream("sound", decision.sound, weight))
    return tuple(found)
