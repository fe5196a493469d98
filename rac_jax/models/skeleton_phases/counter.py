"""Counting repetitions of a skeleton: all of its poses at once, as these networks see both sides
of every moment (paper 3: "only SI-EN can make predictions on-line")."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from rac_jax.counting.family import Variables
from rac_jax.counting.programs import CompiledProgram
from rac_jax.counting.result import Curve, Measurement, Stream, rate_of_sets
from rac_jax.counting.steady import SteadyFrames
from rac_jax.encoders.skeleton_layers import STRIDE
from rac_jax.models.sien.estimator import sets_of_cycles
from rac_jax.models.sien.phases import DECODERS, SCHEMES, PhaseCounter, PhaseState
from rac_jax.models.skeleton_phases.network import PhasesOfSkeletons
from rac_jax.ops.skeletons import to_openpose

# Poses are padded to a multiple of so many, so that few programs are compiled.
PIECE = 64


class SkeletonCounter:
    """Counts with a network of phases.

    Args:
      network: the module.
      variables: its variables.
      config: the model's `config.json`.

    Raises:
      ValueError: for another number of phases than the scheme has, or an unknown scheme.
    """

    def __init__(
        self,
        network: PhasesOfSkeletons,
        variables: Variables,
        config: Mapping[str, Any],
    ):
        scheme, decoder = config["scheme"], config.get("decoder", DECODERS[0])
        self._phases = PhaseCounter(scheme, decoder)
        if len(SCHEMES[scheme]) != network.phases:
            raise ValueError(
                f"phases: {network.phases}, the scheme {scheme} has {len(SCHEMES[scheme])}"
            )
        self._network, self._fps = network, float(config["preprocessing"]["fps"])

        def run(variables: Variables, poses: jax.Array) -> jax.Array:
            return jax.nn.softmax(network.apply(variables, poses).phases)

        self._program = CompiledProgram(run, network, "skeleton phases", ())
        self._variables = jax.device_put(variables)

    def count(self, poses: np.ndarray, times_s: np.ndarray) -> Measurement:
        """Counts the repetitions of one person.

        Args:
          poses: [T, 33, 3] in BlazePose's joints, or already in those of the network; see
            `rac_jax.ops.skeletons`.
          times_s: [T] rising, in seconds.

        Returns:
          The measurement; its details are those of a network of phases: "scheme", "decoder" and
          the mean of each phase. A repetition that is not over at the end does not count.

        Raises:
          ValueError: for other joints.
        """
        steady, chosen, ticks_s = SteadyFrames(self._fps).feed(poses, times_s)
        more, later_s = steady.finish()
        chosen, ticks_s = [*chosen, *more], [*ticks_s, *later_s]
        state, rows = PhaseState(), np.zeros((0, self._network.phases))
        if chosen:
            rows = self._look(np.stack(chosen).astype(np.float32))
        for time_s, row in zip(ticks_s[::STRIDE], rows, strict=True):
            state = self._phases.feed(state, row, time_s)
        sets = sets_of_cycles(state.cycles)
        count = float(len(state.cycles))
        means = rows.mean(0) if len(rows) else ()
        names = SCHEMES[self._phases.scheme]
        return Measurement(
            count=count,
            rate=rate_of_sets(sets),
            streams=(Stream("sight", count, 1.0),) if len(rows) else (),
            sets=sets,
            foreground=Curve(tuple(ticks_s[::STRIDE]), tuple(1 - rows[:, 0])),
            details={
                "scheme": self._phases.scheme,
                "decoder": self._phases.decoder,
                "phases": dict(zip(names, map(float, means), strict=False)),
            },
            end_s=float(times_s[-1]) if len(times_s) else 0.0,
        )

    def _look(self, poses: np.ndarray) -> np.ndarray:
        """Probabilities [ceil(T / 4), P] of poses [T, V, 3] at the network's rate."""
        length = len(poses)
        if self._network.layout == "openpose-18" and poses.shape[1] == 33:
            poses = np.asarray(to_openpose(poses))
        # What is repeated at the end is cut off again.
        padded = np.pad(poses, ((0, -length % PIECE), (0, 0), (0, 0)), mode="edge")
        found = self._program(self._variables, padded[None, None])
        return np.asarray(found)[0, : -(-length // STRIDE)]
