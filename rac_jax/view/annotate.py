"""A copy of a video that is drawn into, such as with the running count burnt in.

The number at a time t is the integral of the result's rate up to t, rounded, and nothing else;
the last frame shows `CountResult.rounded`.
"""

import functools
import math
import os
import pathlib
from collections.abc import Callable, Iterator

import matplotlib
import numpy as np
import tqdm
from PIL import Image, ImageDraw, ImageFont

from rac_jax import media
from rac_jax.counting.result import CountResult
from rac_jax.counting.source import ARRAY_NAME
from rac_jax.media import encode
from rac_jax.view import dub

LONGEST_SIDE = 1280  # pixels; larger pictures are made smaller
AUDIO_RATE = dub.RATE  # of the copy: a dubbing track goes into it as it is
FPS_RANGE = (1.0, 120.0)  # of the copy; some files name rates far outside
PROGRESS_DELAY_S = 3.0
CHUNK = 8  # frames; few, because they have their full size

COLOUR = (
    255,
    208,
    0,
)  # yellow: seen by all kinds of colour vision, on dark and on light
Draw = Callable[[np.ndarray, int], None]  # into a frame, given its number


def shown_counts(result: CountResult, times_s: np.ndarray) -> np.ndarray:
    """The numbers that are burnt in at given times.

    Args:
      result: what was counted.
      times_s: float [n], rising, in seconds of the file; the last one is the end.

    Returns:
      int [n], never falling; the last one is `result.rounded`.
    """
    counts = np.floor(result.rate.done(times_s) + 0.5).astype(int)
    # The integral may miss the count by a thousandth, on the other side of a half.
    counts = np.minimum(counts, result.rounded)
    counts[-1] = result.rounded
    return counts


def annotate_video(
    result: CountResult,
    path: str | os.PathLike,
    *,
    progress: bool = False,
) -> None:
    """Writes the counted part of the video with the running count in its corner.

    The picture keeps its displayed size up to a long side of 1280 pixels, its average frame
    rate becomes a constant one, and the sound is kept (mono). Memory does not grow with length.

    Args:
      result: what was counted; its file must still be there.
      path: the video to write, such as "counted.mp4".
      progress: show a progress bar on long videos.

    Raises:
      MediaError: if the result's file cannot be read, or has no picture.
      ValueError: if the result does not come from a file, or `path` is that very file.
    """

    def make(size: tuple[int, int], ends_s: np.ndarray) -> Draw:
        counts, total = shown_counts(result, ends_s), len(ends_s)
        overlay = _Overlay(size, result.duration_s, largest=int(counts[-1]))
        return lambda frame, number: overlay.draw(
            frame, counts[number], (number + 1) / total
        )

    drawn_copy(result, path, make, progress=progress)


def drawn_copy(
    result: CountResult,
    path: str | os.PathLike,
    make: Callable[[tuple[int, int], np.ndarray], Draw],
    *,
    sound: Iterator[np.ndarray] | None = None,
    progress: bool = False,
) -> None:
    """Writes the counted part of the video, each frame drawn into; see `annotate_video`.

    Args:
      result: what was counted; its file must still be there.
      path: the video to write.
      make: given (H, W) of the copy, and the times [n] at which each of its frames is replaced by
        the next, in seconds of the file, gives what draws into frame uint8 [H, W, 3] of a number.
      sound: float [n] pieces at `AUDIO_RATE`, in place of the file's own sound.
      progress: show a progress bar on long videos.

    Raises:
      MediaError, ValueError: as `annotate_video`.
    """
    if result.file == ARRAY_NAME:
        raise ValueError(
            f"{ARRAY_NAME}: was counted from arrays, there is no video to annotate"
        )
    target = pathlib.Path(path)
    if target.exists() and os.path.samefile(target, result.file):
        raise ValueError(f"{target}: is the counted video itself, choose another name")
    info = media.probe(result.file)
    if not info.has_video:
        raise media.MediaError(f"{result.file}: has no picture to annotate")
    size = _output_size(info.height, info.width)
    fps = min(max(info.fps, FPS_RANGE[0]), FPS_RANGE[1])
    total = max(1, round(result.duration_s * fps))
    end_s = result.start_s + result.duration_s
    if sound is None:
        heard = result.file if info.has_audio else media.sibling_sound(result.file)
        if heard is not None:
            sound = media.stream_audio(
                heard, rate=AUDIO_RATE, start_s=result.start_s, end_s=end_s
            )
    # What a frame shows is true at the moment when the next one replaces it.
    ends_s = result.start_s + (np.arange(total) + 1) / total * result.duration_s
    draw = make(size, ends_s)
    audio_rate = AUDIO_RATE if sound is not None else None
    sound = sound or iter(())
    done, heard_samples = 0, 0
    bar = tqdm.tqdm(
        total=total,
        desc=target.name,
        unit="frame",
        delay=PROGRESS_DELAY_S,
        leave=False,
        disable=not progress,
    )
    writer = encode.VideoWriter(target, fps=fps, size=size, audio_rate=audio_rate)
    with bar, writer:
        for frames in _at_constant_rate(result, size, fps, total):
            for frame in frames:
                draw(frame, done)
                done += 1
            writer.write(frames)
            # Sound follows the picture closely, so that the muxer holds little back.
            while heard_samples < done / fps * AUDIO_RATE:
                samples = next(sound, None)
                if samples is None:
                    break
                samples = samples[: math.ceil(total / fps * AUDIO_RATE) - heard_samples]
                if len(samples):
                    writer.write_audio(samples)
                heard_samples += len(samples)
            bar.update(len(frames))


