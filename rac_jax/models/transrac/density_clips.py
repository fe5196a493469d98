"""Windows out of labelled videos: N frames of the whole video, or consecutive ones at a stride."""

import dataclasses

import numpy as np
import scipy.special

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.transrac.blended import LONGEST, SHORTEST
from rac_jax.models.transrac.sampled import sampled_indices
from rac_jax.ops.density import SIGMAS

# Windows of the whole video as the papers show them, or of a part at a stride.
CUTS = ("whole", "parts")


def density_of(cycles: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """What a density has between edges: bumps of area 1, added; as `ops.density` on the host.

    Args:
      cycles: [K, 2] in frames.
      edges: [n + 1] rising, in frames.

    Returns:
      [n].
    """
    start, end = np.asarray(cycles, np.float64).reshape(-1, 2).T
    width = np.maximum(end - start, 1e-3) / SIGMAS
    far = (edges[None] - (start + end)[:, None] / 2) / width[:, None]
    return np.diff(scipy.special.ndtr(far), axis=1).sum(0)


@dataclasses.dataclass(frozen=True)
class DensityClips:
    """From a video to one window, see `rac_jax.data.pipeline.Sampler`.

    Attributes:
      frames: N, of a window.
      size: height and width of the frames, in pixels.
      cut: of `CUTS`.
      strides: of which one is drawn for a part.
    """

    frames: int
    size: int
    cut: str
    strides: tuple[int, ...]

    def blank(self) -> dict[str, np.ndarray]:
        """An example of zeros."""
        return {
            "windows": np.zeros((self.frames, self.size, self.size, 3), np.uint8),
            "rate": np.zeros(self.frames, np.float32),
            "periodic": np.zeros(self.frames, bool),
            "count": np.float32(0),
            "known": np.False_,
        }

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """A window. Of a video with a count alone only the whole has a known count.

        Of a part without cycles the count is the covered share.
        """
        total = len(video.frames)
        if self.cut == "whole":
            index = sampled_indices(total, self.frames, 0)
            edges = np.append(np.linspace(0, total, self.frames + 1)[:-1], total)
            if total < self.frames:
                edges = np.minimum(np.arange(self.frames + 1), total)
        else:
            stride = int(rng.choice(self.strides))
            first = int(rng.integers(0, max(1, total - stride * self.frames + 1)))
            edges = np.minimum(first + stride * np.arange(self.frames + 1), total)
            index = np.minimum(edges[:-1], total - 1)
        rate, inside = np.zeros(self.frames), np.zeros(self.frames, bool)
        known = video.cycles is not None
        if known:
            cycles = np.asarray(video.cycles, np.float64)
            if self.cut == "parts":
                # What the stride cannot show is another one's.
                length = (cycles[:, 1] - cycles[:, 0]) / stride
                fits = (length >= SHORTEST) & (length <= LONGEST * self.frames)
                cycles = cycles[fits]
            rate = density_of(cycles, np.asarray(edges, np.float64))
            middle = (edges[:-1] + edges[1:]) / 2
            inside = (middle >= cycles[:, :1]) & (middle < cycles[:, 1:])
            inside = inside.any(0) & (np.diff(edges) > 0)
        covered = (edges[-1] - edges[0]) / total
        count = rate.sum() if known else video.count * covered
        return {
            "windows": video.frames[index],
            "rate": rate.astype(np.float32),
            "periodic": inside,
            "count": np.float32(count),
            "known": np.bool_(known),
        }
