"""Where frames and sound come from: a media file, or arrays in memory.

A source can be read more than once and never holds a whole video: frames arrive in chunks at
the size the model wants.
"""

import os
import pathlib
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from rac_jax import media
from rac_jax.counting.ahead import read_ahead
from rac_jax.models.sight_sound.columns import RATE

CHUNKS = 2  # of frames that are read ahead of the reader,
EARLY_CHUNKS = 16  # and before there is one: 20 MB of 112 pixels a side
ARRAY_NAME = "<array>"
ARRAY_FPS = 25.0  # for arrays that come without a frame rate


def frame_layout(config: dict[str, Any], protocol: str | None) -> dict[str, Any]:
    """How a model wants its frames.

    Args:
      config: its `config.json`.
      protocol: that it is to count by; None takes the model's.

    Returns:
      {"size", "interpolation"}, see `FileSource`.
    """
    # The release resizes frames without anti-aliasing; our own models see anti-aliased ones.
    protocol = protocol or config.get("protocol")
    return {
        "size": int(config["preprocessing"]["size"]),
        "interpolation": "bilinear" if protocol == "released" else "area",
    }


class Source(Protocol):
    """What the counting procedures read from."""

    name: str
    fps: float  # average frames per second, 0.0 without a picture
    start_s: (
        float  # where the part to count starts; times of frames are those of the file
    )
    has_picture: bool
    has_sound: bool
    frames_expected: int | None  # for the progress bar only

    def frames(self) -> Iterator[media.FrameChunk]: ...

    def sound(self) -> Iterator[np.ndarray]: ...


class FileSource:
    """A media file, with the sound file that lies beside a silent one.

    Args:
      path: the file.
      size: side of the square frames, in pixels.
      interpolation: "area" or "bilinear", see `rac_jax.media.files.stream_frames`.
      start_s: start of the part to read, in seconds.
      end_s: end of that part, or None for all.

    Raises:
      MediaError: if the file cannot be read or has neither picture nor sound.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        size: int,
        interpolation: str = "area",
        start_s: float = 0.0,
        end_s: float | None = None,
    ):
        self.name = os.fspath(path)
        self.size = size
        self.interpolation = interpolation
        self._path = pathlib.Path(path)
        self.start_s = start_s
        self.end_s = end_s
        info = media.probe(path)
        self._sound_path = self._path if info.has_audio else media.sibling_sound(path)
        self.fps = info.fps
        self.has_picture = info.has_video
        self.has_sound = self._sound_path is not None
        end = info.duration_s if end_s is None else min(end_s, info.duration_s)
        self.frames_expected = (
            max(1, round((end - start_s) * info.fps)) if info.fps else None
        )
        self._begun: Iterator[media.FrameChunk] | None = None

    def begin(self) -> None:
        """Begins to read the picture at once, for whoever calls `frames` next."""
        if self.has_picture:
            self._begun = self._read(EARLY_CHUNKS)

    def frames(self) -> Iterator[media.FrameChunk]:
        """Frames uint8 [n, size, size, 3] with their times, in chunks, from the start."""
        begun, self._begun = self._begun, None
        return begun or self._read(CHUNKS)

    def _read(self, ahead: int) -> Iterator[media.FrameChunk]:
        chunks = media.stream_frames(
            self._path,
            size=(self.size, self.size),
            interpolation=self.interpolation,
            start_s=self.start_s,
            end_s=self.end_s,
        )
        return read_ahead(chunks, ahead)

    def sound(self) -> Iterator[np.ndarray]:
        """Mono float32 samples at 22050 Hz in chunks, from the start."""
        return media.stream_audio(
            self._sound_path, rate=RATE, start_s=self.start_s, end_s=self.end_s
        )


class ArraySource:
    """Frames and samples in memory.

    Args:
      frames: uint8 [T, H, W, 3], or None.
      fps: frames per second; None means 25.
      waveform: float [S] mono or [S, channels], or None.
      audio_rate: its samples per second, must be 22050 (no resampling in memory).
      size: side of the square frames, in pixels.
      interpolation: "area" or "bilinear".

    Raises:
      ValueError: for wrong shapes or types, or another audio rate.
    """

    chunk = 32

    def __init__(
        self,
        frames: np.ndarray | None,
        *,
        fps: float | None,
        waveform: np.ndarray | None,
        audio_rate: int | None,
        size: int,
        interpolation: str = "area",
    ):
        self.name = ARRAY_NAME
        self.start_s = 0.0
        self.fps = ARRAY_FPS if fps is None else float(fps)
        if not self.fps > 0:
            raise ValueError(f"fps: must be above 0, not {fps}")
        self.has_picture = frames is not None and len(frames) > 0
        if self.has_picture and (
            frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8
        ):
            raise ValueError(
                f"frames: must be uint8 [T, H, W, 3], not {frames.dtype} {list(frames.shape)}"
            )
        self.has_sound = waveform is not None and len(waveform) > 0
        if self.has_sound and audio_rate != RATE:
            raise ValueError(
                f"audio_rate: the waveform must have {RATE} Hz, not {audio_rate}"
            )
        self._frames = frames
        self._waveform = waveform
        self._size = size
        self._interpolation = interpolation
        self.frames_expected = len(frames) if self.has_picture else None

    def frames(self) -> Iterator[media.FrameChunk]:
        """Frames uint8 [n, size, size, 3] with their times, in chunks, from the start."""
        for first in range(0, len(self._frames), self.chunk):
            part = self._frames[first : first + self.chunk]
            times = np.arange(first, first + len(part)) / self.fps
            size = (self._size, self._size)
            yield media.FrameChunk(
                media.resize_frames(part, size, self._interpolation), times
            )

    def sound(self) -> Iterator[np.ndarray]:
        """Mono float32 samples in one chunk."""
        waveform = np.asarray(self._waveform, np.float32)
        yield waveform if waveform.ndim == 1 else waveform.mean(axis=-1)
