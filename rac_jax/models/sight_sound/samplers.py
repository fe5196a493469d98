"""From a labelled video to one training example: which clip, which sound, which labels.

Each kind of example has a sampler, a small picklable callable `sampler(video, rng) -> dict of
arrays` that draws only from the generator it is given; `sampler.blank()` has the same shapes and
stands for a video that could not be read. Clips are uint8 and not augmented: that happens on the
device. Spectrograms are made here, in the worker processes, from the video's waveform.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound.clips import CLIP_FRAMES, SEGMENT_COLUMNS
from rac_jax.models.sight_sound.columns import SpectrogramReader
from rac_jax.models.sight_sound.strides import LEAST_REPETITIONS, positive_stride
from rac_jax.ops.sound_format import BINS, COLUMNS_PER_S, RATE

Example = dict[str, np.ndarray]

# How segments of sound are squeezed, see `SoundSampler`.
SQUEEZES = ("two_repetitions", "random", "released")
# Of the authors' scripts: a spectrogram of fewer columns has a part of itself appended, with
# this probability; of more repetitions than this a span is cut out, so many segments long.
APPEND_UNDER = 250
APPEND_PROBABILITY = 0.3
CROP_OVER = 8.0
CROP_SEGMENTS = (0.8, 1.2)


def cut_clip(video: LabelledVideo, positions: np.ndarray) -> np.ndarray:
    """Frames by number, -1 for padding, as uint8 [n, H, W, 3]; padding is black here."""
    clip = video.frames[np.maximum(positions, 0)]
    clip[positions < 0] = 0
    return clip


def read_spectrogram(video: LabelledVideo) -> SpectrogramReader:
    """The spectrogram of a video's sound; without columns if it has none.

    Raises:
      ValueError: if the sound is of another rate than the networks' 22050 Hz.
    """
    if video.waveform is not None and video.audio_rate != RATE:
        raise ValueError(
            f"{video.video_id}: its sound has {video.audio_rate} samples per second, the "
            f"spectrogram is of {RATE}: set data.audio_rate"
        )
    return SpectrogramReader(video.waveform)


def sound_positions(first: int, last: int, fps: float, available: int) -> np.ndarray:
    """Where the sound under frames [first, last) lies, by time, as the counter cuts it.

    Args:
      first: number of the first frame.
      last: number of the frame after the last one, which may be past the video's end.
      fps: frames per second.
      available: columns of the spectrogram.

    Returns:
      float64 [500], see `clips.span_columns`.
    """
    begin = round(first / fps * COLUMNS_PER_S)
    end = max(begin + 1, round(last / fps * COLUMNS_PER_S))
    return clip_index.span_columns(begin, end, available)


@dataclasses.dataclass(frozen=True)
class SightSampler:
    """A clip at the video's stride, at a random start.

    Attributes:
      size: height and width of the frames.
      largest: S_K.
      labels: "share" or "cycles", see `LabelledVideo.progress`.
      positive: which stride is the video's own, see `positive_stride`.
      classes: action labels by number, for supervision with them.
      jitter: largest random shift of the stride, in strides (temporal jitter).
    """

    size: int
    largest: int
    labels: str = "share"
    positive: str = "two_repetitions"
    classes: tuple[str, ...] = ()
    jitter: int = 0

    def blank(self) -> Example:
        return {
            "clip": np.zeros((CLIP_FRAMES, self.size, self.size, 3), np.uint8),
            "real": np.zeros(CLIP_FRAMES, bool),
            "rate": np.zeros(CLIP_FRAMES, np.float32),
            "count": np.float32(0),
            "label": np.int32(-1),
        }

    def __call__(self, video: LabelledVideo, rng: np.random.Generator) -> Example:
        stride = positive_stride(video.period, self.largest, self.positive)
        if self.jitter:
            stride += int(rng.integers(-self.jitter, self.jitter, endpoint=True))
            stride = int(np.clip(stride, 1, self.largest))
        return self.at(video, stride, _start(video, stride, rng))

    def at(self, video: LabelledVideo, stride: int, start: int) -> Example:
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
class SoundSampler:
    """A segment of 500 columns of the spectrogram, squeezed in time as `squeeze` says.

    "two_repetitions" is section 3.3: by as much as a segment of two repetitions needs.
    "random" is ours: so are half of the segments, the others are squeezed further at random.
    "released" is the authors' scripts: a span of 0.8 to 1.2 segments of a video with more than
    8 repetitions, otherwise the whole, resized; a short spectrogram sometimes has a part of
    itself appended before.

    Attributes:
      labels, classes: as in `SightSampler`.
      squeeze: of `SQUEEZES`.
      highest: repetitions that squeezing further leads to at most.
    """

    labels: str = "share"
    classes: tuple[str, ...] = ()
    squeeze: str = "two_repetitions"
    highest: float = 20.0

    def blank(self) -> Example:
        return {
            "spectrogram": np.zeros((BINS, SEGMENT_COLUMNS), np.float16),
            "columns": np.int32(0),
            "rate": np.zeros(SEGMENT_COLUMNS, np.float32),
            "count": np.float32(0),
            "label": np.int32(-1),
        }

    def __call__(self, video: LabelledVideo, rng: np.random.Generator) -> Example:
        spectrogram = read_spectrogram(video)
        available = spectrogram.columns
        if not available:
            # Counting silence would be guessing: it is not an example.
            return self.blank() | {"mask": np.False_}
        if self.squeeze == "released":
            positions, rate = self._released_segment(video, available, rng)
        else:
            positions, rate = self._segment(video, available, rng)
        return {
            "rate": rate.astype(np.float32),
            "count": rate.sum(dtype=np.float32),
            "label": _label(video, self.classes),
        } | _sound(spectrogram, positions)

    def _segment(
        self, video: LabelledVideo, available: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Column positions [500], and the repetitions in each of them [500]."""
        # How much sound: two repetitions at least, `highest` at most.
        per_frame = COLUMNS_PER_S / video.fps
        period = video.period * per_frame  # columns per repetition
        length = np.clip(LEAST_REPETITIONS * period, SEGMENT_COLUMNS, available)
        if self.squeeze == "random" and rng.random() >= 0.5:
            most = np.clip(self.highest * period, length, max(available, length))
            length = rng.uniform(length, most)
        length = int(max(length, SEGMENT_COLUMNS))
        # Where, and what is repeated in it.
        first = int(rng.integers(0, max(available - length, 0), endpoint=True))
        positions = clip_index.span_columns(first, first + length, available)
        edges = first + np.linspace(0, length, SEGMENT_COLUMNS + 1)
        return positions, np.diff(video.progress(edges / per_frame, self.labels))

    def _released_segment(
        self, video: LabelledVideo, available: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `_segment`, by the authors' scripts."""
        # The spectrogram, perhaps with a part of itself behind it: the numbers of its columns,
        # and the repetitions in each.
        columns = np.arange(available)
        if available < APPEND_UNDER and rng.random() < APPEND_PROBABILITY:
            added = int(rng.integers(1, available, endpoint=True))
            begin = int(rng.integers(0, available - added, endpoint=True))
            columns = np.append(columns, np.arange(begin, begin + added))
        edges = np.arange(available + 1) * (video.fps / COLUMNS_PER_S)  # frames
        rates = np.diff(video.progress(edges, self.labels))[columns]
        # A span of it, resized to a segment.
        total = len(columns)
        first, length = 0, total
        if rates.sum() > CROP_OVER:
            length = min(int(rng.uniform(*CROP_SEGMENTS) * SEGMENT_COLUMNS), total)
            first = int(rng.integers(0, total - length, endpoint=True))
        places = clip_index.resized_columns(first, first + length)
        # Where the appended part begins, its own first column stands, not a blend.
        low = np.floor(places).astype(int)
        joined = columns[np.minimum(low + 1, total - 1)] != columns[low] + 1
        positions = columns[low] + np.where(joined, 0.0, places - low)
        done = np.append(0.0, np.cumsum(rates))
        ends = first + np.linspace(0, length, SEGMENT_COLUMNS + 1)
        return positions, np.diff(np.interp(ends, np.arange(total + 1), done))


@dataclasses.dataclass(frozen=True)
class StrideSampler:
    """A clip at the positive stride and one at a negative stride, with the sound under them.

    Attributes:
      size: height and width of the frames.
      strides: rising, those of the roles.
      positive: video_id to index of its positive stride.
      negatives: video_id to indices of its negative strides.
      one_start: whether both clips start at the same frame, as in the authors' scripts.
    """

    size: int
    strides: tuple[int, ...]
    positive: Mapping[str, int]
    negatives: Mapping[str, Sequence[int]]
    one_start: bool = False

    def blank(self) -> Example:
        clips = (2, CLIP_FRAMES, self.size, self.size, 3)
        return {
            "clip": np.zeros(clips, np.uint8),
            "real": np.zeros((2, CLIP_FRAMES), bool),
            "spectrogram": np.zeros((2, BINS, SEGMENT_COLUMNS), np.float16),
            "columns": np.zeros(2, np.int32),
        }

    def __call__(self, video: LabelledVideo, rng: np.random.Generator) -> Example:
        negatives = self.negatives[video.video_id]
        if not len(negatives):
            return self.blank() | {"mask": np.False_}
        chosen = (self.positive[video.video_id], rng.choice(negatives))
        strides = [self.strides[index] for index in chosen]
        # Where both start at once, there is room for the longer one.
        both = _start(video, max(strides), rng) if self.one_start else None
        spectrogram, pair = read_spectrogram(video), []
        for stride in strides:
            start = _start(video, stride, rng) if both is None else both
            pair.append(_audiovisual(video, spectrogram, stride, start))
        return {name: np.stack([one[name] for one in pair]) for name in pair[0]}


@dataclasses.dataclass(frozen=True)
class ReliabilitySampler:
    """A clip at the video's stride, the sound under it, and both streams' counts of the video.

    Attributes:
      size: height and width of the frames.
      labels: "share" or "cycles", for the clip's own count.
      strides: video_id to the stride at which its clips are cut.
      sight: video_id to count by sight.
      sound: video_id to count by sound.
      random_strides: above 0, clips are cut at a random stride up to this in place of the
        video's, as in the authors' scripts.
      whole_sound: whether the sound is the video's, in one segment, not the clip's.
    """

    size: int
    labels: str
    strides: Mapping[str, int]
    sight: Mapping[str, float]
    sound: Mapping[str, float]
    random_strides: int = 0
    whole_sound: bool = False

    def blank(self) -> Example:
        return {
            "clip": np.zeros((CLIP_FRAMES, self.size, self.size, 3), np.uint8),
            "real": np.zeros(CLIP_FRAMES, bool),
            "spectrogram": np.zeros((BINS, SEGMENT_COLUMNS), np.float16),
            "columns": np.int32(0),
            "sight": np.float32(0),
            "sound": np.float32(0),
            "count": np.float32(0),
            "clip_count": np.float32(0),
        }

    def __call__(self, video: LabelledVideo, rng: np.random.Generator) -> Example:
        if video.count <= 0:  # Eq. 11 has no meaning
            return self.blank() | {"mask": np.False_}
        stride = self.strides[video.video_id]
        if self.random_strides:
            stride = int(rng.integers(1, self.random_strides, endpoint=True))
        start = _start(video, stride, rng)
        end = start + CLIP_FRAMES * stride
        spectrogram = read_spectrogram(video)
        example = _audiovisual(video, spectrogram, stride, start)
        if self.whole_sound:
            columns = spectrogram.columns
            whole = clip_index.span_columns(0, columns, columns)
            example |= _sound(spectrogram, whole)
        return example | {
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


def _audiovisual(
    video: LabelledVideo, spectrogram: SpectrogramReader, stride: int, start: int
) -> Example:
    """A clip and the sound under it, of the clip's whole span even where it is padded."""
    frames = clip_index.clip_indices(len(video.frames), stride, start)
    end = start + CLIP_FRAMES * stride
    under = sound_positions(start, end, video.fps, spectrogram.columns)
    return {
        "clip": cut_clip(video, frames),
        "real": frames >= 0,
    } | _sound(spectrogram, under)


def _sound(spectrogram: SpectrogramReader, positions: np.ndarray) -> Example:
    """Columns of a spectrogram at positions, and how many of them are no padding."""
    there = (positions >= 0) & (positions < spectrogram.columns)
    return {
        "spectrogram": spectrogram.read(positions).astype(np.float16),
        "columns": np.int32(np.sum(there)),
    }
