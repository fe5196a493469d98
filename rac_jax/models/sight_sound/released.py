"""Counting exactly as the authors' released code does, for their released weights.

It differs from the paper (see `docs/paper_sight_sound.md`): the stride is chosen on the first
clip of each stride; a video shorter than a window is counted at stride 1, all of its frames and
the padding up to 64 times the stride in one pass, while its stride is chosen and its reliability
estimated on 64 frames like any other's; an incomplete last window is averaged with one taken at
a wider stride; short counts by sound are made again on the whole spectrogram squeezed into one
segment; reliability is estimated on complete windows paired by position, the shorter list filled
up at random; the number of complete windows follows the release's strict comparison, which
leaves out a last window that ends exactly where the video ends.

The release always has sound. Without any we choose the stride beside a segment of padding, and
sight counts alone.

The release reads windows from arrays that hold the whole video. We read the video twice
instead, once for its length, its sound and the first clips, once for the windows at the chosen
stride.
"""

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np

from rac_jax import media
from rac_jax.counting.batching import BatchEncoder
from rac_jax.counting.estimator import Chunk, ReadAgain, SourceInfo
from rac_jax.counting.result import Measurement, WindowCount
from rac_jax.counting.sample_log import SampleLog
from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound.fusion import (
    ClassNames,
    Decision,
    StreamCount,
    mean_classes,
)
from rac_jax.models.sight_sound.programs import (
    SegmentEncoder,
    SightSoundPrograms,
    clip_key,
    encoding_cost,
)
from rac_jax.models.sight_sound.soundtrack import Soundtrack

# Counts by sound under this are made again on the squeezed whole.
SQUEEZE_BELOW = 16.0
# The encoder of a video that is shorter than a window, and its only clip.
SHORT = "sight_short"


@dataclasses.dataclass(frozen=True)
class FirstReading:
    """What is known of a video while it is read for the first time.

    Attributes:
      info: of the source.
      strides: to choose from.
      seed: of the random pairs.
      frames: how many there were.
      first_s: time of the first one.
      last_s: time of the last one.
      head: the first frames, parts uint8 [n, H, W, 3], as many as the first clips reach: all
        of a video that is shorter than a window.
      sound: all samples so far.
    """

    info: SourceInfo
    strides: tuple[int, ...]
    seed: int
    frames: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    head: tuple[np.ndarray, ...] = ()
    sound: SampleLog = dataclasses.field(default_factory=SampleLog)

    @property
    def fps(self) -> float:
        """Mean frames per second."""
        if self.last_s > self.first_s:
            return (self.frames - 1) / (self.last_s - self.first_s)
        return self.info.fps or 1 / clip_index.FRAME_S


@dataclasses.dataclass(frozen=True)
class WantedClip:
    """A clip given by the numbers of its frames, which is collected while frames stream by.

    Attributes:
      index: int [64], rising; -1 is padding at the end.
      stride: frames from one to the next.
      parts: its frames so far, uint8 [n, H, W, 3] each.
    """

    index: np.ndarray
    stride: int
    parts: tuple[np.ndarray, ...] = ()

    @property
    def valid(self) -> int:
        """How many frames are real."""
        return int((self.index >= 0).sum())

    @property
    def key(self) -> Hashable:
        """Of the clip's row."""
        return clip_key(self.stride, int(self.index[0]), self.valid)

    def is_over(self, frames: int) -> bool:
        """Whether the first `frames` frames of the video hold all of it."""
        return int(self.index.max()) < frames

    def feed(self, first: int, frames: np.ndarray) -> "WantedClip":
        """The clip after frames [n, H, W, 3] that begin with number `first`."""
        here = (self.index >= first) & (self.index < first + len(frames))
        if not here.any():
            return self
        part = frames[self.index[here] - first]
        return dataclasses.replace(self, parts=(*self.parts, part))

    def pixels(self) -> np.ndarray:
        """The whole clip, uint8 [64, H, W, 3]; padding is 0."""
        padding = len(self.index) - self.valid
        shape = (padding, *self.parts[0].shape[1:])
        return np.concatenate([*self.parts, np.zeros(shape, np.uint8)])


@dataclasses.dataclass(frozen=True)
class SecondReading:
    """What is known while a video is read for the second time.

    Attributes:
      first: the first reading.
      stride: the chosen one.
      scores: of the strides; empty where there was no choice.
      sight: encodes clips; it does not change once it is part of a state.
      sound: encodes segments, likewise.
      windows: the clips that are counted.
      extra: the second look at the end, or None.
      waiting: clips that are not complete, by rising first frame.
      frames: how many there were in this reading.
    """

    first: FirstReading
    stride: int
    scores: dict[int, float]
    sight: BatchEncoder
    sound: SegmentEncoder
    windows: tuple[WantedClip, ...]
    extra: WantedClip | None
    waiting: tuple[WantedClip, ...]
    frames: int = 0


