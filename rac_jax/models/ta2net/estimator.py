"""`EventEstimator`: marks the frames in which something sounds, and counts by them.

Windows of 64 consecutive frames overlap by half and are joined with more weight to their middles,
where the paper puts them end to end: no frame is without both neighbours' view, and none is dropped.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.counting.batch_sizes import choose_batch_sizes
from rac_jax.counting.estimator import Chunk, Partial, SourceInfo
from rac_jax.counting.family import Variables
from rac_jax.counting.frame_windows import FRAME_S
from rac_jax.counting.overlapping import OverlappingWindows
from rac_jax.counting.programs import CompiledProgram
from rac_jax.counting.result import Curve, Measurement, Stream, rate_of_sets
from rac_jax.counting.window_runs import Parts, with_part
from rac_jax.models.repnet.network import normalised
from rac_jax.models.ta2net import EventOptions
from rac_jax.models.ta2net.peaks import event_sets, peak_frames
from rac_jax.models.ta2net.places import map_centres, turning_places

CPU_BATCH_SIZES = (4, 1)
STRIDE = 1
# Of a frame: probability, and right and down of where motion turns and of where the map is highest.
VALUES = 5
# Columns of each way to say where.
PLACES = {"turning": slice(1, 3), "map": slice(3, 5)}


@dataclasses.dataclass(eq=False)
class EventState:
    """What is remembered of a video; a value to everybody but the estimator.

    Attributes:
      windows: that are run; not changed by who goes on from here.
      threshold: of events.
      place: how it is said where they are, of `PLACES`.
      times_s: in parts float64 [n]: when each frame begins.
    """

    windows: OverlappingWindows
    threshold: float
    place: str
    times_s: Parts = ()


class EventEstimator:
    """Counts with a network that gives an `EventOutput`.

    Args:
      network: the module.
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
        self._config, self._length = config, network.frames
        size = int(config["preprocessing"]["size"])
        self._sizes = batch_sizes or choose_batch_sizes(
            CPU_BATCH_SIZES, self._length, size
        )
        variables = jax.device_put(variables)

        def run(variables: Variables, windows: jax.Array) -> jax.Array:
            clips = normalised(windows)
            _, *seen = network.apply(variables, clips, method="features")
            flow = tuple(x.astype(jnp.float32) for x in seen)
            found = network.apply(variables, clips, flow or None)
            sound = jax.nn.softmax(found.logits)[..., 1:]  # [B, N, 1]
            middles = map_centres(found.maps)
            # A model that does not look at flow knows the map only.
            turning = turning_places(found.maps, *flow) if flow else middles
            return jnp.concatenate([sound, turning, middles], axis=-1)

        made = CompiledProgram(run, network, size, "events")
        self._program = lambda windows: made(variables, windows)

    def start(self, info: SourceInfo, options: EventOptions) -> EventState:
        """The state before the first chunk."""
        del info
        windows = OverlappingWindows(
            "ta2net", self._program, (STRIDE,), self._length, VALUES, self._sizes
        )
        threshold = options.threshold_of(self._config)
        return EventState(windows, threshold, options.place)

    def feed(self, state: EventState, chunk: Chunk) -> tuple[EventState, Partial]:
        """The state after a chunk; what it marks is known at the end only."""
        if not len(chunk.times_s):
            return state, Partial()
        windows = state.windows.copy()
        windows.feed(chunk)
        times_s = with_part(state.times_s, chunk.times_s)
        return EventState(windows, state.threshold, state.place, times_s), Partial()

    def finish(self, state: EventState) -> Measurement:
        """The measurement of everything that was fed.

        Its details: "strengths", the probability of each event, "places", where in the picture
        it is ([right, down] in 0 to 1), and "threshold".
        """
        times_s = np.concatenate([np.zeros(0), *state.times_s])
        details: dict[str, Any] = {"strengths": [], "places": []}
        details["threshold"] = state.threshold
        if not len(times_s):
            return Measurement(0.0, rate_of_sets(()), events=(), details=details)
        frame_s = times_s[-1] - times_s[-2] if len(times_s) > 1 else FRAME_S
        end_s = float(times_s[-1] + frame_s)
        rows = state.windows.copy().finish()[STRIDE].astype(np.float64)
        frames = peak_frames(rows[:, 0], state.threshold)
        details["strengths"] = [round(float(p), 4) for p in rows[frames, 0]]
        details["places"] = [
            [round(float(v), 4) for v in place]
            for place in rows[frames, PLACES[state.place]]
        ]
        sets = event_sets(times_s[frames], float(times_s[0]), end_s)
        density = np.zeros(len(times_s))
        density[frames] = 1.0
        count = float(len(frames))
        return Measurement(
            count=count,
            rate=rate_of_sets(sets),
            streams=(Stream("sight", count, 1.0),),
            sets=sets,
            events=tuple(times_s[frames].tolist()),
            density=Curve(tuple(times_s.tolist()), tuple(density.tolist())),
            details=details,
            end_s=end_s,
        )
