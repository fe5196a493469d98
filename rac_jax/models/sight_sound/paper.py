"""Counting as paper 1's appendix A describes it.

The video is divided into clips at every temporal stride, with the sound that goes with each;
the stride with the highest score resamples the video; its clips' counts add up to the sight
count, the spectrogram's segments to the sound count; Eq. 10 fuses them. Where the paper is
silent we read it so:

* A stride's score and its reliability are means over its clips, weighted by their real frames.
* The last clip is padded with zeros after normalisation.
* The sound of a clip is the part of the spectrogram under it: padded to 500 columns when it is
  shorter, resized to 500 when it is longer (as the release does).
* "Resize the spectrogram to ensure each segment to have at least two repetitions" (section
  3.3): segments of 500 columns are counted; while they hold under two repetitions on average
  and there is more than one, each next try squeezes twice as much sound into a segment.
* No clip and no segment counts less than zero, and digital silence counts as no sound.
* Table 9's alternative to Eq. 10, a head on both streams' features, counts the clips of the
  chosen stride with their sound; without sound, sight counts alone as it does under Eq. 10.

The video is read once: clips are encoded while frames come, sound is collected, and since a
spectrogram is standardised as a whole, segments of it are encoded at the end.
"""

import dataclasses
import logging
from collections.abc import Hashable, Sequence

import jax
import numpy as np

from rac_jax.counting.batching import BatchEncoder
from rac_jax.counting.estimator import Chunk, SourceInfo
from rac_jax.counting.result import Measurement, WindowCount
from rac_jax.counting.sample_log import SampleLog
from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound.clips import Clip, ClipAssembler
from rac_jax.models.sight_sound.fusion import (
    ClassNames,
    Decision,
    StreamCount,
    mean_classes,
)
from rac_jax.models.sight_sound.network import SightOutput, SoundOutput
from rac_jax.models.sight_sound.programs import (
    SegmentEncoder,
    SightSoundPrograms,
    clip_key,
    encoding_cost,
)
from rac_jax.models.sight_sound.soundtrack import Soundtrack
from rac_jax.models.sight_sound.strides import LEAST_REPETITIONS
from rac_jax.ops.sound_format import COLUMNS_PER_S

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SeenClip:
    """What is remembered of a clip that was encoded.

    Attributes:
      key: of its row.
      stride: temporal stride in frames.
      valid: number of real frames.
      start_s: where its span starts, in seconds of the file.
      end_s: where the span ends; the part past the end of the video is not in it.
      padded_s: seconds of the whole span, with what is past the end of the video.
    """

    key: Hashable
    stride: int
    valid: int
    start_s: float
    end_s: float
    padded_s: float


@dataclasses.dataclass(frozen=True)
class PaperState:
    """What is known of a video so far.

    Attributes:
      info: of the source.
      assembler: cuts its clips.
      sight: encodes them; it does not change once it is part of a state.
      clips: those that were queued, in order.
      sound: all samples so far.
    """

    info: SourceInfo
    assembler: ClipAssembler
    sight: BatchEncoder
    clips: tuple[SeenClip, ...] = ()
    sound: SampleLog = dataclasses.field(default_factory=SampleLog)

    def with_clips(self, done: Sequence[Clip]) -> "PaperState":
        """The state with clips queued for encoding."""
        if not done:
            return self
        sight, seen = self.sight.copy(), []
        for clip in done:
            key = clip_key(clip.stride, clip.first_frame, clip.valid)
            sight.add(key, (clip.frames, clip.valid))
            # A padded clip still means its full span: its sound is padded alike.
            whole = len(clip.frames) * clip.stride
            padding = whole / (clip.end_frame - clip.first_frame)
            padded_s = (clip.end_s - clip.start_s) * padding
            seen.append(
                SeenClip(
                    key, clip.stride, clip.valid, clip.start_s, clip.end_s, padded_s
                )
            )
        return dataclasses.replace(self, sight=sight, clips=(*self.clips, *seen))