def _output_size(height: int, width: int) -> tuple[int, int]:
    """(H, W) of the copy: as displayed, or with a long side of 1280."""
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _at_constant_rate(
    result: CountResult, size: tuple[int, int], fps: float, total: int
) -> Iterator[np.ndarray]:
    """Exactly `total` frames uint8 [n, H, W, 3] in chunks, `fps` of them per second.

    Each shows the last frame of the file whose time has come, with half a frame of tolerance
    so that rounded timestamps of a constant rate give every frame once. Where the picture is
    shorter than the counted part, its last frame stays.
    """
    chunks = media.stream_frames(
        result.file,
        size=size,
        start_s=result.start_s,
        end_s=result.start_s + result.duration_s,
        chunk=CHUNK,
    )
    done, shown = 0, None
    for chunk in chunks:
        for frame, time_s in zip(chunk.frames, chunk.times_s, strict=True):
            # Output frames before this one's time still show the one before.
            due = math.ceil((time_s - result.start_s) * fps - 0.5)
            for part in _repeat(shown, min(due, total) - done):
                yield part
                done += len(part)
            shown = frame
    if shown is None:
        raise media.MediaError(
            f"{result.file}: has no frames in the part that was counted"
        )
    yield from _repeat(shown, total - done)


def _repeat(frame: np.ndarray | None, times: int) -> Iterator[np.ndarray]:
    """Copies of a frame, `CHUNK` at a time."""
    while frame is not None and times > 0:
        n = min(times, CHUNK)
        yield np.repeat(frame[None], n, axis=0)
        times -= n


class _Overlay:
    """Draws the number on a dark plate, and a bar along the lower edge that shows the time.

    Args:
      size: (H, W) of the frames.
      duration_s: what the full bar stands for, in seconds.
      largest: the largest number to come; the plate is wide enough for it from the start.
    """

    def __init__(self, size: tuple[int, int], duration_s: float, largest: int):
        self._height, self._width = size
        self._duration_s = duration_s
        side = min(size)
        font = os.path.join(
            matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf"
        )
        self._large = ImageFont.truetype(font, max(14, round(0.16 * side)))
        self._small = ImageFont.truetype(font, max(8, round(0.032 * side)))
        self._margin = max(2, round(0.03 * side))
        self._bar = max(2, round(0.012 * side))
        self._digits = max(2, len(str(largest)))
        # Numbers change rarely, so a plate is drawn once and blended many times.
        self._plate = functools.lru_cache(maxsize=4)(self._render_number)
        self._clock = functools.lru_cache(maxsize=4)(self._render_clock)

    def draw(self, frame: np.ndarray, count: int, share: float) -> None:
        """Draws into a frame.

        Args:
          frame: uint8 [H, W, 3], changed in place.
          count: the number.
          share: of the time that is over, in [0, 1].
        """
        _blend(frame, self._plate(count), self._margin, self._margin)
        clock = self._clock(math.floor(share * self._duration_s))
        below = self._height - self._bar - self._margin - clock.shape[0]
        _blend(frame, clock, below, self._width - self._margin - clock.shape[1])
        edge = self._height - self._bar
        frame[edge:] //= 3
        frame[edge:, : round(share * self._width)] = COLOUR

    def _render_number(self, count: int) -> np.ndarray:
        widest = self._large.getlength("0" * self._digits)
        return _plate(str(count), self._large, widest)

    def _render_clock(self, seconds: int) -> np.ndarray:
        text = f"{_minutes(seconds)} / {_minutes(round(self._duration_s))}"
        return _plate(text, self._small, self._small.getlength(text))


def _minutes(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _plate(text: str, font: ImageFont.FreeTypeFont, width: float) -> np.ndarray:
    """White text on a dark rounded plate: uint8 [h, w, 4] with alpha."""
    pad = max(2, round(0.22 * font.size))
    ascent = -font.getbbox("0", anchor="ls")[1]  # digits have no descender
    size = (math.ceil(width) + 2 * pad, ascent + 2 * pad)
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle(
        (0, 0, size[0] - 1, size[1] - 1), radius=pad, fill=(0, 0, 0, 168)
    )
    draw.text((size[0] / 2, pad + ascent), text, font=font, fill="white", anchor="ms")
    return np.asarray(image)


def _blend(frame: np.ndarray, plate: np.ndarray, top: int, left: int) -> None:
    """Lays a plate over a frame; what does not fit is cut off."""
    top, left = max(0, top), max(0, left)
    area = frame[top : top + plate.shape[0], left : left + plate.shape[1]]
    plate = plate[: area.shape[0], : area.shape[1]].astype(np.uint16)
    alpha = plate[..., 3:]
    area[:] = (plate[..., :3] * alpha + area * (255 - alpha) + 127) // 255
