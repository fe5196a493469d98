"""`DensityEstimator`: counts what it is fed by a density, for TransRAC and LMRL."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.batch_sizes import choose_batch_sizes
from rac_jax.counting.estimator import Chunk, Partial, SourceInfo
from rac_jax.counting.family import Variables
from rac_jax.counting.frame_sets import sets_of_frames
from rac_jax.counting.frame_windows import FRAME_S
from rac_jax.counting.options import chosen
from rac_jax.counting.overlapping import OverlappingWindows
from rac_jax.counting.programs import CompiledProgram
from rac_jax.counting.result import Curve, Measurement, Stream, rate_of_sets
from rac_jax.counting.window_runs import Parts, with_part
from rac_jax.models.repnet.network import normalised
from rac_jax.models.repnet.panel import LAGS, LagPanel, lag_rows
from rac_jax.models.transrac import DensityOptions, blended
from rac_jax.models.transrac.sampled import SampledFrames, sampled_indices

CPU_BATCH_SIZES = (4, 1)
VALUES = 2  # of a frame beside the rows of its similarity: density and foreground


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """What a reading has found in a video of T frames.

    Attributes:
      rate: [T] repetitions per frame, at least 0; their sum is the count.
      foreground: [T] in [0, 1].
      details: the measurement's.
      lags: (rows, stride) for the panel, see `LagPanel`.
      least_count, gap_periods: as in `sets_of_frames`.
    """

    rate: np.ndarray
    foreground: np.ndarray
    details: Mapping[str, Any]
    lags: tuple[np.ndarray, int]
    least_count: float = 0.0
    gap_periods: float = 0.0


class Reading(Protocol):
    """How a protocol looks at a video; changes as it is used."""

    def copy(self) -> "Reading":
        """One that goes on by itself from here; arrays are shared, not copied."""
        ...

    def feed(self, chunk: Chunk) -> None:
        """Takes the next frames, at least one."""
        ...

    def count(self, frames: int) -> Found:
        """What is counted in all frames T."""
        ...


class BlendedReading:
    """Overlapping windows at several strides, see `blended`.

    Args:
      windows: that are run.
      length: N, strided frames of a window.
    """

    def __init__(self, windows: OverlappingWindows, length: int):
        self._windows, self._length = windows, length

    def copy(self) -> "BlendedReading":
        return BlendedReading(self._windows.copy(), self._length)

    def feed(self, chunk: Chunk) -> None:
        self._windows.feed(chunk)

    def count(self, frames: int) -> Found:
        rows = self._windows.finish()
        found = blended.count(rows, frames, self._length)
        stride = int(np.bincount(found.stride).argmax())
        scores = {str(one): value for one, value in found.scores.items()}
        return Found(
            found.rate,
            found.score,
            {"stride": stride, "stride_scores": scores},
            (rows[stride][:, VALUES:], stride),
            blended.LEAST_COUNT,
            blended.GAP_PERIODS,
        )


class SampledReading:
    """N frames of the whole video, as the papers have it.

    Args:
      program: windows [B, N, ...] to [B, N, C], compiled.
      length: N.
      released: whether frames are picked and turned as TransRAC's tools do it: each is the one
        before, height and width change places.
    """

    def __init__(self, program: Callable, length: int, released: bool):
        self._program, self._length, self._released = program, length, released
        self._frames = SampledFrames()

    def copy(self) -> "SampledReading":
        twin = copy.copy(self)
        twin._frames = self._frames.copy()
        return twin

    def feed(self, chunk: Chunk) -> None:
        self._frames.feed(chunk.frames)

    def count(self, frames: int) -> Found:
        indices = sampled_indices(frames, self._length, int(self._released))
        window = self._frames.window(indices)
        if self._released:
            window = window.swapaxes(1, 2)
        rows = np.asarray(self._program(window[None]))[0].astype(np.float64)
        # What falls below 0 counts as well; along time the rest is shown, in proportion.
        total = max(0.0, float(rows[:, 0].sum()))
        density = np.maximum(rows[:, 0], 0.0)
        density *= total / max(density.sum(), 1e-9)

        # Each looked-at frame stands for the frames around it.
        nearest = np.arange(frames) * self._length // max(frames, self._length)
        shared = np.bincount(nearest, minlength=self._length)
        rate = (density / np.maximum(shared, 1))[nearest]
        lost = density[shared == 0].sum()
        rate *= total / max(total - lost, 1e-9)
        step = max(1, frames // self._length)
        return Found(
            rate,
            rows[nearest, 1],
            {"sampled_frames": self._length},
            (rows[nearest[::step], VALUES:], step),
        )


@dataclasses.dataclass(eq=False)
class DensityState:
    """What is remembered of a video; a value to everybody but the estimator.

    Attributes:
      protocol: of `PROTOCOLS`.
      reading: of what was fed so far.
      times_s: in parts float64 [n]: when each frame begins.
    """

    protocol: str
    reading: Reading
    times_s: Parts = ()


class DensityEstimator:
    """Counts with a network that gives a `DensityOutput`.

    Args:
      family: its name.
      network: the module.
      variables: its variables.
      config: the model's `config.json`.
      batch_sizes: of windows, in falling order; None chooses by the device's memory.
    """

    def __init__(
        self,
        family: str,
        network: nn.Module,
        variables: Variables,
        config: Mapping[str, Any],
        batch_sizes: tuple[int, ...] | None = None,
    ):
        self._family, self._config = family, config
        self._length: int = network.frames
        size = int(config["preprocessing"]["size"])
        self._sizes = batch_sizes or choose_batch_sizes(
            CPU_BATCH_SIZES, self._length, size
        )
        variables = jax.device_put(variables)

        def run(variables: Variables, windows: jax.Array) -> jax.Array:
            found = network.apply(variables, normalised(windows))
            values = jnp.stack([found.density, found.foreground], axis=-1)
            rows = lag_rows(jnp.mean(found.similarity, axis=1))
            return jnp.concatenate([values, rows], axis=-1)  # [B, N, 2 + lags]

        made = CompiledProgram(run, network, size, "density")
        self._program = lambda windows: made(variables, windows)

    def start(self, info: SourceInfo, options: DensityOptions) -> DensityState:
        """The state before the first chunk."""
        del info
        protocol = chosen(options, "protocol", self._config)
        if protocol != "blended":
            released = protocol == "released"
            reading = SampledReading(self._program, self._length, released)
            return DensityState(protocol, reading)
        windows = OverlappingWindows(
            self._family,
            self._program,
            options.strides,
            self._length,
            VALUES + LAGS,
            self._sizes,
        )
        return DensityState(protocol, BlendedReading(windows, self._length))

    def feed(self, state: DensityState, chunk: Chunk) -> tuple[DensityState, Partial]:
        """The state after a chunk; what it counts is known at the end only."""
        if not len(chunk.times_s):
            return state, Partial()
        reading = state.reading.copy()
        reading.feed(chunk)
        times_s = with_part(state.times_s, chunk.times_s)
        return DensityState(state.protocol, reading, times_s), Partial()

    def finish(self, state: DensityState) -> Measurement:
        """The measurement of everything that was fed.

        Its details: "protocol"; "stride" (at most frames) and "stride_scores" (mean score of
        each, by its number as text, in [0, 1]), or "sampled_frames".
        """
        times_s = np.concatenate([np.zeros(0), *state.times_s])
        if not len(times_s):
            return Measurement(0.0, rate_of_sets(()))
        frame_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else FRAME_S
        end_s = float(times_s[-1] + frame_s)
        found = state.reading.copy().count(len(times_s))
        sets = sets_of_frames(
            found.rate,
            times_s,
            end_s,
            least_count=found.least_count,
            gap_periods=found.gap_periods,
        )
        count = float(sum(one.count for one in sets))
        times = tuple(times_s.tolist())
        # Of runs that are no sets nothing is counted.
        counted = np.zeros(len(times_s), bool)
        for one in sets:
            counted |= (times_s >= one.start_s - 1e-6) & (times_s < one.end_s)
        density = np.where(counted, found.rate, 0.0)
        return Measurement(
            count=count,
            rate=rate_of_sets(sets),
            streams=(Stream("sight", count, 1.0),),
            sets=sets,
            density=Curve(times, tuple(density.tolist())),
            foreground=Curve(times, tuple(found.foreground.tolist())),
            details={"protocol": state.protocol} | dict(found.details),
            end_s=end_s,
            panel=LagPanel(*found.lags, times_s),
        )
