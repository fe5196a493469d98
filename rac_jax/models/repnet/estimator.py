"""`RepNetEstimator`: counts what it is fed, by the released procedure or by blended windows."""

import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.batch_sizes import choose_batch_sizes
from rac_jax.counting.batching import BatchEncoder
from rac_jax.counting.estimator import Chunk, Partial, SourceInfo
from rac_jax.counting.family import Variables
from rac_jax.counting.frame_sets import sets_of_frames
from rac_jax.counting.frame_windows import FRAME_S
from rac_jax.counting.options import chosen
from rac_jax.counting.overlapping import OverlappingWindows, StridesAlongTime
from rac_jax.counting.programs import CompiledProgram
from rac_jax.counting.result import Curve, Measurement, Stream, rate_of_sets
from rac_jax.counting.window_runs import Parts, with_part
from rac_jax.models.repnet import RepNetOptions, blended, released
from rac_jax.models.repnet.network import RepNet, normalised
from rac_jax.models.repnet.panel import LAGS, LagPanel, lag_rows
from rac_jax.models.repnet.windows import ConsecutiveWindows

CPU_BATCH_SIZES = (4, 1)

FrameCount = released.ReleasedCount | StridesAlongTime


def prepare(windows: jax.Array, size: int) -> jax.Array:
    """Windows of pixels as the network wants them.

    Args:
      windows: uint8 [B, N, H, W, 3], H = W a multiple of `size`.
      size: of the result, in pixels.

    Returns:
      float32 [B, N, size, size, 3] in [-1, 1]: means of whole blocks of pixels.
    """
    factor = windows.shape[2] // size
    x = windows.astype(jnp.float32)
    shape = (*x.shape[:2], size, factor, size, factor, 3)
    return normalised(jnp.mean(x.reshape(shape), axis=(3, 5)))


class Reading(Protocol):
    """How a protocol cuts frames into windows, runs them and counts; changes as it is used."""

    def copy(self) -> "Reading":
        """One that goes on by itself from here; arrays are shared, not copied."""
        ...

    def feed(self, chunk: Chunk) -> None:
        """Takes the next frames, at least one."""
        ...

    def count(self, frames: int) -> tuple[FrameCount, int, np.ndarray]:
        """What is counted in all frames T, the stride that is told of, and its `lag_rows`."""
        ...


class ReleasedReading:
    """Windows one after the other, as the authors' notebook has them.

    Args:
      program: windows [B, N, ...] to logits [B, N, P + 1] and `lag_rows` after them, compiled.
      network: whose windows they are.
      options: of the count.
      sizes: batch sizes in falling order.
    """

    def __init__(
        self,
        program: Callable,
        network: RepNet,
        options: RepNetOptions,
        sizes: Sequence[int],
    ):
        self._first_period, self._options = network.first_period, options
        self._windows = ConsecutiveWindows(options.strides, network.frames)
        self._encoder = BatchEncoder(
            "repnet", program, lambda windows: (np.stack(windows),), sizes
        )
        # Windows so far, by stride.
        self._numbers = dict.fromkeys(options.strides, 0)

    def copy(self) -> "ReleasedReading":
        twin = copy.copy(self)
        twin._windows, twin._encoder = self._windows.copy(), self._encoder.copy()
        twin._numbers = dict(self._numbers)
        return twin

    def feed(self, chunk: Chunk) -> None:
        self._add(self._windows.feed(chunk.frames))

    def _add(self, windows: list[tuple[int, np.ndarray]]) -> None:
        for stride, window in windows:
            self._encoder.add((stride, self._numbers[stride]), window)
            self._numbers[stride] += 1

    def count(self, frames: int) -> tuple[FrameCount, int, np.ndarray]:
        self._add(self._windows.finish())
        logits, lags = {}, {}
        for stride, number in sorted(self._numbers.items()):
            rows = self._encoder.rows([(stride, place) for place in range(number)])
            rows = rows.reshape(-1, rows.shape[-1])  # [windows · N, P + 1 + lags]
            lags[stride] = rows[:, -LAGS:]
            logits[stride] = rows[:, : -LAGS - 1], rows[:, -LAGS - 1]
        found = released.count(
            logits,
            frames,
            self._first_period,
            constant_speed=self._options.constant_speed,
            fully_periodic=self._options.fully_periodic,
        )
        return found, found.stride, lags[found.stride]


