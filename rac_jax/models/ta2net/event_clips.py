"""Windows out of labelled videos: consecutive frames with one of sound among them."""

import dataclasses

import numpy as np

from rac_jax.data.labelled import LabelledVideo


@dataclasses.dataclass(frozen=True)
class EventClips:
    """From a video to one window, see `rac_jax.data.pipeline.Sampler`.

    As the authors draw them: a frame of sound, and a start before it at random. Where a video ends
    within the window, its last frame is repeated and nothing is learned of it; the authors repeat
    its label, too.

    Attributes:
      frames: N, of a window.
      size: height and width of the frames, in pixels.
    """

    frames: int
    size: int

    def blank(self) -> dict[str, np.ndarray]:
        """An example of zeros."""
        return {
            "windows": np.zeros((self.frames, self.size, self.size, 3), np.uint8),
            "rate": np.zeros(self.frames, np.float32),
            "periodic": np.zeros(self.frames, bool),
        }

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """A window; of a video without known events nothing is learned."""
        total = len(video.frames)
        known = video.events is not None
        marked = np.zeros(total, bool)
        if known:
            places = np.round(np.asarray(video.events)).astype(int)
            marked[places[(places >= 0) & (places < total)]] = True
        sounding = np.flatnonzero(marked)
        one = int(rng.choice(sounding)) if len(sounding) else int(rng.integers(total))
        first = int(rng.integers(max(0, one - self.frames + 1), one + 1))
        place = first + np.arange(self.frames)
        real, index = place < total, np.minimum(place, total - 1)
        return {
            "windows": video.frames[index],
            "rate": (marked[index] & real).astype(np.float32),
            "periodic": real & known,
        }
