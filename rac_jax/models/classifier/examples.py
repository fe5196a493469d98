"""From a labelled video to what the network is given: random clips and sounds, and fixed ones."""

import dataclasses

import numpy as np

from rac_jax.data.labelled import LabelledVideo
from rac_jax.data.labels import class_number
from rac_jax.ops.sound_format import HOP, OVERLAP


def sound_samples(columns: int) -> int:
    """S, the samples that so many columns of a spectrogram see."""
    return columns * HOP + OVERLAP


def _clip(video: LabelledVideo, first: int, frames: int, stride: int) -> np.ndarray:
    """Frames [T, H, W, 3] from one on; a video that is too short begins again."""
    index = (first + stride * np.arange(frames)) % len(video.frames)
    return video.frames[index]


def _room(video: LabelledVideo, frames: int, stride: int) -> int:
    """Frames at which a clip may begin beyond the first."""
    return max(0, len(video.frames) - ((frames - 1) * stride + 1))


def _segment(waveform: np.ndarray, first: int, samples: int) -> np.ndarray:
    """Samples [S] from one on; a sound that is too short begins again."""
    return waveform[(first + np.arange(samples)) % len(waveform)]


@dataclasses.dataclass(frozen=True)
class RandomClips:
    """A clip from anywhere in a video, see `rac_jax.data.pipeline.Sampler`.

    Attributes:
      classes: names of the classes, in the order of their numbers.
      frames: T, of a clip.
      stride: frames of the video from one of the clip to the next.
      size: height and width of the videos' frames, in pixels.
    """

    classes: tuple[str, ...]
    frames: int
    stride: int
    size: int

    def blank(self) -> dict[str, np.ndarray]:
        """An example of zeros."""
        shape = (self.frames, self.size, self.size, 3)
        return {"clips": np.zeros(shape, np.uint8), "label": np.int32(0)}

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """{"clips": uint8 [T, H, W, 3], "label": number of the class}."""
        label = class_number(video.video_id, video.label, self.classes)
        first = int(rng.integers(0, _room(video, self.frames, self.stride) + 1))
        clip = _clip(video, first, self.frames, self.stride)
        return {"clips": clip, "label": np.int32(label)}


@dataclasses.dataclass(frozen=True)
class RandomSounds:
    """A part of a video's sound, likewise; nothing is learned from a silent video.

    Attributes:
      classes: names of the classes, in the order of their numbers.
      samples: S, of a part.
    """

    classes: tuple[str, ...]
    samples: int

    def blank(self) -> dict[str, np.ndarray]:
        """An example of zeros."""
        return {"waveform": np.zeros(self.samples, np.float32), "label": np.int32(0)}

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """{"waveform": float32 [S], "label": number of the class}, and "mask" if it is silent."""
        label = class_number(video.video_id, video.label, self.classes)
        if video.waveform is None:
            return self.blank() | {"mask": np.False_}
        room = max(0, len(video.waveform) - self.samples)
        first = int(rng.integers(0, room + 1))
        part = _segment(video.waveform, first, self.samples).astype(np.float32)
        return {"waveform": part, "label": np.int32(label)}


def even_clips(
    video: LabelledVideo, number: int, frames: int, stride: int
) -> np.ndarray:
    """Clips uint8 [number, T, H, W, 3] evenly from a video's beginning to its end."""
    room = _room(video, frames, stride)
    starts = np.rint(_places(number) * room).astype(int)
    return np.stack([_clip(video, first, frames, stride) for first in starts])


def even_sounds(waveform: np.ndarray, number: int, samples: int) -> np.ndarray:
    """Parts [number, S] of a waveform [S'] evenly from its beginning to its end."""
    starts = np.rint(_places(number) * max(0, len(waveform) - samples)).astype(int)
    parts = [_segment(waveform, first, samples) for first in starts]
    return np.stack(parts).astype(np.float32)


def _places(number: int) -> np.ndarray:
    """Places from 0 to 1; one alone is in the middle."""
    return np.linspace(0, 1, number) if number > 1 else np.array([0.5])
