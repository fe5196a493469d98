"""Where frames and sound come from: a media file, or arrays in memory.

A source can be read more than once and never holds a whole video: frames and samples arrive in
chunks, as the family needs them, the sound of a chunk of frames with it.
"""

import dataclasses
import math
import numbers
import os
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from rac_jax import media
from rac_jax.counting.ahead import read_ahead
from rac_jax.counting.estimator import Chunk
from rac_jax.counting.needs import FrameNeeds, Needs
from rac_jax.media.pixels import centred, fitted_size, to_grey

CHUNKS = 2  # of frames that are read ahead of the reader,
EARLY_CHUNKS = 16  # and before there is one: 20 MB of 112 pixels a side
BLOCKS = 4  # of sound, a second each

ARRAY_NAME = "<array>"
ARRAY_FPS = 25.0  # for arrays that come without a frame rate
MOST_FPS = 480.0  # of arrays; more is a time base, or no rate at all
ARRAY_CHUNK = 32  # frames

# Sound that is read of one file. It lies on disk while it is counted: at 22050 samples per second
# 0.3 GB an hour, so 7.6 GB at most; silence takes no room.
MOST_SOUND_S = 24 * 3600.0

NO_SAMPLES = np.zeros(0, np.float32)


class Source(Protocol):
    """What a counter reads from.

    Attributes:
      name: for messages and the result.
      needs: what it was opened for.
      fps: average frames per second that it gives, 0.0 without a picture.
      start_s: where the part to count starts, in seconds of the file.
      has_picture: whether it gives frames: there is a picture, and it is needed.
      has_sound: whether it gives samples, likewise.
      faults: what was wrong when it was opened, "<name>: <reason>" each.
      frames_expected: how many frames about, for the progress bar only.
    """

    name: str
    needs: Needs
    fps: float
    start_s: float
    has_picture: bool
    has_sound: bool
    faults: tuple[str, ...]
    frames_expected: int | None

    def chunks(self) -> Iterator[Chunk]:
        """All frames and samples in chunks, from the start."""
        ...


