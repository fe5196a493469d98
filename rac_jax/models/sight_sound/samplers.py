"""From a labelled video to one training example: which clip, which sound, which labels.

Each kind of example is a small picklable callable, `cut(video, rng) -> dict of arrays`, that
draws only from the generator it is given; `cut.blank()` has the same shapes and stands for a
video that could not be read. Clips are uint8 and not augmented: that happens on the device.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from rac_jax.data.labelled import BINS, LabelledVideo
from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound.clips import CLIP_FRAMES, SEGMENT_COLUMNS

POSITIVES = ("two_repetitions", "released")
LEAST_REPETITIONS = 2.0  # that a clip or a segment of sound is to hold


def positive_stride(period: float, largest: int, rule: str = "two_repetitions") -> int:
    """The temporal stride S* of a video, paper 1, section 3.3.

    Args:
      period: frames per repetition, may be infinite.
      largest: S_K.
      rule: "two_repetitions": the smallest whose clip covers two; "released": the authors'
        floor((period + 2) / 32) + 1.

    Returns:
      The stride, `largest` where none is large enough.

    Raises:
      ValueError: for another rule.
    """
    if rule not in POSITIVES:
        raise ValueError(f"positive: {rule!r} is not one of {', '.join(POSITIVES)}")
    if not np.isfinite(period):
        return largest
    if rule == "released":
        return int(min((period + 2) // (CLIP_FRAMES / 2) + 1, largest))
    return int(np.clip(np.ceil(LEAST_REPETITIONS * period / CLIP_FRAMES), 1, largest))


def cut_clip(video: LabelledVideo, positions: np.ndarray) -> np.ndarray:
    """Frames by number, -1 for padding, as uint8 [n, H, W, 3]; padding is black here."""
    clip = video.frames[np.maximum(positions, 0)]
    clip[positions < 0] = 0
    return clip


def gather_columns(columns: np.ndarray | None, positions: np.ndarray) -> np.ndarray:
    """A spectrogram at fractional positions, see `clips`; zero past its ends.

    Args:
      columns: [257, n], or None for no sound.
      positions: [m] as `clips.span_columns` gives them.

    Returns:
      float16 [257, m].
    """
    if columns is None or columns.shape[1] == 0:
        return np.zeros((BINS, len(positions)), np.float16)
    last = columns.shape[1] - 1
    low = np.floor(positions).astype(np.int64)
    fraction = (positions - low).astype(np.float32)

    def at(index):
        inside = (index >= 0) & (index <= last) & (positions >= 0)
        return columns[:, np.clip(index, 0, last)].astype(np.float32) * inside

    return ((1 - fraction) * at(low) + fraction * at(low + 1)).astype(np.float16)


def sound_under(video: LabelledVideo, first: float, last: float) -> np.ndarray:
    """The sound that goes with frames [first, last), as float16 [257, 500]."""
    if video.columns is None:
        return gather_columns(None, np.zeros(SEGMENT_COLUMNS))
    available = video.columns.shape[1]
    per_frame = available / len(video.frames)
    span = (round(first * per_frame), round(last * per_frame))
    positions = clip_index.span_columns(*span, available)
    return gather_columns(video.columns, positions)


@dataclasses.dataclass(frozen=True)
class SightCut:
    """A clip at the video's stride, at a random start.

    Attributes:
      size: height and width of the frames.
      largest: S_K.
      labels: "share" or "cycles", see `LabelledVideo.progress`.
      positive: rule of `positive_stride`.
      classes: action labels by number, for supervision with them.
      jitter: largest random shift of the stride, in strides (temporal jitter).
    """

    size: int
    largest: int
    labels: str = "share"
    positive: str = "two_repetitions"
    classes: tuple[str, ...] = ()
    jitter: int = 0

    def blank(self) -> dict[str, np.ndarray]:
        return {
            "clip": np.zeros((CLIP_FRAMES, self.size, self.size, 3), np.uint8),
            "real": np.zeros(CLIP_FRAMES, bool),
            "rate": np.zeros(CLIP_FRAMES, np.float32),
            "count": np.float32(0),
            "label": np.int32(-1),
        }

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        stride = positive_stride(video.period, self.largest, self.positive)
        if self.jitter:
            stride += int(rng.integers(-self.jitter, self.jitter, endpoint=True))
            stride = int(np.clip(stride, 1, self.largest))
        return self.at(video, stride, _start(video, stride, rng))

    def at(self, video: LabelledVideo, stride: int, start: int) -> dict:
        """The example of one stride and first frame."""
        positions = clip_index.clip_indices(len(video.frames), stride, start)
        edges = start + stride * np.arange(CLIP_FRAMES + 1)
        rate = np.diff(video.progress(edges, self.labels)).astype(np.float32)
        return {
            "clip": cut_clip(video, positions),
            "real": positions >= 0,
            "rate": rate,
            "count": rate.sum(dtype=np.float32),
            "label": _label(video, self.classes),
        }


@dataclasses.dataclass(frozen=True)
class SoundCut:
    """A segment of the spectrogram, squeezed in time so that it holds two repetitions.

    Half of the segments are as short as that allows, the others squeezed further at random.

    Attributes:
      labels, classes: as in `SightCut`.
      highest: repetitions that squeezing further leads to at most.
    """

    labels: str = "share"
    classes: tuple[str, ...] = ()
    highest: float = 20.0

    def blank(self) -> dict[str, np.ndarray]:
        return {
            "spectrogram": np.zeros((BINS, SEGMENT_COLUMNS), np.float16),
            "columns": np.int32(0),
            "rate": np.zeros(SEGMENT_COLUMNS, np.float32),
            "count": np.float32(0),
            "label": np.int32(-1),
        }

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        available = 0 if video.columns is None else video.columns.shape[1]
        if not available:
            # Counting silence would be guessing: it is not an example.
            return self.blank() | {"mask": np.False_}
        per_frame = available / len(video.frames)
        period = video.period * per_frame  # columns per repetition
        least = np.clip(LEAST_REPETITIONS * period, SEGMENT_COLUMNS, available)
        most = np.clip(self.highest * period, least, max(available, least))
        length = least if rng.random() < 0.5 else rng.uniform(least, most)
        length = int(max(length, SEGMENT_COLUMNS))
        first = int(rng.integers(0, max(available - length, 0), endpoint=True))
        positions = clip_index.span_columns(first, first + length, available)
        edges = first + np.linspace(0, length, SEGMENT_COLUMNS + 1)
        rate = np.diff(video.progress(edges / per_frame, self.labels))
        return {
            "spectrogram": gather_columns(video.columns, positions),
            "columns": np.int32(np.sum((positions >= 0) & (positions < available))),
            "rate": rate.astype(np.float32),
            "count": rate.sum(dtype=np.float32),
            "label": _label(video, self.classes),
        }


@dataclasses.dataclass(frozen=True)
class StrideCut:
    """A clip at the positive stride and one at a negative stride, with the sound under them.

    Attributes:
      size: height and width of the frames.
      strides: rising, those of the roles.
      positive: video_id to index of its positive stride.
      negatives: video_id to indices of its negative strides.
    """

    size: int
    strides: tuple[int, ...]
    positive: Mapping[str, int]
    negatives: Mapping[str, Sequence[int]]

    def blank(self) -> dict[str, np.ndarray]:
        clips = (2, CLIP_FRAMES, self.size, self.size, 3)
        return {
            "clip": np.zeros(clips, np.uint8),
            "real": np.zeros((2, CLIP_FRAMES), bool),
            "spectrogram": np.zeros((2, BINS, SEGMENT_COLUMNS), np.float16),
        }

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        negatives = self.negatives[video.video_id]
        if not len(negatives):
            return self.blank() | {"mask": np.False_}
        chosen = (self.positive[video.video_id], rng.choice(negatives))
        pair = []
        for stride in (self.strides[index] for index in chosen):
            pair.append(_audiovisual(video, stride, _start(video, stride, rng)))
        return {name: np.stack([one[name] for one in pair]) for name in pair[0]}


@dataclasses.dataclass(frozen=True)
class ReliabilityCut:
    """A clip at the video's stride, the sound under it, and both streams' counts of the video.

    Attributes:
      size: height and width of the frames.
      labels: "share" or "cycles", for the clip's own count.
      strides: video_id to the stride at which its clips are cut.
      sight: video_id to count by sight.
      sound: video_id to count by sound.
    """

    size: int
    labels: str
    strides: Mapping[str, int]
    sight: Mapping[str, float]
    sound: Mapping[str, float]

    def blank(self) -> dict[str, np.ndarray]:
        return {
            "clip": np.zeros((CLIP_FRAMES, self.size, self.size, 3), np.uint8),
            "real": np.zeros(CLIP_FRAMES, bool),
            "spectrogram": np.zeros((BINS, SEGMENT_COLUMNS), np.float16),
            "sight": np.float32(0),
            "sound": np.float32(0),
            "count": np.float32(0),
            "clip_count": np.float32(0),
        }

    def __call__(
        self, video: LabelledVideo, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        if video.count <= 0:  # Eq. 11 has no meaning
            return self.blank() | {"mask": np.False_}
        stride = self.strides[video.video_id]
        start = _start(video, stride, rng)
        end = start + CLIP_FRAMES * stride
        return _audiovisual(video, stride, start) | {
            "clip_count": np.float32(video.repetitions(start, end, self.labels)),
            "sight": np.float32(self.sight[video.video_id]),
            "sound": np.float32(self.sound[video.video_id]),
            "count": np.float32(video.count),
        }


def _start(video: LabelledVideo, stride: int, rng: np.random.Generator) -> int:
    """First frame of a clip, so that it is whole wherever the video is long enough."""
    room = len(video.frames) - CLIP_FRAMES * stride
    return int(rng.integers(0, max(room, 0), endpoint=True))


def _label(video: LabelledVideo, classes: tuple[str, ...]) -> np.int32:
    return np.int32(classes.index(video.label) if video.label in classes else -1)


def _audiovisual(video: LabelledVideo, stride: int, start: int) -> dict:
    positions = clip_index.clip_indices(len(video.frames), stride, start)
    return {
        "clip": cut_clip(video, positions),
        "real": positions >= 0,
        "spectrogram": sound_under(video, start, start + CLIP_FRAMES * stride),
    }
