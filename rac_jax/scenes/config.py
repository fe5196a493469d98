"""What a procedural scene may contain: sizes, tempo and the probabilities of its ingredients."""

import dataclasses

from rac_jax.ops import sound_format

KINDS = ("orbit", "stroke", "limb", "figure", "wheel", "bounce", "breath")

# The seven challenges of paper 1's extreme split (section 4.1), as switches.
CHALLENGES = (
    "camera viewpoint change",
    "clutter",
    "low illumination",
    "fast motion",
    "disappearing activity",
    "scale variation",
    "low resolution",
)
FAST_PERIOD = (3.0, 8.0)  # frames, of the challenge of fast motion

# Damage to the picture and to the sound of a scene, by the number in its labels.
PICTURE_DAMAGE = ("none", "dark", "coarse", "occluded")
SOUND_DAMAGE = ("none", "noise", "missing", "silent", "music", "speech")


@dataclasses.dataclass(frozen=True)
class SceneConfig:
    """The distribution of scenes; plain numbers, hashable, so it can be a static argument.

    Attributes:
      frames: T, frames in the scene.
      height: H, pixels.
      width: W, pixels.
      fps: frames per second.
      rate: samples per second of the sound.
      period: (lowest, highest) mean period in frames, drawn log-uniformly.
      max_cycles: K, room for cycles; must cover the shortest period.
      min_cycles: cycles that a whole (not cut) scene has at least; its tempo rises if need be.
      cut: probability that the repetition runs through both ends of the scene, so that the
        count is a fraction; otherwise whole cycles lie between a lead-in and a lead-out.
      still: probability of a scene without repetition (stillness or irregular motion).
      pause: probability of a scene with pauses between cycles.
      jitter: largest standard deviation of the logarithm of a cycle's length.
      tempo_drift: largest change of the logarithm of the period over the scene.
      camera: scale of the camera's drift, zoom and shake; 0 is a tripod.
      distractor: probability of another thing that moves, without repeating or with a rhythm of
        its own.
      distractor_rhythm: probability that such a thing has one.
      shot_change: probability of a cut to another view of the same motion.
      gestures: of the scenes without repetition, the share that moves a lot, irregularly.
      picture_damage: probability that the picture is dark, coarse or occluded.
      sound_damage: probability that the sound is noisy, lacks hits, is silent, or that only
        music or speech is heard, with a rhythm of its own.
      one_damaged: probability that exactly one of the two is damaged, as often the picture as
        the sound; otherwise the two probabilities above hold, each on its own.
      challenges: what makes all of these scenes hard, of `CHALLENGES`.
      kinds: names of the motions to draw from, of `KINDS`.
      air: probability that a stroke or a bounce has nothing to touch: it moves as ever, but what
        it would hit is not there.
      timbre: probability that a scene sounds as its kind of motion does (`sound.TIMBRES`), so that
        kinds can be told by ear as far as they do not share a sound; otherwise sounds tell nothing
        of them.
      clean: keep noise, light changes and the lead-in's one-off movements out (for samples).
    """

    frames: int = 64
    height: int = 112
    width: int = 112
    fps: float = 25.0
    rate: int = sound_format.RATE
    period: tuple[float, float] = (4.5, 45.0)
    max_cycles: int = 32
    min_cycles: int = 2
    cut: float = 0.0
    still: float = 0.1
    pause: float = 0.2
    jitter: float = 0.12
    tempo_drift: float = 0.25
    camera: float = 1.0
    distractor: float = 0.35
    distractor_rhythm: float = 0.12
    shot_change: float = 0.08
    gestures: float = 0.5
    picture_damage: float = 0.0
    sound_damage: float = 0.0
    one_damaged: float = 0.0
    challenges: tuple[str, ...] = ()
    kinds: tuple[str, ...] = KINDS
    air: float = 0.0
    timbre: float = 0.0
    clean: bool = False

    def __post_init__(self):
        for name in ("frames", "height", "width", "rate", "max_cycles", "min_cycles"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"SceneConfig.{name}: {getattr(self, name)} is not positive"
                )
        if self.fps <= 0:
            raise ValueError(f"SceneConfig.fps: {self.fps} is not positive")
        low, high = self.period
        if not 0 < low <= high:
            raise ValueError(
                f"SceneConfig.period: {self.period} is not (low, high) above 0"
            )
        if self.min_cycles > self.max_cycles:
            raise ValueError(
                f"SceneConfig.min_cycles: {self.min_cycles} is over max_cycles, {self.max_cycles}"
            )
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ValueError(
                f"SceneConfig.kinds: {unknown or 'none'}; the kinds are {', '.join(KINDS)}"
            )

        unknown = [name for name in self.challenges if name not in CHALLENGES]
        if unknown:
            raise ValueError(
                f"SceneConfig.challenges: {unknown[0]!r} is not one of "
                f"{', '.join(CHALLENGES)}"
            )

    def has(self, challenge: str) -> bool:
        """Whether a challenge is switched on."""
        return challenge in self.challenges

    @property
    def samples(self) -> int:
        """S, samples of sound in the scene."""
        return round(self.frames / self.fps * self.rate)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.fps
