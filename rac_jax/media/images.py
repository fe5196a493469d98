"""Videos that are pictures: an animated WebP, or a folder of frames in the order of their names.

Read by Pillow, since FFmpeg does not animate WebP and wants a pattern for names.
"""

import os
import pathlib
import re
from collections.abc import Iterator

import av
import numpy as np

from rac_jax.media.container import DEFAULT_FPS, MOST_PIXELS, MediaError, reason

ANIMATED_SUFFIXES = frozenset((".webp",))
FRAME_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
LEAST_FRAMES = 2  # of a folder of frames
DIGITS = re.compile(r"(\d+)")


def is_pictures(path: str | os.PathLike) -> bool:
    """Whether a path is read as pictures."""
    path = pathlib.Path(path)
    return path.suffix.lower() in ANIMATED_SUFFIXES or path.is_dir()


def find_frames(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The pictures in a folder, frame 2 before frame 10; [] if there is no sequence in it."""
    found = [
        path
        for path in pathlib.Path(folder).iterdir()
        if path.suffix.lower() in FRAME_SUFFIXES and not path.name.startswith(".")
    ]
    found.sort(
        key=lambda path: [
            (0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in DIGITS.split(path.name)
        ]
    )
    return found if len(found) >= LEAST_FRAMES else []


def timed_pictures(path: str) -> Iterator[tuple[av.VideoFrame, float]]:
    """Reads pictures one after the other.

    Args:
      path: an animated picture, whose frames say how long they are shown; or a folder, whose
        frames are shown 25 times a second.

    Yields:
      (frame in RGB, seconds after the first).

    Raises:
      MediaError: if one cannot be read, or is larger than `MOST_PIXELS`.
    """
    import PIL.Image  # few videos are pictures

    files = find_frames(path) if os.path.isdir(path) else [pathlib.Path(path)]
    if not files:
        raise MediaError(f"{path}: is not a file, and no folder of frames")
    time_s = 0.0
    for file in files:
        try:
            with PIL.Image.open(file) as picture:
                _check_size(file, picture.width, picture.height)
                for number in range(getattr(picture, "n_frames", 1)):
                    picture.seek(number)
                    pixels = np.asarray(picture.convert("RGB"))
                    yield av.VideoFrame.from_ndarray(pixels, "rgb24"), time_s
                    shown_ms = picture.info.get("duration", 0)
                    time_s += shown_ms / 1000 if shown_ms else 1 / DEFAULT_FPS
        except (
            OSError,
            SyntaxError,
            EOFError,
            PIL.Image.DecompressionBombError,
        ) as error:
            raise MediaError(f"{file}: cannot be read ({reason(error)})") from None


def _check_size(file: pathlib.Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise MediaError(
            f"{file}: has {width} x {height} pixels, more than "
            f"{MOST_PIXELS // 10**6} million are not read"
        )
