"""What is compared: a case, and the inputs that both sides draw from its seed."""

import dataclasses

import numpy as np

from benchmarks.compare.suites import NARROW, SUITES
from rac_jax.ops.sound_format import BINS, RATE

# Where the other side does not choose one.
LEARNING_RATE = 1e-3
# The part of the loss that the first step should take away.
DESCENT = 0.1
MOMENTUM = 0.9
FPS = 25.0


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
      suite: a key of `suites.SUITES`. Nothing in it is left to chance: dropout and stochastic
        depth drop nothing, on either side.
      mode: "forward" (inference), "train" (one step of SGD with momentum on all parameters) or
        "count" (the released procedure on a whole video; of "full" only).
      device: "cpu" or "gpu".
      batch: clips.
      dtype: compute type of the encoders.
      encoder: of sight.
      frames: per clip, or per window of "tsm".
      size: of the clip's square frames, in pixels.
      columns: of the spectrogram.
      seconds: of the video of "count".
      width: channel multiplier of the suites of `suites.NARROW`.
    """

    suite: str
    mode: str
    device: str
    batch: int
    dtype: str
    encoder: str = "s3d"
    frames: int = 64
    size: int = 112
    columns: int = 500
    seconds: float = 8.0
    width: float = 1.0

    def __post_init__(self):
        suite = SUITES[self.suite]
        if self.width != 1 and not suite.narrow:
            raise ValueError(
                f"width: is of suites {', '.join(NARROW)}, not {self.suite}"
            )
        if self.frames % suite.multiple:
            raise ValueError(
                f"frames: {self.frames} is not a multiple of {suite.multiple}, which suite "
                f"{self.suite} needs"
            )
        if self.mode == "count" and self.suite != "full":
            raise ValueError(f"mode count: is of suite full, not {self.suite}")
        if self.mode == "train" and self.suite == "tsm":
            raise ValueError("mode train: suite tsm has nothing to train")
        if self.suite in ("stride", "full") and self.encoder != "s3d":
            raise ValueError(f"encoder: of suite {self.suite} it is s3d only")

    @property
    def title(self) -> str:
        """For tables and messages."""
        more = self.encoder if self.suite == "sight" else ""
        if SUITES[self.suite].narrow:
            more = f"width {self.width:g}"
        name = f"{self.suite} ({more})" if more else self.suite
        return f"{name} {self.mode}, batch {self.batch}, {self.dtype}"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Which arrays of `draw_inputs` the networks take."""
        if self.suite == "sound":
            return ("spectrograms",)
        if self.suite == "tsm":
            return ("features",)
        if self.suite in ("stride", "full"):
            return ("clips", "spectrograms")
        return ("clips",)


TSM_CHANNELS = 512
FIRST_LAG, LAST_LAG = 2, 40


def draw_inputs(case: Case) -> dict[str, np.ndarray]:
    """What goes in, channels last: "clips" [B, T, H, W, 3], "spectrograms" [B, 257, n],
    "features" [B, T, C], float32; only those that the case needs."""
    rng = np.random.default_rng(0)
    shapes = {
        "clips": (case.batch, case.frames, case.size, case.size, 3),
        "spectrograms": (case.batch, BINS, case.columns),
        "features": (case.batch, case.frames, TSM_CHANNELS),
    }
    return {
        name: rng.standard_normal(shapes[name], dtype=np.float32)
        for name in case.inputs
    }


def draw_video(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """A bar that swings over noise, and a knock per swing: frames [T,112,112,3], samples [S]."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 150, (1, 112, 112, 3), np.uint8)
    frames = np.repeat(noise, round(case.seconds * FPS), 0)
    for t, frame in enumerate(frames):
        left = int(50 + 40 * np.sin(2 * np.pi * t / FPS / 0.8))
        frame[30:80, left : left + 14] = 240
    t = np.arange(round(case.seconds * RATE)) / RATE
    knocks = rng.normal(size=t.size) * 0.3 * np.exp(-25 * (t % 0.8))
    return frames, knocks.astype(np.float32)
