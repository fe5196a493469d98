"""What a family wants to be fed with: how large, in which colours, at which rate."""

import dataclasses

ASPECTS = ("stretch", "crop", "pad")
COLOURS = ("rgb", "bgr", "grey")
MOST = 4096  # pixels a side; a model that wants more is a mistake in its config


@dataclasses.dataclass(frozen=True)
class FrameNeeds:
    """How a family wants its frames.

    Attributes:
      size: (height, width) in pixels; None for the size that is displayed.
      short_side: instead of `size`: pixels along the shorter side, the aspect ratio kept.
      aspect: how a picture of another aspect ratio is brought to `size`: "stretch" (not kept),
        "crop" (its middle), "pad" (black bars).
      interpolation: "area" (each source pixel counts, for networks trained on such) or
        "bilinear" (half-pixel centres, no anti-aliasing: OpenCV's INTER_LINEAR).
      colour: order of the channels, or "grey" for one channel of luma.
      most_fps: of faster pictures only every second frame is given, or fewer; None for all.

    Raises:
      ValueError: for an unknown word, a size that cannot be, or both `size` and `short_side`.
    """

    size: tuple[int, int] | None = None
    short_side: int | None = None
    aspect: str = "stretch"
    interpolation: str = "area"
    colour: str = "rgb"
    most_fps: float | None = None

    def __post_init__(self):
        if self.size is not None and self.short_side is not None:
            raise ValueError("needs: size and short_side exclude each other")
        if self.size is not None and not 1 <= min(self.size) <= max(self.size) <= MOST:
            raise ValueError(f"needs: size {self.size} must be from 1 to {MOST} pixels")
        if self.short_side is not None and not 1 <= self.short_side <= MOST:
            raise ValueError(
                f"needs: short_side {self.short_side} must be from 1 to {MOST} pixels"
            )
        for name, known in (("aspect", ASPECTS), ("colour", COLOURS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"needs: {name} {getattr(self, name)!r} is not one of "
                    f"{', '.join(known)}"
                )
        if self.most_fps is not None and not self.most_fps > 0:
            raise ValueError(f"needs: most_fps {self.most_fps} must be above 0")


@dataclasses.dataclass(frozen=True)
class SoundNeeds:
    """How a family wants its sound: mono float32 samples in [-1, 1] at this rate."""

    rate: int

    def __post_init__(self):
        if self.rate < 1:
            raise ValueError(f"needs: a sound of {self.rate} samples per second")


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a family wants of a file; None for what it does not look at or listen to."""

    frames: FrameNeeds | None
    sound: SoundNeeds | None
