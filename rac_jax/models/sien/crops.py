"""Random crops of labelled videos: frames at the network's rate, with the phases of their cycles.

Of a video that is shorter than a crop the first frame is shown again before it, as the released
tools lead in theirs.
"""

import dataclasses

import numpy as np

from rac_jax.data.labelled import LabelledVideo
from rac_jax.data.labels import class_number
from rac_jax.models.sien.phases import PHASE_FIELDS


@dataclasses.dataclass(frozen=True)
class RandomCrops:
    """A crop from anywhere in a video, see `rac_jax.data.pipeline.Sampler`.

    Attributes:
      frames: T, of a crop.
      fps: of a crop.
      size: height and width of the videos' frames, in pixels.
      classes: names of the classes, in the order of their numbers; None for the phases of
        cycles instead.
    """

    frames: int
    fps: float
    size: int
    classes: tuple[str, ...] | None = None

    def blank(self) -> dict[str, np.ndarray]:
        """An example of zeros."""
        shape = (self.frames, self.size, self.size, 3)
        clips = {"clips": np.zeros(shape, np.uint8)}
        if self.classes is not None:
            return clips | {"label": np.int32(0)}
        return clips | _fields(np.zeros((4, self.frames)))

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """{"clips": uint8 [T, H, W, 3]} and the "label", or what `phases_of` says.

        Raises:
          ValueError: for a label that is no class, or a video whose cycles are not known.
        """
        step = video.fps / self.fps  # frames of the video to a frame of the crop
        room = int((len(video.frames) - 1) / step) + 1 - self.frames
        first = int(rng.integers(0, room + 1)) if room > 0 else room
        times = (first + np.arange(self.frames)) * step
        places = np.clip(np.rint(times), 0, len(video.frames) - 1).astype(int)
        clips = {"clips": video.frames[places]}
        if self.classes is None:
            return clips | _fields(phases_of(video, times, step))
        label = class_number(video.video_id, video.label, self.classes)
        return clips | {"label": np.int32(label)}


def phases_of(video: LabelledVideo, times: np.ndarray, step: float) -> np.ndarray:
    """Where a video is in its cycles.

    Args:
      video: with cycles; where it is not known when they turn round, it is half-way.
      times: [T] in frames of the video.
      step: frames of the video to a frame of the crop.

    Returns:
      float64 [4, T]: `PHASE_FIELDS`.

    Raises:
      ValueError: if the video's cycles are not known.
    """
    if video.cycles is None:
        raise ValueError(f"{video.video_id}: has no cycles, so its phases are unknown")
    found = np.zeros((4, len(times)))
    turns = video.cycles.mean(1) if video.turns is None else video.turns
    for (start, end), turn in zip(video.cycles, turns, strict=True):
        own = (times >= start) & (times < end)
        at = times[own]
        back = at >= turn
        out = np.where(back, turn, start), np.where(back, end, turn)
        found[0, own] = 0.5 * back + 0.5 * (at - out[0]) / (out[1] - out[0])
        found[1, own] = (at - start) / (end - start)
        found[2, own] = step / (end - start)
        found[3, own] = 1
    return found


def _fields(found: np.ndarray) -> dict[str, np.ndarray]:
    """The rows by their names, of the types that scenes have."""
    fields = dict(zip(PHASE_FIELDS, found.astype(np.float32), strict=True))
    return fields | {"inside": fields["inside"] > 0}
