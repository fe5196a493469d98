"""What a result's file adds to its plot: frames along time and a spectrogram."""

import dataclasses

import numpy as np

from rac_jax import media
from rac_jax.counting.result import CountResult
from rac_jax.counting.source import ARRAY_NAME
from rac_jax.view import preview

THUMBNAIL_HEIGHT = 130  # pixels
MOST_THUMBNAILS = 18
SILENCE_DB = -90.0  # 16-bit sound has nothing below that but its own rounding
GONE = "the file cannot be read any more"


@dataclasses.dataclass(frozen=True)
class Material:
    """Frames and sound of a file; a note stands where one is missing.

    Attributes:
      frames: (seconds of the file, uint8 [H, W, 3]) each.
      frames_note: why there are none.
      spectrogram: [F, n] decibels, or None.
      sound_note: why there is none.
    """

    frames: tuple[tuple[float, np.ndarray], ...] = ()
    frames_note: str = ""
    spectrogram: np.ndarray | None = None
    sound_note: str = ""


def gather(result: CountResult, row: float) -> Material:
    """Opens the result's file once more; whatever cannot be had is replaced by a note.

    Args:
      result: what was counted.
      row: width of the row of frames over its height, which tells how many fit.
    """
    if result.file == ARRAY_NAME:
        note = "counted from arrays, there is no file to show"
        return Material((), note, None, note)
    try:
        info = media.probe(result.file)
    except media.MediaError:
        return Material((), GONE, None, GONE)
    frames, frames_note = (), "the file has no picture"
    if info.has_video:
        frames = _frames(result, info, row)
        frames_note = "the picture cannot be read any more"
    heard = result.file if info.has_audio else media.sibling_sound(result.file)
    image, sound_note = None, "the file has no sound"
    if heard is not None:
        image, sound_note = _spectrogram(result, heard)
    return Material(frames, frames_note, image, sound_note)


def _frames(
    result: CountResult, info: media.MediaInfo, row: float
) -> tuple[tuple[float, np.ndarray], ...]:
    """Frames at the centres of as many equal parts of the time as fit side by side."""
    n = int(np.clip(round(row * info.height / info.width), 1, MOST_THUMBNAILS))
    times = result.start_s + (np.arange(n) + 0.5) / n * max(result.duration_s, 1e-6)
    try:
        images = preview.thumbnails(
            result.file, times, height=THUMBNAIL_HEIGHT, info=info
        )
    except media.MediaError:
        return ()
    found = zip(times.tolist(), images, strict=True)
    return tuple((t, image) for t, image in found if image is not None)


def _spectrogram(result: CountResult, heard) -> tuple[np.ndarray | None, str]:
    """The spectrogram of the counted part, and a note where there is nothing to see."""
    start_s, end_s = result.start_s, result.start_s + result.duration_s
    try:
        chunks = media.stream_audio(
            heard, rate=preview.RATE, start_s=start_s, end_s=end_s
        )
        image = preview.spectrogram(chunks, round(result.duration_s * preview.RATE))
    except media.MediaError:
        return None, "the sound cannot be read any more"
    if not image.size or image.max() < SILENCE_DB:
        return None, "the sound is silent"
    return image, ""
