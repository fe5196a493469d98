"""Windows out of videos without labels: a clip of each is repeated (RepNet, section 3.3).

A short part of a video, at a random pace, is shown again and again, sometimes forth and back;
before and after stand other parts of the same video, which do not repeat. Nothing of the video's
own labels is looked at.
"""

import dataclasses

import numpy as np

from rac_jax.data.labelled import LabelledVideo

FASTEST = 2.0  # frames of a window that a repetition takes at least
MOST_PACE = 4.0  # frames of the video to one of the window, at most
FEWEST = 2.0  # repetitions of a clip that is repeated


@dataclasses.dataclass(frozen=True)
class RepeatedClips:
    """From a video to one window, see `rac_jax.data.pipeline.Sampler`.

    Attributes:
      frames: N, of a window.
      size: height and width of the frames, in pixels.
      longest: period in frames of the window, at most.
      still: probability of a window in which nothing is repeated.
      reverse: probability that every repetition goes forth and back.
    """

    frames: int
    size: int
    longest: float
    still: float = 0.2
    reverse: float = 0.3

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
        """A window; one of a video too short to hold two different frames shows what there is."""
        total, place = len(video.frames), np.arange(self.frames)
        pace = rng.uniform(0.5, MOST_PACE)
        begin = rng.uniform(0, max(0.0, total - 1))
        if rng.uniform() < self.still or total < 2:
            index = begin + pace * place
            return self._window(video, index, np.zeros(self.frames))

        # A period and where the repetition begins and ends, two repetitions at least.
        period = np.exp(rng.uniform(np.log(FASTEST), np.log(self.longest)))
        most = self.frames / period
        number = rng.uniform(min(FEWEST, most), most)
        first = rng.uniform(0, self.frames - number * period)
        last = first + number * period
        inside = (place >= first) & (place < last)
        phase = ((place - first) / period) % 1.0
        if rng.uniform() < self.reverse:
            phase = 1 - np.abs(2 * phase - 1)
        # Before and after it the video goes on elsewhere, or rests.
        other = rng.uniform(0, total - 1) + pace * (place - first)
        if rng.uniform() < 0.3:
            other = np.where(place < first, begin, begin + pace * period)
        index = np.where(inside, begin + pace * period * phase, other)
        return self._window(video, index, inside / period)

    def _window(
        self, video: LabelledVideo, index: np.ndarray, rate: np.ndarray
    ) -> dict[str, np.ndarray]:
        # Beyond its ends a video runs back: no frame stands still for long.
        last = len(video.frames) - 1
        folded = np.abs((index + last) % (2 * last) - last) if last else 0 * index
        frames = video.frames[np.rint(folded).astype(int)]
        return {
            "windows": frames,
            "rate": rate.astype(np.float32),
            "periodic": rate > 0,
        }
