"""What is in a media file, a whole video in memory, and how to find media files."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable

import av
import numpy as np

from rac_jax.media import container as box
from rac_jax.media import frames as frame_io
from rac_jax.media.container import MediaError
from rac_jax.media.frames import stream_frames

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv",
))
SOUND_SUFFIXES = frozenset((
    ".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav", ".wma",
))
# fmt: on
SIBLING_SUFFIXES = (".wav", ".mp3", ".flac", ".m4a", ".ogg")


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """What a file says of itself.

    Attributes:
      path: the file.
      duration_s: length in seconds as the file claims it, 0.0 where it does not.
      has_video: whether there is a picture (a cover image is none).
      has_audio: whether there is sound.
      width: pixels across as shown, 0 without a picture.
      height: pixels down as shown, 0 without a picture.
      fps: average frames per second (25 where the file does not say), 0.0 without a picture.
      frames: estimated number of frames, None if unknown.
      audio_rate: samples per second, 0 without sound.
    """

    path: str
    duration_s: float
    has_video: bool
    has_audio: bool
    width: int
    height: int
    fps: float
    frames: int | None
    audio_rate: int


@dataclasses.dataclass(frozen=True)
class Video:
    """A video in memory.

    Attributes:
      frames: uint8 [T, H, W, 3], RGB.
      times_s: float64 [T], seconds after the video's first frame.
      fps: average frames per second as the file says.
    """

    frames: np.ndarray
    times_s: np.ndarray
    fps: float


def probe(path: str | os.PathLike) -> MediaInfo:
    """Looks into a file; decodes at most its first frame.

    Args:
      path: a media file.

    Returns:
      What it claims to hold.

    Raises:
      MediaError: if it cannot be read, holds neither picture nor sound, or has a picture of
        which no frame can be decoded.
    """
    path = os.fspath(path)
    with box.open_media(path) as container:
        video, audio = box.video_stream(container), box.audio_stream(container)
        if video is None and audio is None:
            raise MediaError(f"{path}: has neither picture nor sound")
        height = width = 0
        fps, frames = 0.0, None
        duration_s = _duration_s(container, video, audio)
        if video is not None:
            first = next(box.decode(container, video, path), None)
            if first is None:
                raise MediaError(f"{path}: no frame of its picture can be decoded")
            shown = frame_io.orientation(first)
            height, width = shown.stored_size((first.height, first.width))
            fps = frame_io.frame_rate(video) or frame_io.DEFAULT_FPS
            frames = video.frames or (round(duration_s * fps) or None)
        return MediaInfo(
            path=path,
            duration_s=duration_s,
            has_video=video is not None,
            has_audio=audio is not None,
            width=width,
            height=height,
            fps=fps,
            frames=frames,
            audio_rate=audio.codec_context.sample_rate if audio is not None else 0,
        )


def _duration_s(container, *streams) -> float:
    lengths = [
        box.seconds(stream.duration, stream.time_base)
        for stream in streams
        if stream is not None and stream.duration
    ]
    return max(lengths, default=(container.duration or 0) / av.time_base)


def read_video(
    path: str | os.PathLike,
    *,
    size: tuple[int, int] | None = None,
    interpolation: str = "area",
    start_s: float = 0.0,
    end_s: float | None = None,
    chunk: int = 32,
) -> Video:
    """All of `stream_frames` in one array.

    Args:
      path, size, interpolation, start_s, end_s, chunk: as in `stream_frames`.

    Returns:
      The video; without frames where it ends before `start_s`.

    Raises:
      MediaError, ValueError: as `stream_frames`.
    """
    chunks = list(
        stream_frames(
            path,
            size=size,
            interpolation=interpolation,
            start_s=start_s,
            end_s=end_s,
            chunk=chunk,
        )
    )
    info = probe(path)
    if not chunks:
        height, width = size or (info.height, info.width)
        empty = np.zeros((0, height, width, 3), np.uint8)
        return Video(empty, np.zeros(0), info.fps)
    return Video(
        np.concatenate([c.frames for c in chunks]),  # [T, H, W, 3]
        np.concatenate([c.times_s for c in chunks]),  # [T]
        info.fps,
    )


def sibling_sound(path: str | os.PathLike) -> pathlib.Path | None:
    """The sound file beside a video: the same name with a sound's suffix.

    Args:
      path: a video.

    Returns:
      The first that exists of .wav, .mp3, .flac, .m4a and .ogg, or None.
    """
    path = pathlib.Path(path)
    for suffix in SIBLING_SUFFIXES:
        for spelling in (suffix, suffix.upper()):
            candidate = path.with_suffix(spelling)
            if candidate != path and candidate.is_file():
                return candidate
    return None


def find_media(paths: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
    """Media files among files and folders.

    Args:
      paths: files, taken as they are whatever their names; and folders, searched with all
        that is in them. In a folder a sound file beside a video of the same name is that
        video's sound and no file of its own; hidden files are passed over.

    Returns:
      Files in the order given, those of a folder sorted; each once.

    Raises:
      MediaError: for a path that does not exist or a folder without media.
    """
    found = {}
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            inside = _search(path)
            if not inside:
                raise MediaError(f"{path}: no media files in this folder")
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        else:
            raise MediaError(f"{path}: no such file or folder")
    return list(found)


def _search(folder: pathlib.Path) -> list[pathlib.Path]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.suffix.lower() in VIDEO_SUFFIXES | SOUND_SUFFIXES
        and path.is_file()
    ]
    videos = {p.with_suffix("") for p in files if p.suffix.lower() in VIDEO_SUFFIXES}
    return [
        path
        for path in files
        if path.suffix.lower() not in SIBLING_SUFFIXES
        or path.with_suffix("") not in videos
    ]