@dataclasses.dataclass(frozen=True)
class FrameLayout:
    """How decoded frames become those that are needed.

    Attributes:
      size: (height, width) to which the decoder resizes; None for as it is.
      top, left: of what is cropped (positive) or padded (negative), in pixels of that size.
      final: (height, width) of what is given; None for as it is.
      colour: see `FrameNeeds`.
    """

    size: tuple[int, int] | None
    top: int
    left: int
    final: tuple[int, int] | None
    colour: str

    @classmethod
    def of(cls, needs: FrameNeeds, height: int, width: int) -> "FrameLayout":
        """The layout for a picture of height x width pixels as shown."""
        fitted = fitted_size(height, width, needs.size, needs.short_side, needs.aspect)
        if needs.size is None or needs.aspect == "stretch":
            return cls(fitted, 0, 0, fitted, needs.colour)
        room = [have - want for have, want in zip(fitted, needs.size, strict=True)]
        return cls(fitted, room[0] // 2, room[1] // 2, needs.size, needs.colour)

    def finish(self, frames: np.ndarray) -> np.ndarray:
        """Frames of `size` as they are needed: uint8 [n, H, W, C]."""
        if self.final is not None and self.final != self.size:
            frames = centred(frames, self.top, self.left, self.final)
        if self.colour == "bgr":
            return np.ascontiguousarray(frames[..., ::-1])
        return to_grey(frames)[..., None] if self.colour == "grey" else frames


def _every(needs: FrameNeeds | None, fps: float) -> int:
    """Of how many frames one is given, of frames that follow each other evenly."""
    if needs is None or needs.most_fps is None:
        return 1
    return max(1, math.ceil(fps * media.least_gap_s(needs.most_fps)))


def _tolerant(stream: Iterator, name: str) -> Iterator:
    """A stream that ends where it fails, since there is another one to count by."""
    try:
        yield from stream
    except media.MediaError as error:
        media.pass_on_fault(f"{name}: {str(error).removeprefix(f'{name}: ')}")


def _merged(
    frames: Iterator[media.FrameChunk],
    sound: Iterator[np.ndarray],
    layout: FrameLayout | None,
    rate: int,
    start_s: float,
) -> Iterator[Chunk]:
    """Frames with the sound up to them, and after the last frame what is left of the sound."""
    heard = 0
    for chunk in frames:
        due = (float(chunk.times_s[-1]) - start_s) * rate if len(chunk.frames) else 0
        blocks = [NO_SAMPLES]
        while rate and heard < due and (block := next(sound, None)) is not None:
            blocks.append(block)
            heard += len(block)
        yield Chunk(layout.finish(chunk.frames), chunk.times_s, np.concatenate(blocks))
    nothing = np.zeros((0, 0, 0, 0), np.uint8)
    for block in sound:
        yield Chunk(nothing, np.zeros(0), block)


class FileSource:
    """A media file, with the sound file that lies beside a silent one.

    Args:
      path: the file.
      needs: what the family wants of it.
      start_s: start of the part to read, in seconds.
      end_s: end of that part, or None for all.
      info: what `media.probe` says of the file, where that is known.

    Raises:
      MediaError: if the file cannot be read or has neither picture nor sound.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        needs: Needs,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        info: media.MediaInfo | None = None,
    ):
        self.name = os.fspath(path)
        self.needs = needs
        self.start_s = start_s
        self.end_s = end_s
        # As it was given: the path of an address would lose a slash.
        self._path = self.name
        with media.collect_faults() as faults:
            info = info or media.probe(path)
        self.faults = tuple(faults)
        self._origin_s = info.start_s
        self._sound_path = self._path if info.has_audio else media.sibling_sound(path)
        self.has_picture = info.has_video and needs.frames is not None
        self.has_sound = self._sound_path is not None and needs.sound is not None
        if self.has_sound and info.duration_s - start_s > MOST_SOUND_S:
            hours = MOST_SOUND_S / 3600
            self.faults += (f"{self.name}: its sound is read for {hours:.0f} h",)
        every = _every(needs.frames, info.fps)
        self.fps = info.fps / every if self.has_picture else 0.0
        self._layout = None
        self.frames_expected = None
        if self.has_picture:
            self._layout = FrameLayout.of(needs.frames, info.height, info.width)
            end = info.duration_s if end_s is None else min(end_s, info.duration_s)
            self.frames_expected = max(1, round((end - start_s) * self.fps))
        self._begun: tuple[Iterator, Iterator] | None = None

    def begin(self) -> None:
        """Begins to read at once, for whoever calls `chunks` next."""
        self._begun = self._read(EARLY_CHUNKS)

    def chunks(self) -> Iterator[Chunk]:
        """All frames and samples in chunks, from the start; times are those of the file."""
        begun, self._begun = self._begun, None
        frames, sound = begun or self._read(CHUNKS)
        rate = self.needs.sound.rate if self.has_sound else 0
        return _merged(frames, sound, self._layout, rate, self.start_s)

    def _read(self, ahead: int) -> tuple[Iterator, Iterator]:
        frames, sound = iter(()), iter(())
        span = {"start_s": self.start_s, "end_s": self.end_s}
        if self.has_picture:
            decoded = media.stream_frames(
                self._path,
                size=self._layout.size,
                interpolation=self.needs.frames.interpolation,
                most_fps=self.needs.frames.most_fps,
                **span,
            )
            if self.has_sound:
                decoded = _tolerant(decoded, self.name)
            frames = read_ahead(decoded, ahead)
        if self.has_sound:
            rate = self.needs.sound.rate
            own = self._sound_path == self._path
            end_s = self.start_s + MOST_SOUND_S
            decoded = media.stream_audio(
                self._sound_path,
                rate=rate,
                origin_s=self._origin_s if own else None,
                start_s=self.start_s,
                end_s=end_s if self.end_s is None else min(end_s, self.end_s),
            )
            if self.has_picture:
                decoded = _tolerant(decoded, self.name)
            sound = read_ahead(decoded, BLOCKS)
        return frames, sound


class ArraySource:
    """Frames and samples in memory.

    Args:
      frames: uint8 [T, H, W, 3] or a list of pictures, or None.
      needs: what the family wants of it.
      fps: frames per second; None means 25.
      waveform: [S] mono or [S, channels], float in [-1, 1] or int16 or int32, or None.
      audio_rate: its samples per second; resampled where the family wants another rate.

    Raises:
      ValueError: for wrong shapes, types or rates.
    """

    def __init__(
        self,
        frames: np.ndarray | None,
        needs: Needs,
        *,
        fps: float | None,
        waveform: np.ndarray | None,
        audio_rate: int | None,
    ):
        self.name = ARRAY_NAME
        self.needs = needs
        self.start_s = 0.0
        fps = ARRAY_FPS if fps is None else float(fps)
        if not 0 < fps <= MOST_FPS:
            raise ValueError(
                f"fps: must be frames per second, above 0 and at most {MOST_FPS:g}, not {fps}"
            )
        self.faults = ()
        has_frames = frames is not None and len(frames) > 0
        if has_frames:
            frames = _checked_frames(frames)
        has_samples = waveform is not None and len(waveform) > 0
        if has_samples:
            waveform, audio_rate = _checked_sound(waveform, audio_rate)
        self.has_picture = has_frames and needs.frames is not None
        self.has_sound = has_samples and needs.sound is not None
        self._frames, self._fps = frames, fps
        self._waveform, self._audio_rate = waveform, audio_rate
        self._every = _every(needs.frames, fps)
        self.fps = fps / self._every if self.has_picture else 0.0
        self.frames_expected = (
            -(-len(frames) // self._every) if self.has_picture else None
        )

    def chunks(self) -> Iterator[Chunk]:
        """All frames and samples in chunks, from the start."""
        frames, sound, layout, rate = iter(()), iter(()), None, 0
        if self.has_picture:
            layout = FrameLayout.of(self.needs.frames, *self._frames.shape[1:3])
            frames = self._resized(layout)
        if self.has_sound:
            rate = self.needs.sound.rate
            samples = self._samples(rate)
            sound = (samples[i : i + rate] for i in range(0, len(samples), rate))
        return _merged(frames, sound, layout, rate, 0.0)

    def _resized(self, layout: FrameLayout) -> Iterator[media.FrameChunk]:
        size = layout.size or self._frames.shape[1:3]
        step = ARRAY_CHUNK * self._every
        for first in range(0, len(self._frames), step):
            part = self._frames[first : first + step : self._every]
            times = (first + np.arange(len(part)) * self._every) / self._fps
            yield media.FrameChunk(
                media.resize_frames(part, size, self.needs.frames.interpolation), times
            )

    def _samples(self, rate: int) -> np.ndarray:
        waveform = np.asarray(self._waveform, np.float32)
        waveform = waveform if waveform.ndim == 1 else waveform.mean(axis=-1)
        return media.resample(waveform, self._audio_rate, rate)


def _checked_frames(frames: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Frames as one array; a list of equal pictures is taken, too.

    Raises:
      ValueError: for wrong shapes or types.
    """
    try:
        frames = np.asarray(frames)
    except ValueError:
        raise ValueError("frames: must be of one size, uint8 [T, H, W, 3]") from None
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(
            f"frames: must be uint8 [T, H, W, 3], not {frames.dtype} {list(frames.shape)}"
        )
    if not frames.size:
        raise ValueError(f"frames: hold no pixel, {list(frames.shape)}")
    return frames


# Of whole numbers, full scale.
FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}
MOST_CHANNELS = 32


