"""A labelled part of a video as training reads it: small frames, sound and labels, decoded.

The same record comes from a media file with its annotation, from the cache of decoded videos
(`clip_cache`) and from procedural scenes, so nothing after it asks where a clip came from.
Spectrograms and other features are made from it by the family that wants them.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from rac_jax.data.annotations import Annotation

SCHEMA = 2
LABELS = ("share", "cycles")

# Samples that lie closer together than this share of full scale (-60 dB) are digital silence. It
# is far over the steps and the dither of 16 bits (3e-5) and what lossy codecs make of zeros, and
# under the noise of any microphone: white noise has such a range at a deviation of about 1e-4.
SILENCE = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledVideo:
    """One labelled part of one video; frame 0 is its first frame.

    Attributes:
      video_id: unique within its data set.
      frames: [T, H, W, 3] uint8, T at least 1.
      fps: frames per second.
      waveform: [S] float32 mono samples in [-1, 1], which span exactly the time of the frames;
        None without sound, and for digital silence (`is_silent`).
      audio_rate: samples per second, 0 without sound.
      count: repetitions in the part, at least 0.
      cycles: [K, 2] float32, start and end of every cycle in frames, in the order of the starts;
        a cycle may begin before the part or end after it. None where unknown.
      turns: [K] float32, when each of them turns round, in frames. None where unknown.
      events: [E] float32, moments in the part when a repetition is heard, in frames from 0 to T,
        rising. None where unknown.
      phases: names of the moments of a cycle.
      label: what is repeated, "" if unknown.
      challenges: names of what makes the part hard.
      groups: further columns of the data set, by name.

    Raises:
      ValueError: without frames; for a waveform without a rate or of another shape; for cycles,
        turns or events of another shape, out of order, or out of range.
    """

    video_id: str
    frames: np.ndarray
    fps: float
    waveform: np.ndarray | None = None
    audio_rate: int = 0
    _: dataclasses.KW_ONLY
    count: float
    cycles: np.ndarray | None = None
    turns: np.ndarray | None = None
    events: np.ndarray | None = None
    phases: tuple[str, ...] = ()
    label: str = ""
    challenges: tuple[str, ...] = ()
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not len(self.frames):
            raise ValueError(f"{self.video_id}: has no frames")
        self._check_sound()
        if self.cycles is not None:
            self._check_cycles(self.cycles)
        if self.turns is not None:
            self._check_turns(self.turns)
        if self.events is not None:
            self._check_events(self.events)

    def _check_sound(self) -> None:
        if self.waveform is None:
            if self.audio_rate:
                raise ValueError(
                    f"{self.video_id}: has no waveform, but an audio_rate of "
                    f"{self.audio_rate}"
                )
            return
        if self.waveform.ndim != 1 or not len(self.waveform):
            shape = list(self.waveform.shape)
            raise ValueError(f"{self.video_id}: waveform must be [S], not {shape}")
        if self.audio_rate < 1:
            raise ValueError(
                f"{self.video_id}: a waveform needs an audio_rate, not {self.audio_rate}"
            )

    def _check_cycles(self, cycles: np.ndarray) -> None:
        if cycles.ndim != 2 or cycles.shape[1] != 2:
            shape = list(cycles.shape)
            raise ValueError(f"{self.video_id}: cycles must be [K, 2], not {shape}")
        if not np.all(cycles[:, 1] > cycles[:, 0]):
            raise ValueError(f"{self.video_id}: a cycle does not end after its start")
        if not np.all(np.diff(cycles[:, 0]) >= 0):
            raise ValueError(f"{self.video_id}: cycles are out of order")

    def _check_turns(self, turns: np.ndarray) -> None:
        number = None if self.cycles is None else len(self.cycles)
        if turns.shape != (number,):
            raise ValueError(
                f"{self.video_id}: turns must be one for each of its cycles, not "
                f"{list(turns.shape)}"
            )
        starts, ends = self.cycles.T
        if not np.all((turns > starts) & (turns < ends)):
            raise ValueError(f"{self.video_id}: a cycle turns round outside of itself")

    def _check_events(self, events: np.ndarray) -> None:
        if events.ndim != 1:
            shape = list(events.shape)
            raise ValueError(f"{self.video_id}: events must be [E], not {shape}")
        length = len(self.frames)
        if not np.all((events >= 0) & (events <= length)):
            raise ValueError(
                f"{self.video_id}: an event lies outside of the {length} frames"
            )
        if not np.all(np.diff(events) >= 0):
            raise ValueError(f"{self.video_id}: events are out of order")

    def progress(self, times: np.ndarray, labels: str = "share") -> np.ndarray:
        """Repetitions done by given moments.

        Args:
          times: [n] in frames; what lies outside of the part does not count.
          labels: "share" deals the count out evenly over the part (paper 1, section 4.3: "count
            scaled by the covered share"); "cycles" goes by the cycles, and needs them.

        Returns:
          [n] float64, not falling with time; the count between two moments is a difference.

        Raises:
          ValueError: for other labels, or "cycles" where the video has none.
        """
        length = len(self.frames)
        times = np.clip(np.asarray(times, np.float64), 0, length)
        if labels == "share":
            return self.count * times / length
        if labels != "cycles":
            raise ValueError(f"labels: {labels!r} is not one of {', '.join(LABELS)}")
        if self.cycles is None:
            raise ValueError(
                f"{self.video_id}: has no cycles; use labels = 'share' for this data set"
            )
        starts, ends = np.asarray(self.cycles, np.float64).T
        edges = np.append(times, 0.0)[:, None]  # [n + 1, 1]
        done = np.clip((edges - starts) / (ends - starts), 0, 1).sum(1)
        return done[:-1] - done[-1]

    def repetitions(self, first: float, last: float, labels: str = "share") -> float:
        """Repetitions between two moments, `progress` of the second less the first."""
        before, after = self.progress(np.array([first, last]), labels)
        return float(after - before)

    @property
    def period(self) -> float:
        """Frames per repetition: of the cycles where they are known, else of the whole part.

        Infinite without repetitions.
        """
        if self.cycles is not None and len(self.cycles):
            return float(np.mean(self.cycles[:, 1] - self.cycles[:, 0]))
        return len(self.frames) / self.count if self.count > 0 else math.inf


@dataclasses.dataclass(frozen=True)
class VideoSummary:
    """What is known of a labelled video without reading its frames and samples.

    Attributes:
      video_id: unique within its data set.
      frames: T, how many.
      fps: frames per second.
      samples: S of the sound, 0 without.
      audio_rate: samples per second, 0 without sound.
      count: repetitions.
      period: frames per repetition, infinite if nothing repeats.
      label: what is repeated, "" if unknown.
      challenges: names of what makes the part hard.
      groups: further columns of the data set, by name.
    """

    video_id: str
    frames: int
    fps: float
    samples: int
    audio_rate: int
    count: float
    period: float
    label: str
    challenges: tuple[str, ...]
    groups: Mapping[str, str]

    @property
    def has_sound(self) -> bool:
        """Whether anything is heard."""
        return self.samples > 0

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values; JSON has no infinity, so such a period is None."""
        period = self.period if math.isfinite(self.period) else None
        return vars(self) | {
            "period": period,
            "challenges": list(self.challenges),
            "groups": dict(self.groups),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "VideoSummary":
        """The summary that `to_json` gave these values.

        Raises:
          ValueError: for a field that is missing, unknown, or of another type.
        """
        try:
            changed = {
                "period": math.inf if values["period"] is None else values["period"],
                "challenges": tuple(values["challenges"]),
                "groups": dict(values["groups"]),
            }
            return cls(**dict(values) | changed)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the summary of a video ({error})") from None


def summarise(video: LabelledVideo) -> VideoSummary:
    """What is known of a video without its frames and samples."""
    return VideoSummary(
        video_id=video.video_id,
        frames=len(video.frames),
        fps=float(video.fps),
        samples=0 if video.waveform is None else len(video.waveform),
        audio_rate=int(video.audio_rate),
        count=float(video.count),
        period=float(video.period),
        label=video.label,
        challenges=tuple(video.challenges),
        groups=dict(video.groups),
    )


def is_silent(waveform: np.ndarray) -> bool:
    """Whether a waveform [S] is digital silence: its range is under `SILENCE`, or S is 0."""
    return not len(waveform) or float(np.ptp(waveform)) < SILENCE


def annotated(
    annotation: Annotation,
    frames: np.ndarray,
    fps: float,
    start_s: float,
    waveform: np.ndarray | None = None,
    audio_rate: int = 0,
) -> LabelledVideo:
    """Joins an annotation with its decoded part.

    Args:
      annotation: of the part; its cycles, turns and events are in seconds of the file.
      frames: [T, H, W, 3] uint8.
      fps: frames per second.
      start_s: time of the part's first frame in the file.
      waveform: [S] of the part, or None.
      audio_rate: its samples per second.

    Returns:
      The record; its `video_id` carries the part's start, as one file may have several parts.
      Events that are not heard in the part are left out.

    Raises:
      ValueError: as `LabelledVideo`.
    """

    def in_frames(times_s: np.ndarray) -> np.ndarray:
        return ((np.asarray(times_s, np.float64) - start_s) * fps).astype(np.float32)

    cycles, turns = annotation.cycles_s, annotation.turns_s
    events = annotation.events_s
    if cycles is not None:
        cycles = in_frames(cycles)
    if turns is not None:
        turns = in_frames(turns)
    if events is not None:
        events = in_frames(events)
        events = events[(events >= 0) & (events <= len(frames))]
    return LabelledVideo(
        video_id=f"{annotation.video_id}@{start_s:.3f}",
        frames=frames,
        fps=float(fps),
        waveform=waveform,
        audio_rate=0 if waveform is None else audio_rate,
        count=float(annotation.count),
        cycles=cycles,
        turns=turns,
        events=events,
        phases=tuple(annotation.phases),
        label=annotation.label,
        challenges=tuple(annotation.challenges),
        groups=dict(annotation.groups),
    )


# Fields of a record that are arrays, and the one under which all others are stored as JSON text.
# Safetensors' own metadata cannot be read from bytes in memory.
_ARRAYS = ("frames", "waveform", "cycles", "turns", "events")
_TEXTS = ("phases", "challenges")
_FIELDS = "fields"


def to_bytes(video: LabelledVideo) -> bytes:
    """Packs a record as safetensors: the arrays, and the other fields as JSON in one of bytes."""
    arrays: dict[str, np.ndarray] = {}
    fields: dict[str, Any] = {"schema": SCHEMA}
    for name, value in vars(video).items():
        if name not in _ARRAYS:
            fields[name] = value
        elif value is not None:
            arrays[name] = np.ascontiguousarray(value)
    text = json.dumps(fields | {"groups": dict(video.groups)}).encode()
    arrays[_FIELDS] = np.frombuffer(text, np.uint8)
    return safetensors.numpy.save(arrays)


def from_bytes(data: bytes) -> LabelledVideo:
    """Unpacks what `to_bytes` packed.

    Raises:
      ValueError: if the bytes are something else or were cut.
    """
    try:
        arrays = safetensors.numpy.load(data)
        fields = json.loads(arrays.pop(_FIELDS).tobytes())
        if fields.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        fields |= {name: tuple(fields[name]) for name in _TEXTS}
        return LabelledVideo(**fields, **arrays)
    except (
        safetensors.SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise ValueError(f"not a record of a labelled video ({error})") from None