ReleasedState = FirstReading | SecondReading


class ReleasedProcedure:
    """The procedure, for one model.

    Args:
      programs: of the model.
      class_names: stream to the names of its repetition classes, of those that have any.
    """

    def __init__(self, programs: SightSoundPrograms, class_names: ClassNames):
        self._programs = programs
        self._class_names = class_names

    def start(
        self, info: SourceInfo, strides: tuple[int, ...], seed: int
    ) -> FirstReading:
        """The state before the first chunk.

        Args:
          info: of the source.
          strides: the temporal strides to choose from; a single one is simply used.
          seed: for the random pairs of the reliability estimate (unseeded in the release).
        """
        return FirstReading(info, strides, seed)

    def feed(self, state: ReleasedState, chunk: Chunk) -> ReleasedState:
        """The state after a chunk, of either reading."""
        if isinstance(state, SecondReading):
            return self._feed_again(state, chunk.frames)
        state = dataclasses.replace(state, sound=state.sound.append(chunk.samples))
        if not len(chunk.frames):
            return state
        reach = max(state.strides) * self._programs.clip_frames
        head = state.head
        if state.frames < reach:
            head = (*head, chunk.frames[: reach - state.frames].copy())
        return dataclasses.replace(
            state,
            frames=state.frames + len(chunk.frames),
            first_s=state.first_s if state.frames else float(chunk.times_s[0]),
            last_s=float(chunk.times_s[-1]),
            head=head,
        )

    def _feed_again(self, state: SecondReading, frames: np.ndarray) -> SecondReading:
        if not len(frames):
            return state
        sight, waiting = state.sight, []
        seen = state.frames + len(frames)
        for clip in state.waiting:
            clip = clip.feed(state.frames, frames)
            if clip.is_over(seen):
                sight = sight.copy()
                sight.add(clip.key, (clip.pixels(), clip.valid))
            else:
                waiting.append(clip)
        return dataclasses.replace(
            state, sight=sight, waiting=tuple(waiting), frames=seen
        )

    def finish(self, state: ReleasedState) -> Measurement | ReadAgain:
        """The measurement, or after a first reading what the second one begins with.

        Raises:
          MediaError: if the second reading gives fewer frames than the first one.
        """
        if isinstance(state, FirstReading):
            if not state.frames:
                return self._measure_sound(state)
            state = self._choose_stride(state)
            if state.waiting:
                return ReadAgain(state)
        if state.waiting:
            raise media.MediaError(
                f"{state.first.info.name}: gave fewer frames when it was read again"
            )
        return self._measure(state)

    def _choose_stride(self, state: FirstReading) -> SecondReading:
        """Scores the first clip of every stride, and says which clips are wanted at the best."""
        frames, length = state.frames, self._programs.clip_frames
        sight = self._programs.sight_encoder()
        sound = SegmentEncoder(self._programs, Soundtrack(state.sound))

        # The first clip of every stride, which is a window of the one that is chosen.
        head, firsts, scores = np.concatenate(state.head), [], {}
        for stride in state.strides:
            index = clip_index.clip_indices(frames, stride, 0, length)
            clip = WantedClip(index, stride).feed(0, head)
            sight.add(clip.key, (clip.pixels(), clip.valid))
            firsts.append(clip.key)

        # Scores, where there is a choice.
        if len(state.strides) > 1:
            segments = [
                sound.add(self._sound_beside(sound, frames, stride))
                for stride in state.strides
            ]
            each = self._programs.score(sight.rows(firsts), sound.rows(segments))
            scores = {
                stride: float(score)
                for stride, score in zip(state.strides, each, strict=True)
            }
        stride = max(scores, key=scores.get) if scores else state.strides[0]

        # Of the windows at this stride, those that were first clips are known already.
        windows, extra = clip_index.released_sight_windows(frames, stride)
        windows = tuple(WantedClip(index, stride) for index in windows)
        if extra is not None:
            extra = WantedClip(extra, stride + clip_index.EXTRA_STRIDE)
        wanted = [*windows, *([extra] if extra is not None else [])]
        missing = [clip for clip in wanted if clip.key not in sight]
        missing.sort(key=lambda clip: clip.index[0])
        return SecondReading(
            state, stride, scores, sight, sound, windows, extra, tuple(missing)
        )

    def _sound_beside(
        self, sound: SegmentEncoder, frames: int, stride: int
    ) -> np.ndarray:
        """Column positions of the sound beside the first clip of a stride."""
        if not sound.track.columns:
            return np.full(self._programs.columns, -1.0)
        return clip_index.released_stride_columns(frames, sound.track.columns, stride)

    def _measure(self, state: SecondReading) -> Measurement:
        """Counts by both streams and fuses."""
        # `finish` must leave the state as it is, and taking rows changes an encoder.
        first, sight_encoder = state.first, state.sight.copy()
        sound_encoder = state.sound.copy()
        track = sound_encoder.track

        # Both counts, and the reliability on pairs of windows.
        short = self._short_encoder(state)
        sight = self._count_sight(state, sight_encoder, short)
        sound = gamma = None
        if track.columns > 0:
            sound, segments = self._count_sound(sound_encoder, first.info.start_s)
            complete = clip_index.released_reliability_windows(
                first.frames, state.stride
            )
            pairs = clip_index.pair_windows(
                complete, len(segments), np.random.default_rng(first.seed)
            )
            gammas = self._programs.reliability(
                sight_encoder.rows([state.windows[i].key for i in pairs[0]]),
                sound_encoder.rows([segments[i] for i in pairs[1]]),
            )
            gamma = float(np.mean(gammas))

        # What it took, and the decision.
        details = _details(state.stride, state.scores, sight.count, gamma)
        used = [sight_encoder, sound_encoder.encoder, *([short] if short else [])]
        details["cost"] = encoding_cost(*used)
        return Decision(
            sight=sight,
            sound=sound,
            reliability=gamma,
            joined=None,
            end_s=first.last_s + 1 / first.fps,
            heard_s=track.duration_s,
            class_names=self._class_names,
            details=details,
        ).measurement(first.info.start_s)

    def _measure_sound(self, state: FirstReading) -> Measurement:
        """Counts by sound alone."""
        segments = SegmentEncoder(self._programs, Soundtrack(state.sound))
        sound = None
        if segments.track.columns:
            sound, _ = self._count_sound(segments, state.info.start_s)
        details = _details(None, {}, None, None)
        cost = encoding_cost(self._programs.sight_encoder(), segments.encoder)
        return Decision(
            sight=None,
            sound=sound,
            reliability=None,
            joined=None,
            end_s=0.0,
            heard_s=segments.track.duration_s,
            class_names=self._class_names,
            details=details | {"cost": cost},
        ).measurement(state.info.start_s)

    def _short_encoder(self, state: SecondReading) -> BatchEncoder | None:
        """Encodes a video that is shorter than a window at the chosen stride as one clip.

        All of its frames are in it, and padding up to the window's span. None for a longer
        video, and at stride 1, where the padded window is this clip.
        """
        first, stride = state.first, state.stride
        span = stride * self._programs.clip_frames
        if first.frames >= span or stride == 1:
            return None
        frames = np.concatenate(first.head)
        padding = np.zeros((span - len(frames), *frames.shape[1:]), np.uint8)
        encoder = self._programs.sight_encoder(SHORT)
        encoder.add(SHORT, (np.concatenate([frames, padding]), len(frames)))
        return encoder

    def _count_sight(
        self, state: SecondReading, encoder: BatchEncoder, short: BatchEncoder | None
    ) -> StreamCount:
        """Counts the windows at the chosen stride, or all of a video shorter than one."""
        first = state.first
        span = state.stride * self._programs.clip_frames
        extra = None
        if short is not None:
            rows = short.rows([SHORT])
        else:
            rows = encoder.rows([clip.key for clip in state.windows])
        if state.extra is not None:
            extra = float(encoder.rows([state.extra.key]).count[0])
        counts = rows.count
        total = clip_index.released_sight_count(counts, extra)
        windows = tuple(
            WindowCount(
                first.info.start_s + place * span / first.fps,
                first.info.start_s + min((place + 1) * span, first.frames) / first.fps,
                float(count),
            )
            for place, count in enumerate(counts)
        )
        return StreamCount(float(total), windows, mean_classes(windows, rows.classes))

    def _count_sound(
        self, segments: SegmentEncoder, start_s: float
    ) -> tuple[StreamCount, Sequence[Hashable]]:
        """Counts by sound; the keys returned are the reliability estimate's segments."""
        columns, width = segments.track.columns, self._programs.columns
        positions = clip_index.segment_columns(columns, width)
        step = width
        rows = segments.rows([segments.add(one) for one in positions])
        if float(rows.count.sum()) < SQUEEZE_BELOW and columns > width:
            positions = [clip_index.resized_columns(0, columns, width)]
            step = columns
            rows = segments.rows([segments.add(one) for one in positions])
        total = float(rows.count.sum())
        paired = clip_index.released_reliability_segments(columns, total, width)
        windows = segments.track.window_counts(rows.count, step, start_s)
        counted = StreamCount(total, windows, mean_classes(windows, rows.classes))
        return counted, [segments.add(one) for one in paired]


def _details(
    stride: int | None,
    scores: dict[int, float],
    sight_count: float | None,
    gamma: float | None,
) -> dict:
    """The family's details but for the cost; only one stride's whole video is counted."""
    counts = {} if sight_count is None else {str(stride): sight_count}
    return {
        "protocol": "released",
        "stride": stride,
        "stride_scores": {str(one): score for one, score in scores.items()},
        "stride_counts": counts,
        "solo_stride_scores": {},
        "reliability": gamma,
    }
