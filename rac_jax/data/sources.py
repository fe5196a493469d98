"""Random access to labelled videos in media files, decoded each time one is asked for.

Frames are shrunk as the counting code will shrink them, by means over areas if nothing else is
said, so a network learns from what it will see. Decoding is slow beside a training step: `clip_cache` stores the results.
"""

import math
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from rac_jax import media
from rac_jax.data.annotations import Annotation
from rac_jax.data.labelled import LabelledVideo, annotated, is_silent
from rac_jax.media import MediaError
from rac_jax.media.pixels import centred, fitted_size

INTERPOLATION = "area"

Example = Mapping[str, Any]  # field of a data set to its value


class Examples(Protocol):
    """Random access to examples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


def decode_part(
    annotation: Annotation,
    size: int,
    audio_rate: int,
    interpolation: str = INTERPOLATION,
    pad: bool = False,
) -> LabelledVideo:
    """Decodes one labelled part of a media file.

    The sound is that of the file, or of the sound file beside a silent one, and spans exactly
    the time of the frames. Where it ends earlier, it goes on with zeros.

    Args:
      annotation: of the part.
      size: height and width of the frames, in pixels.
      audio_rate: wanted samples per second.
      interpolation: how frames are resized, as in `media.read_video`.
      pad: whether their aspect ratio is kept, with black bars; else they are stretched.

    Returns:
      The record; without sound, or with nothing but digital silence, it has no waveform.

    Raises:
      MediaError: if the file cannot be read or has no frames in the part.
      ValueError: for a start or end out of range, and as `LabelledVideo`.
    """
    path = annotation.path
    start_s = annotation.start_s or 0.0
    info = media.probe(path)
    sound_path = path if info.has_audio else media.sibling_sound(path)
    fitted = (size, size)
    if pad and info.has_video:
        fitted = fitted_size(info.height, info.width, fitted, aspect="pad")
    video = media.read_video(
        path,
        size=fitted,
        interpolation=interpolation,
        start_s=start_s,
        end_s=annotation.end_s,
    )
    if not len(video.frames):
        raise MediaError(f"{path}: has no frames {_span(annotation)}")
    # The first frame is the first at or after the annotated start, up to a frame later.
    first_s = float(video.times_s[0])
    waveform = None
    if sound_path is not None:
        end_s = float(video.times_s[-1]) + 1 / video.fps
        waveform = _waveform(sound_path, audio_rate, first_s, end_s)
    frames = video.frames
    if fitted != (size, size):
        top, left = ((have - size) // 2 for have in fitted)
        frames = centred(frames, top, left, (size, size))
    return annotated(annotation, frames, video.fps, first_s, waveform, audio_rate)


def _waveform(
    path: str | os.PathLike, rate: int, start_s: float, end_s: float
) -> np.ndarray | None:
    """Samples between two times of a sound, float32 [S], None if nothing is heard."""
    waveform = media.read_audio(path, rate=rate, start_s=start_s, end_s=end_s)
    if is_silent(waveform):
        return None
    # Samples go with frames by their share of the part: a sound that ends early must not stretch.
    wanted = round((end_s - start_s) * rate)
    return np.pad(waveform, (0, max(0, wanted - len(waveform))))


def _span(annotation: Annotation) -> str:
    start_s = annotation.start_s or 0.0
    if annotation.end_s is None:
        return f"after {start_s:g} s"
    return f"from {start_s:g} to {annotation.end_s:g} s"


class MediaSource:
    """Labelled parts of media files.

    Args:
      annotations: one per part.
      size: height and width of the frames, in pixels.
      audio_rate: samples per second of the sound.
      interpolation, pad: as in `decode_part`.
    """

    def __init__(
        self,
        annotations: Sequence[Annotation],
        size: int,
        audio_rate: int,
        interpolation: str = INTERPOLATION,
        pad: bool = False,
    ):
        self._annotations = tuple(annotations)
        self._wanted = (size, audio_rate, interpolation, pad)

    def __len__(self) -> int:
        return len(self._annotations)

    def __getitem__(self, index: int) -> LabelledVideo:
        """Decodes one part.

        Raises:
          IndexError: outside of the data set.
          MediaError, ValueError: as `decode_part`.
        """
        annotation = self._annotations[_checked(index, len(self))]
        return decode_part(annotation, *self._wanted)

    def name(self, index: int) -> str:
        """The file, and the part where it is not the whole file."""
        annotation = self._annotations[index]
        if annotation.start_s is None and annotation.end_s is None:
            return annotation.path
        return f"{annotation.path} {_span(annotation)}"


class FeatureSource:
    """Labelled videos from random access to dicts, as TFDS's `as_data_source()` gives them.

    Fields of an example: `video` (the bytes of a media file) or `path` (of one); `count`, or
    `label` where there is nothing to count; optionally `start_s` and `end_s` (NaN for the file's own), `cycles_s` [K, 2], `events_s` [E],
    `label`, `video_id`. Texts may be bytes, as TFDS stores them.

    Args:
      data_source: worker processes need it to be picklable.
      size: height and width of the frames, in pixels.
      audio_rate: samples per second of the sound.
      interpolation, pad: as in `decode_part`.
    """

    def __init__(
        self,
        data_source: Examples,
        size: int,
        audio_rate: int,
        interpolation: str = INTERPOLATION,
        pad: bool = False,
    ):
        self._data_source = data_source
        self._wanted = (size, audio_rate, interpolation, pad)

    def __len__(self) -> int:
        return len(self._data_source)

    def __getitem__(self, index: int) -> LabelledVideo:
        """Decodes one example.

        Raises:
          IndexError: outside of the data set.
          MediaError: as `decode_part`; it names the example instead of a temporary file.
          ValueError: for a field that is missing or wrong; it names the field and the index.
        """
        example = self._data_source[_checked(index, len(self))]
        if "video" not in example:
            path = _text(_field(example, "path", index, "'video' or 'path'"))
            annotation = _annotation(example, index, path)
            return decode_part(annotation, *self._wanted)
        name = self.name(index)
        with tempfile.TemporaryDirectory(prefix="rac_jax-") as folder:
            path = pathlib.Path(folder, name.replace(" ", "_"))
            path.write_bytes(bytes(example["video"]))
            annotation = _annotation(example, index, str(path))
            try:
                return decode_part(annotation, *self._wanted)
            except MediaError as error:
                reason = str(error).removeprefix(f"{path}: ")
                raise MediaError(f"{name}: {reason}") from None

    def name(self, index: int) -> str:
        """The example's number: finding more would mean reading it."""
        return f"example {index}"


def _checked(index: int, number: int) -> int:
    if not 0 <= index < number:
        raise IndexError(f"video {index} of {number}")
    return index


def _annotation(example: Example, index: int, path: str) -> Annotation:
    return Annotation(
        video_id=_text(example.get("video_id", pathlib.PurePath(path).name)),
        path=path,
        count=_count(example, index),
        start_s=_time(example, "start_s", index),
        end_s=_time(example, "end_s", index),
        label=_text(example.get("label", "")),
        cycles_s=_cycles(example, index),
        events_s=_events(example, index),
    )


def _field(example: Example, name: str, index: int, wanted: str = "") -> Any:
    if name not in example:
        known = ", ".join(sorted(example))
        wanted = wanted or repr(name)
        raise ValueError(f"example {index}: has no field {wanted}, it has: {known}")
    return example[name]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _number(value: Any, name: str, index: int) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"example {index}: {name} {value!r} is not a number") from None
    if not 0 <= number < math.inf:
        raise ValueError(f"example {index}: {name} {number} must be at least 0")
    return number


def _count(example: Example, index: int) -> float:
    """The repetitions; 0 in a data set of classes, which has labels and no counts."""
    if "label" in example and "count" not in example:
        return 0.0
    return _number(_field(example, "count", index), "count", index)


def _time(example: Example, name: str, index: int) -> float | None:
    value = example.get(name)
    # TFDS has no None: not a number stands for it.
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return None
    return _number(value, name, index)


def _cycles(example: Example, index: int) -> np.ndarray | None:
    if "cycles_s" not in example:
        return None
    cycles = np.asarray(example["cycles_s"], np.float64)
    if not cycles.size:
        return np.zeros((0, 2))
    if cycles.ndim != 2 or cycles.shape[1] != 2:
        shape = list(cycles.shape)
        raise ValueError(f"example {index}: cycles_s must be [K, 2], not {shape}")
    return cycles


def _events(example: Example, index: int) -> np.ndarray | None:
    if "events_s" not in example:
        return None
    events = np.asarray(example["events_s"], np.float64)
    if events.ndim != 1:
        shape = list(events.shape)
        raise ValueError(f"example {index}: events_s must be [E], not {shape}")
    return events
