"""`SIENEstimator`: counts a stream while it runs, four predictions of phases a second."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.estimator import Chunk, Partial, SourceInfo
from rac_jax.counting.family import Variables
from rac_jax.counting.programs import CompiledProgram
from rac_jax.counting.result import (
    Curve,
    Measurement,
    RepetitionSet,
    Stream,
    rate_of_sets,
)
from rac_jax.counting.steady import SteadyFrames
from rac_jax.encoders.strided_inflated import STRIDE, StreamState
from rac_jax.models.sien import SIENOptions
from rac_jax.models.sien.network import SIEN, SIENOutput
from rac_jax.models.sien.phases import SCHEMES, Cycle, PhaseCounter, PhaseState

# Frames that go through the network at once, in falling order. On CPU larger pieces are no
# quicker, and one program is compiled.
CPU_SIZES = (STRIDE,)
SIZES = (64, STRIDE)
# Repetitions with a longer break between them are of two sets, in periods.
GAP_PERIODS = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class SIENState:
    """What is remembered of a stream; records and arrays alone.

    Attributes:
      counter: how phases are counted.
      steady: of the frames.
      waiting: frames at the network's rate that wait for a whole piece, and their times.
      memory: of the network, None before the first piece.
      phases: of the counter.
      rows: (time_s, probabilities) of every prediction.
      end_s: when the last frame ends, in seconds of the file.
    """

    counter: PhaseCounter
    steady: SteadyFrames
    waiting: tuple[tuple[np.ndarray, float], ...] = ()
    memory: StreamState | None = None
    phases: PhaseState = dataclasses.field(default_factory=PhaseState)
    rows: tuple[tuple[float, tuple[float, ...]], ...] = ()
    end_s: float = 0.0


class SIENEstimator:
    """Counts with a network of phases.

    Args:
      network: the module.
      variables: its variables.
      config: the model's `config.json`.
      sizes: frames per piece, multiples of 4 in falling order, the last one 4.

    Raises:
      ValueError: for a model without phases, or with others than its scheme has.
    """

    def __init__(
        self,
        network: SIEN,
        variables: Variables,
        config: Mapping[str, Any],
        sizes: tuple[int, ...] | None = None,
    ):
        if not network.phases:
            raise ValueError("phases: the model has none, so it cannot count")
        # An unknown scheme is said by the counter, when options are read.
        classes = SCHEMES.get(config["scheme"])
        if classes is not None and len(classes) != network.phases:
            raise ValueError(
                f"phases: {network.phases}, the scheme {config['scheme']} has "
                f"{len(classes)}"
            )
        self._network, self._config = network, config
        self._fps = float(config["preprocessing"]["fps"])
        self._sizes = sizes or (CPU_SIZES if jax.default_backend() == "cpu" else SIZES)
        program = step_program(
            network,
            config["preprocessing"],
            "phases",
            lambda found: jax.nn.softmax(found.phases),
        )
        self._program = functools.partial(program, jax.device_put(variables))

    def start(self, info: SourceInfo, options: SIENOptions) -> SIENState:
        """The state before the first chunk."""
        del info
        counter = PhaseCounter(
            self._config["scheme"],
            options.decoder or self._config.get("decoder", "argmax"),
            options.far_threshold,
            options.home_threshold,
            options.average or self._config.get("average", 1),
        )
        return SIENState(counter, SteadyFrames(self._fps))

    def feed(self, state: SIENState, chunk: Chunk) -> tuple[SIENState, Partial]:
        """The state after a chunk, and what is counted so far."""
        if len(chunk.times_s):
            steady, frames, times_s = state.steady.feed(chunk.frames, chunk.times_s)
            end_s = steady.last_s + (steady.gap_s or 1 / self._fps)
            state = dataclasses.replace(state, steady=steady, end_s=end_s)
            state = self._look(state, frames, times_s)
        return state, Partial(float(len(state.phases.cycles)))

    def _look(
        self, state: SIENState, frames: list[np.ndarray], times_s: list[float]
    ) -> SIENState:
        """Shows the network whole pieces of what waits and of the next frames."""
        waiting = [*state.waiting, *zip(frames, times_s, strict=True)]
        memory, phases, rows = state.memory, state.phases, list(state.rows)
        done = 0
        while len(waiting) - done >= STRIDE:
            left = len(waiting) - done
            size = next(one for one in self._sizes if one <= left)
            piece = waiting[done : done + size]
            shown = np.stack([frame for frame, _ in piece])[None]  # [1, n, H, W, 3]
            if memory is None:
                memory = self._network.start(1, *shown.shape[2:4])
            memory, found = self._program(memory, shown)
            newest = [time_s for _, time_s in piece[STRIDE - 1 :: STRIDE]]
            for time_s, row in zip(newest, np.asarray(found)[0], strict=True):
                phases = state.counter.feed(phases, row, time_s)
                rows.append((time_s, tuple(map(float, row))))
            done += size
        # A copy, so that a chunk is not held for a few of its frames.
        kept = tuple((np.array(frame), time_s) for frame, time_s in waiting[done:])
        return dataclasses.replace(
            state, waiting=kept, memory=memory, phases=phases, rows=tuple(rows)
        )

    def finish(self, state: SIENState) -> Measurement:
        """The measurement of everything that was fed.

        Its details: "scheme" and "decoder", and "phases": the mean probability of each by name.
        A repetition that is not over at the end does not count.
        """
        state = self._look(state, *state.steady.finish())
        sets = sets_of_cycles(state.phases.cycles)
        count = float(len(state.phases.cycles))
        times_s = tuple(time_s for time_s, _ in state.rows)
        names = SCHEMES[state.counter.scheme]
        means = np.mean([row for _, row in state.rows], axis=0) if state.rows else ()
        return Measurement(
            count=count,
            rate=rate_of_sets(sets),
            streams=(Stream("sight", count, 1.0),) if state.rows else (),
            sets=sets,
            foreground=Curve(times_s, tuple(1 - row[0] for _, row in state.rows)),
            details={
                "scheme": state.counter.scheme,
                "decoder": state.counter.decoder,
                "phases": dict(zip(names, map(float, means), strict=False)),
            },
            end_s=state.end_s,
        )


def scale_and_shift(preprocessing: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Of pixels from 0 to 255 to what a model wants: [1, 1, 1, 1, C] each.

    Args:
      preprocessing: of its `config.json`: "mean" and "std" of values in 0..1, in its colours.
    """
    mean, std = (np.float32(preprocessing[name]) for name in ("mean", "std"))
    shape = (1, 1, 1, 1, -1)
    return (1 / (255 * std)).reshape(shape), (-mean / std).reshape(shape)


