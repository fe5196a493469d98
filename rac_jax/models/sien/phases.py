"""Phases of a repetition and how they are counted: paper 3, section 3.6, and the field's counter.

Three schemes name the phases: "ends" (within a repetition, its end), "middles" (within, middle,
end) and "halves" (first half, second half). All have a class 0 of ours, "background", in which
nothing repeats: the paper's videos show nothing else than repetitions.

`PhaseCounter` reads the classes in one of two ways. "argmax" is the paper's: a repetition is
counted where its end is seen, if a middle was seen before (with "ends", which has none, the
inside; with "halves", where a second half that followed a first one is over). "thresholds" is
that of the paper's released tools: two positions, and one is counted on the way back.
"""

import dataclasses

import numpy as np

# By scheme: its classes; those that are the far position; those that are the end, or home.
SCHEMES = {
    "ends": ("background", "within", "end"),
    "middles": ("background", "within", "middle", "end"),
    "halves": ("background", "first half", "second half"),
}
FAR = {"ends": (1,), "middles": (2,), "halves": (2,)}
HOME = {"ends": (2,), "middles": (3,), "halves": (0, 1)}
# With "halves" the far position counts only after this class.
BEFORE = {"halves": 1}
# Of frames: what their phase is worked out from, see `losses.phase_targets`.
PHASE_FIELDS = ("stage", "phase", "rate", "inside")
DECODERS = ("argmax", "thresholds")
# Probability from which a position is taken, of the released tools.
THRESHOLD = 0.4

Cycle = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class PhaseState:
    """What is remembered of phases; a value.

    Attributes:
      far: whether the far position was seen since the last repetition.
      ready: whether what must come before it was.
      begin_s: when the repetition at hand began, None where there is none.
      cycles: (start_s, end_s) of what was counted.
      recent: the newest probabilities, fewer than are averaged.
    """

    far: bool = False
    ready: bool = False
    begin_s: float | None = None
    cycles: tuple[Cycle, ...] = ()
    recent: tuple[tuple[float, ...], ...] = ()


@dataclasses.dataclass(frozen=True)
class PhaseCounter:
    """Counts phases one after the other.

    Attributes:
      scheme: of `SCHEMES`.
      decoder: of `DECODERS`.
      far: probability above which the far position is taken, by "thresholds".
      home: the same of the other one.
      average: of how many of the newest probabilities the mean is looked at.

    Raises:
      ValueError: for an unknown scheme or decoder, or numbers out of their range.
    """

    scheme: str
    decoder: str = DECODERS[0]
    far: float = THRESHOLD
    home: float = THRESHOLD
    average: int = 1

    def __post_init__(self):
        for name, known in (("scheme", SCHEMES), ("decoder", DECODERS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}: {getattr(self, name)!r} is not one of {', '.join(known)}"
                )
        for name in ("far", "home"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f"{name}: {getattr(self, name)} is not between 0 and 1"
                )
        if self.average < 1:
            raise ValueError(f"average: {self.average} is not 1 or more")

    def feed(
        self, state: PhaseState, probabilities: np.ndarray, time_s: float
    ) -> PhaseState:
        """The state after one more prediction.

        Args:
          state: before it.
          probabilities: [P] of the scheme's classes.
          time_s: of the newest frame that it is of.

        Returns:
          The state; a repetition that it completes ends at `time_s`.
        """
        recent = (*state.recent, tuple(map(float, probabilities)))[-self.average :]
        mean = np.mean(recent, axis=0)  # [P]
        phase = int(np.argmax(mean))
        begin_s = state.begin_s
        if phase and begin_s is None:
            begin_s = time_s
        is_far, is_home = self._positions(mean, phase)
        # What comes first with "halves", where the paper's decoder reads it.
        before = BEFORE.get(self.scheme)
        strict = before is not None and self.decoder == "argmax"
        ready = state.ready or not strict or phase == before
        far = state.far or (is_far and ready)

        cycles = state.cycles
        if far and is_home:
            start_s = time_s if begin_s is None else begin_s
            cycles = (*cycles, (start_s, time_s))
            far, ready = False, phase == before
            begin_s = time_s if phase else None
        elif not phase and not far:
            begin_s, ready = None, False
        return PhaseState(far, ready, begin_s, cycles, recent)

    def _positions(self, mean: np.ndarray, phase: int) -> tuple[bool, bool]:
        """(whether it is at the far position, whether at the other one)."""
        far, home = FAR[self.scheme], HOME[self.scheme]
        if self.decoder == "argmax":
            return phase in far, phase in home
        at_far = sum(mean[list(far)]) > self.far
        return at_far, not at_far and sum(mean[list(home)]) > self.home