class PaperProcedure:
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
    ) -> PaperState:
        """The state before the first chunk.

        Args:
          info: of the source.
          strides: the temporal strides to choose from; a single one is simply used.
          seed: of no use here, nothing is random.
        """
        assembler = ClipAssembler(strides, self._programs.clip_frames)
        return PaperState(info, assembler, self._programs.sight_encoder())

    def feed(self, state: PaperState, chunk: Chunk) -> PaperState:
        """The state after a chunk."""
        assembler, done = state.assembler.feed(chunk.frames, chunk.times_s)
        state = dataclasses.replace(
            state, assembler=assembler, sound=state.sound.append(chunk.samples)
        )
        return state.with_clips(done)

    def finish(self, state: PaperState) -> Measurement:
        """The measurement of everything that was fed."""
        info = state.info
        state = state.with_clips(state.assembler.finish())
        clips, track = state.clips, Soundtrack(state.sound)
        segments = SegmentEncoder(self._programs, track)
        # Digital silence is heard only where there is nothing to see.
        with_sound = track.audible or (track.columns > 0 and not clips)
        sound = self._count_sound(segments, info.start_s) if with_sound else None

        # `finish` must leave the state as it is, and taking rows changes an encoder.
        sight_encoder = state.sight.copy()
        details = {
            "protocol": "paper",
            "stride": None,
            "stride_scores": {},
            "stride_counts": {},
            "solo_stride_scores": {},
            "reliability": None,
        }
        sight = gamma = joined = None
        if clips:
            # Both outputs of every clip at every stride, sound only where it is needed.
            sight_rows = sight_encoder.rows([clip.key for clip in clips])
            sound_rows = None
            if with_sound or not self._programs.has_solo_ranker:
                keys = [self._add_sound_of(segments, clip, info) for clip in clips]
                sound_rows = segments.rows(keys)
            strides = state.assembler.strides
            scores, solo_scores = self._scores(clips, strides, sight_rows, sound_rows)
            details["stride_scores"] = _named(scores)
            details["solo_stride_scores"] = _named(solo_scores)
            stride = max(scores, key=scores.get) if scores else strides[0]
            details["stride"] = stride

            # What is counted at each stride; the chosen one is the answer.
            counts = {one: _windows(clips, one, sight_rows.count) for one in strides}
            details["stride_counts"] = _named(
                {one: found.count for one, found in counts.items()}
            )
            classes = sight_rows.classes[[clip.stride == stride for clip in clips]]
            sight = dataclasses.replace(
                counts[stride], classes=mean_classes(counts[stride].windows, classes)
            )
            if with_sound:
                gamma, joined = self._fuse(clips, stride, sight_rows, sound_rows)
                details["reliability"] = gamma
        details["cost"] = encoding_cost(sight_encoder, segments.encoder)
        return Decision(
            sight=sight,
            sound=sound,
            reliability=gamma,
            joined=joined,
            end_s=max((clip.end_s for clip in clips), default=0.0),
            heard_s=track.duration_s,
            class_names=self._class_names,
            details=details,
        ).measurement(info.start_s)

    def _add_sound_of(
        self, segments: SegmentEncoder, clip: SeenClip, info: SourceInfo
    ) -> Hashable:
        """Queues the sound under a clip and returns its key."""
        start_s = clip.start_s - info.start_s
        first = round(start_s * COLUMNS_PER_S)
        last = max(first + 1, round((start_s + clip.padded_s) * COLUMNS_PER_S))
        return segments.add(
            clip_index.span_columns(
                first, last, segments.track.columns, self._programs.columns
            )
        )

    def _scores(
        self,
        clips: Sequence[SeenClip],
        strides: Sequence[int],
        sight_rows: SightOutput,
        sound_rows: SoundOutput | None,
    ) -> tuple[dict[int, float], dict[int, float]]:
        """Scores by stride of the ranker that decides, and of the sight-only one.

        The sight-only ranker decides without sound, if there is one. Nothing is scored where
        there is a single stride, nor by a ranker that the model lacks.
        """
        if len(strides) < 2:
            return {}, {}
        solo = {}
        if self._programs.has_solo_ranker:
            solo = {s: _mean_over(clips, s, sight_rows.solo_score) for s in strides}
        if sound_rows is None:
            return solo, solo
        each = self._programs.score(sight_rows, sound_rows)
        return {s: _mean_over(clips, s, each) for s in strides}, solo

    def _fuse(
        self,
        clips: Sequence[SeenClip],
        stride: int,
        sight_rows: SightOutput,
        sound_rows: SoundOutput,
    ) -> tuple[float | None, StreamCount | None]:
        """γ of Eq. 10 at a stride, or what the head that fuses by itself counts there."""
        chosen = [place for place, clip in enumerate(clips) if clip.stride == stride]
        clips = [clips[place] for place in chosen]
        rows = jax.tree.map(lambda leaf: leaf[chosen], (sight_rows, sound_rows))
        if self._programs.has_fusion_head:
            return None, _windows(clips, stride, self._programs.joined(*rows))
        return _mean_over(clips, stride, self._programs.reliability(*rows)), None

    def _count_sound(self, segments: SegmentEncoder, start_s: float) -> StreamCount:
        """Counts by sound, squeezed until segments hold enough repetitions."""
        track, width = segments.track, self._programs.columns
        if not track.audible:
            return StreamCount(
                0.0, track.window_counts(np.zeros(1), track.columns, start_s)
            )
        squeeze = 1
        while True:
            step = width * squeeze
            keys = [
                segments.add(
                    clip_index.span_columns(first, first + step, track.columns, width)
                )
                for first in range(0, track.columns, step)
            ]
            rows = segments.rows(keys)
            counts = np.maximum(0, rows.count)
            density = counts.sum() / (track.columns / step)
            if len(keys) == 1 or density >= LEAST_REPETITIONS:
                break
            squeeze *= 2
        logger.debug("%d sound segments of %d columns each", len(keys), step)
        windows = track.window_counts(counts, step, start_s)
        return StreamCount(
            float(counts.sum()), windows, mean_classes(windows, rows.classes)
        )


def _mean_over(clips: Sequence[SeenClip], stride: int, values: np.ndarray) -> float:
    """Mean of values [len(clips)] over the clips of a stride, weighted by real frames."""
    chosen = [place for place, clip in enumerate(clips) if clip.stride == stride]
    weights = [clips[place].valid for place in chosen]
    return float(np.average(values[chosen], weights=weights))


def _windows(clips: Sequence[SeenClip], stride: int, counts: np.ndarray) -> StreamCount:
    """Counts [len(clips)], of which none is under zero, over the clips of a stride."""
    windows = tuple(
        WindowCount(clip.start_s, clip.end_s, max(0.0, float(count)))
        for clip, count in zip(clips, counts, strict=True)
        if clip.stride == stride
    )
    return StreamCount(sum(window.count for window in windows), windows)


def _named(by_stride: dict[int, float]) -> dict[str, float]:
    """Values by stride with names for JSON."""
    return {str(stride): value for stride, value in by_stride.items()}