def _checked_sound(waveform: np.ndarray, rate: int | None) -> tuple[np.ndarray, int]:
    """A waveform [S] or [S, channels] in [-1, 1], and its rate.

    Whole numbers of 16 and 32 bits are shares of full scale; [channels, S] is turned, which is
    told by its being shorter than 32.

    Raises:
      ValueError: for wrong shapes, types or rates.
    """
    waveform = np.asarray(waveform)
    shaped = waveform.ndim in (1, 2) and waveform.size > 0
    scale = FULL_SCALE.get(waveform.dtype, 1.0)
    if not shaped or (waveform.dtype.kind != "f" and scale == 1.0):
        raise ValueError(
            "waveform: must be float, int16 or int32 [S] or [S, channels], not "
            f"{waveform.dtype} {list(waveform.shape)}"
        )
    counted = isinstance(rate, numbers.Real) and 1 <= rate < math.inf
    if not counted or int(rate) != rate:
        raise ValueError(
            f"audio_rate: must be the waveform's samples per second, not {rate}"
        )
    if waveform.ndim == 2 and waveform.shape[0] <= MOST_CHANNELS < waveform.shape[1]:
        waveform = waveform.T
    waveform = (waveform / scale).astype(np.float32)
    if not np.isfinite(waveform).all():
        raise ValueError("waveform: holds a value that is not finite")
    return waveform, int(rate)