class BlendedReading:
    """Windows that overlap by half, joined frame by frame.

    Args:
      program: windows [B, N, ...] to probabilities [B, N, P + 1] and `lag_rows`, compiled.
      network, options, sizes: as in `ReleasedReading`.
    """

    def __init__(
        self,
        program: Callable,
        network: RepNet,
        options: RepNetOptions,
        sizes: Sequence[int],
    ):
        self._first_period = network.first_period
        self._windows = OverlappingWindows(
            "repnet",
            program,
            options.strides,
            network.frames,
            network.periods + 1 + LAGS,
            sizes,
        )

    def copy(self) -> "BlendedReading":
        twin = copy.copy(self)
        twin._windows = self._windows.copy()
        return twin

    def feed(self, chunk: Chunk) -> None:
        self._windows.feed(chunk)

    def count(self, frames: int) -> tuple[FrameCount, int, np.ndarray]:
        rows = self._windows.finish()
        known = {stride: row[:, :-LAGS] for stride, row in rows.items()}
        found = blended.count(known, frames, self._first_period)
        stride = int(np.bincount(found.stride).argmax())
        return found, stride, rows[stride][:, -LAGS:]


# By protocol: how windows are read, what their program gives, and how sets are made.
READINGS = {
    "blended": (BlendedReading, "probabilities"),
    "released": (ReleasedReading, "logits"),
}
SETS = {
    "blended": {
        "least_count": blended.LEAST_COUNT,
        "gap_periods": blended.GAP_PERIODS,
    },
    "released": {},
}


@dataclasses.dataclass(eq=False)
class RepNetState:
    """What is remembered of a video; a value to everybody but the estimator.

    Attributes:
      protocol: of `PROTOCOLS`.
      reading: of the windows so far.
      times_s: in parts float64 [n]: when each frame begins.
    """

    protocol: str
    reading: Reading
    times_s: Parts = ()


class RepNetEstimator:
    """Counts with a RepNet.

    Args:
      network: the `RepNet` module.
      variables: its variables.
      config: the model's `config.json`.
      batch_sizes: of windows, in falling order; None chooses by the device's memory.
    """

    def __init__(
        self,
        network: nn.Module,
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self._network: RepNet = network
        self._config = config
        size = int(config["preprocessing"]["size"])
        self._sizes = batch_sizes or choose_batch_sizes(
            CPU_BATCH_SIZES, network.frames, size
        )
        variables = jax.device_put(variables)

        def program(output: str) -> functools.partial:
            def run(variables: Variables, windows: jax.Array) -> jax.Array:
                found = network.apply(variables, prepare(windows, size))
                periods, inside = found.periods, found.periodicity
                if output == "probabilities":
                    periods, inside = jax.nn.softmax(periods), jax.nn.sigmoid(inside)
                lags = lag_rows(found.similarity)
                return jnp.concatenate([periods, inside[..., None], lags], axis=-1)

            made = CompiledProgram(run, network, size, output)
            return functools.partial(made, variables)

        self._programs = {output: program(output) for _, output in READINGS.values()}

    def start(self, info: SourceInfo, options: RepNetOptions) -> RepNetState:
        """The state before the first chunk."""
        del info
        protocol = chosen(options, "protocol", self._config)
        reading, output = READINGS[protocol]
        program = self._programs[output]
        return RepNetState(
            protocol, reading(program, self._network, options, self._sizes)
        )

    def feed(self, state: RepNetState, chunk: Chunk) -> tuple[RepNetState, Partial]:
        """The state after a chunk; what it counts is known at the end only."""
        if not len(chunk.times_s):
            return state, Partial()
        reading = state.reading.copy()
        reading.feed(chunk)
        times_s = with_part(state.times_s, chunk.times_s)
        return RepNetState(state.protocol, reading, times_s), Partial()

    def finish(self, state: RepNetState) -> Measurement:
        """The measurement of everything that was fed.

        Its details: "stride" (the one that was chosen, or at most frames), "stride_scores" (mean
        score of each, by its number as text, in [0, 1]), "protocol".
        """
        times_s = np.concatenate([np.zeros(0), *state.times_s])
        if not len(times_s):
            return Measurement(0.0, rate_of_sets(()))
        frame_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else FRAME_S
        end_s = float(times_s[-1] + frame_s)
        found, stride, lags = state.reading.copy().count(len(times_s))
        sets = sets_of_frames(found.rate, times_s, end_s, **SETS[state.protocol])
        count = float(sum(one.count for one in sets))
        foreground = Curve(tuple(times_s.tolist()), tuple(found.score.tolist()))
        return Measurement(
            count=count,
            rate=rate_of_sets(sets),
            streams=(Stream("sight", count, 1.0),),
            sets=sets,
            foreground=foreground,
            details={
                "protocol": state.protocol,
                "stride": stride,
                "stride_scores": {str(s): v for s, v in found.scores.items()},
            },
            end_s=end_s,
            panel=LagPanel(lags, stride, times_s),
        )