def step_program(
    network: SIEN,
    preprocessing: Mapping[str, Any],
    name: str,
    read: Callable[[SIENOutput], jax.Array],
) -> CompiledProgram:
    """`SIEN.step` of frames as they are decoded, compiled, that gives one thing of its output.

    Frames are uint8 in the model's colours.

    Args:
      network: the module.
      preprocessing: of a model's `config.json`, see `scale_and_shift`.
      name: tells what is read from whatever else is.
      read: of the output.
    """
    scale, shift = scale_and_shift(preprocessing)

    def run(
        variables: Variables, memory: StreamState, frames: jax.Array
    ) -> tuple[StreamState, jax.Array]:
        x = frames.astype(jnp.float32) * scale + shift
        memory, found = network.apply(variables, memory, x, method="step")
        return memory, read(found)

    numbers = (scale.ravel().tolist(), shift.ravel().tolist())
    return CompiledProgram(run, network, name, numbers)


def sets_of_cycles(cycles: tuple[Cycle, ...]) -> tuple[RepetitionSet, ...]:
    """Cycles without a long break between them, as sets of whole repetitions."""
    runs: list[list[Cycle]] = []
    for cycle in cycles:
        if runs:
            run = runs[-1]
            period = (run[-1][1] - run[0][0]) / len(run)
            if cycle[0] - run[-1][1] <= GAP_PERIODS * period:
                run.append(cycle)
                continue
        runs.append([cycle])
    return tuple(
        RepetitionSet(run[0][0], run[-1][1], float(len(run)), tuple(run))
        for run in runs
    )
