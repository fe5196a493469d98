"""`RepNetEstimator`: counts what it is fed, by the released procedure or by blended windows."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.batch_sizes import choose_batch_sizes
from rac_jax.counting.batching import BatchEncoder
from rac_jax.counting.estimator import Chunk, Partial, SourceInfo
from rac_jax.counting.family import Variables
from rac_jax.counting.frame_sets import sets_of_frames
from rac_jax.counting.frame_windows import FRAME_S, WindowAssembler
from rac_jax.counting.programs import CompiledProgram
from rac_jax.counting.result import Curve, Measurement, Stream, rate_of_sets
from rac_jax.counting.window_runs import Parts, WindowRun, with_part
from rac_jax.models.repnet import RepNetOptions, blended, released
from rac_jax.models.repnet.network import RepNet
from rac_jax.models.repnet.windows import ConsecutiveWindows

CPU_BATCH_SIZES = (4, 1)
OUTPUTS = ("logits", "probabilities")


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
    return (jnp.mean(x.reshape(shape), axis=(3, 5)) - 127.5) / 127.5


@dataclasses.dataclass(eq=False)
class RepNetState:
    """What is remembered of a video; a value to everybody but the estimator.

    Attributes:
      info: of the source.
      options: of the count.
      windows: cuts frames into windows; of the released protocol, None for the other.
      encoder: runs them.
      places: of the windows in it, by stride.
      assembler: likewise of the other protocol.
      run: runs those.
      times_s: in parts float64 [n]: when each frame begins.
    """

    info: SourceInfo
    options: RepNetOptions
    windows: ConsecutiveWindows | None
    encoder: BatchEncoder
    places: dict[int, tuple[int, ...]]
    assembler: WindowAssembler | None
    run: WindowRun
    times_s: Parts = ()

    def copy(self) -> "RepNetState":
        """One that goes on by itself from here; arrays are shared, not copied."""
        return dataclasses.replace(
            self,
            windows=self.windows and self.windows.copy(),
            encoder=self.encoder.copy(),
            places=dict(self.places),
            assembler=self.assembler and self.assembler.copy(),
            run=self.run.copy(),
        )


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
                return jnp.concatenate([periods, inside[..., None]], axis=-1)

            made = CompiledProgram(run, network, size, output)
            return functools.partial(made, variables)

        self._programs = {output: program(output) for output in OUTPUTS}

    def start(self, info: SourceInfo, options: RepNetOptions) -> RepNetState:
        """The state before the first chunk."""
        length, strides = self._network.frames, options.strides
        cut = options.protocol_of(self._config) == "released"
        return RepNetState(
            info,
            options,
            ConsecutiveWindows(strides, length) if cut else None,
            BatchEncoder(
                "repnet",
                self._programs["logits"],
                lambda windows: (np.stack(windows),),
                self._sizes,
            ),
            {},
            None if cut else WindowAssembler(strides, length, length // 2),
            WindowRun(
                "repnet",
                self._programs["probabilities"],
                strides,
                length,
                self._network.periods + 1,
                self._sizes,
            ),
        )

    def feed(self, state: RepNetState, chunk: Chunk) -> tuple[RepNetState, Partial]:
        """The state after a chunk; what it counts is known at the end only."""
        if not len(chunk.times_s):
            return state, Partial()
        state = state.copy()
        state.times_s = with_part(state.times_s, chunk.times_s)
        if state.windows is not None:
            self._add(state, state.windows.feed(chunk.frames))
        else:
            for window in state.assembler.feed(chunk.frames, chunk.times_s):
                place = (window.stride, window.start, window.valid)
                state.run.add(place, window.frames)
        return state, Partial()

    def _add(self, state: RepNetState, windows: list[tuple[int, np.ndarray]]) -> None:
        for stride, window in windows:
            number = len(state.encoder)
            state.encoder.add(number, window)
            state.places[stride] = (*state.places.get(stride, ()), number)

    def finish(self, state: RepNetState) -> Measurement:
        """The measurement of everything that was fed.

        Its details: "stride" (the one that was chosen, or at most frames), "stride_scores" (mean
        score of each, by its number as text, in [0, 1]), "protocol".
        """
        times_s = np.concatenate([np.zeros(0), *state.times_s])
        if not len(times_s):
            return Measurement(0.0, rate_of_sets(()))
        state = state.copy()
        frame_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else FRAME_S
        end_s = float(times_s[-1] + frame_s)
        if state.windows is not None:
            found, least, gap = self._released(state), 0.0, 0.0
            stride = found.stride
        else:
            found, least = self._blended(state, len(times_s)), blended.LEAST_COUNT
            gap = blended.GAP_PERIODS
            stride = int(np.bincount(found.stride).argmax())
        sets = sets_of_frames(
            found.rate, times_s, end_s, least_count=least, gap_periods=gap
        )
        count = float(sum(one.count for one in sets))
        foreground = Curve(tuple(times_s.tolist()), tuple(found.score.tolist()))
        return Measurement(
            count=count,
            rate=rate_of_sets(sets),
            streams=(Stream("sight", count, 1.0),),
            sets=sets,
            foreground=foreground,
            details={
                "protocol": state.options.protocol_of(self._config),
                "stride": stride,
                "stride_scores": {str(s): v for s, v in found.scores.items()},
            },
            end_s=end_s,
        )

    def _released(self, state: RepNetState) -> released.ReleasedCount:
        frames = state.windows.frames
        self._add(state, state.windows.finish())
        logits = {}
        for stride, places in sorted(state.places.items()):
            rows = state.encoder.rows(places)  # [windows, N, P + 1]
            rows = rows.reshape(-1, rows.shape[-1])
            logits[stride] = rows[:, :-1], rows[:, -1]
        return released.count(
            logits,
            frames,
            self._network.first_period,
            constant_speed=state.options.constant_speed,
            fully_periodic=state.options.fully_periodic,
        )

    def _blended(self, state: RepNetState, frames: int) -> blended.BlendedCount:
        for window in state.assembler.finish():
            state.run.add((window.stride, window.start, window.valid), window.frames)
        return blended.count(state.run.finish(), frames, self._network.first_period)
