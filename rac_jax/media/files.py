"""What is in a media file, and how to find media files."""

import dataclasses
import os
import pathlib
import stat
from collections.abc import Iterable, Mapping
from typing import Any

import av

from rac_jax.media import audio, images
from rac_jax.media import container as box
from rac_jax.media import frames as frame_io
from rac_jax.media.container import MediaError

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".ogv", ".ts", ".webm", ".webp", ".wmv",
))
SOUND_SUFFIXES = frozenset((
    ".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav", ".wma",
))
# fmt: on
SUFFIXES = VIDEO_SUFFIXES | SOUND_SUFFIXES
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
      start_s: when the first frame is shown, on the file's own clock; None without a picture.
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
    start_s: float | None


def look(path: str) -> dict[str, Any]:
    """Looks for a picture; decodes at most its first frame.

    Args:
      path: a media file.

    Returns:
      What `make_info` takes; "fault" says why the picture of a file that has one is of no use.

    Raises:
      MediaError: if the file cannot be opened.
    """
    if images.is_pictures(path):
        return _look_at_pictures(path)
    with box.open_media(path) as container:
        video = box.video_stream(container, path)
        sounds = box.audio_streams(container)
        found: dict[str, Any] = {
            "duration_s": _duration_s(container, video, *sounds[:1])
        }
        if video is None:
            return found
        try:
            frame_io.prepare(video, path)
        except MediaError as error:
            return found | {"fault": str(error).removeprefix(f"{path}: ")}
        first = next(box.decode(container, video, path), None)
        if first is None:
            return found | {"fault": "no frame of its picture can be decoded"}
        shown = frame_io.orientation(first)
        height, width = shown.stored_size((first.height, first.width))
        fps = box.average_fps(video, path)
        start_s = 0.0
        if first.pts is not None:
            start_s = box.seconds(first.pts, first.time_base)
        return found | {
            "width": width,
            "height": height,
            "fps": fps,
            "frames": video.frames or (round(found["duration_s"] * fps) or None),
            "start_s": start_s,
        }


def _look_at_pictures(path: str) -> dict[str, Any]:
    frames, last_s = 0, 0.0
    height = width = 0
    for frame, last_s in images.timed_pictures(path):
        height, width = frame.height, frame.width
        frames += 1
    step_s = last_s / (frames - 1) if frames > 1 else 1 / box.DEFAULT_FPS
    return {
        "duration_s": last_s + step_s,
        "width": width,
        "height": height,
        "fps": 1 / step_s,
        "frames": frames,
        "start_s": 0.0,
    }


def listen(path: str) -> dict[str, Any]:
    """Looks for sound; decodes the beginning of what will be listened to.

    Args:
      path: a media file.

    Returns:
      {} without sound, otherwise "audio_rate" in samples per second; "fault" says why sound
      that is there is of no use.

    Raises:
      MediaError: if the file cannot be opened.
    """
    if images.is_pictures(path):
        return {}
    with box.open_media(path) as container:
        stream = audio.choose_stream(container, path)
        if stream is None:
            return {}
        # What is wrong with it is said again by whoever reads it to its end.
        with box.collect_faults():
            first = next(box.decode(container, stream, path), None)
        if first is None:
            return {"fault": "nothing of its sound can be decoded"}
        return {"audio_rate": first.sample_rate}


def make_info(
    path: str, picture: Mapping[str, Any], sound: Mapping[str, Any]
) -> MediaInfo:
    """What `look` and `listen` have found, as one record."""
    return MediaInfo(
        path=path,
        duration_s=picture.get("duration_s", 0.0),
        has_video="width" in picture,
        has_audio="audio_rate" in sound,
        width=picture.get("width", 0),
        height=picture.get("height", 0),
        fps=picture.get("fps", 0.0),
        frames=picture.get("frames"),
        audio_rate=sound.get("audio_rate", 0),
        start_s=picture.get("start_s"),
    )


def _duration_s(container, *streams) -> float:
    lengths = [
        box.seconds(stream.duration, stream.time_base)
        for stream in streams
        if stream is not None and stream.duration
    ]
    return max(lengths, default=(container.duration or 0) / av.time_base)


def sibling_sound(path: str | os.PathLike) -> pathlib.Path | None:
    """The sound file beside a video: the same name with a sound's suffix.

    Args:
      path: a video.

    Returns:
      The first that exists of .wav, .mp3, .flac, .m4a and .ogg, or None.
    """
    path = pathlib.Path(path)
    if not path.name:  # the folder of frames one is in
        path = path.resolve()
    for suffix in SIBLING_SUFFIXES:
        for spelling in (suffix, suffix.upper()):
            candidate = path.with_suffix(spelling)
            if candidate != path and candidate.is_file():
                return candidate
    return None


def find_media(paths: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
    """Media files among files and folders.

    Args:
      paths: files, taken as they are whatever their names; addresses of the web; and folders,
        searched with all that is in them. In a folder a sound file beside a video of the same
        name is that video's sound and no file of its own; hidden files are passed over, and links
        to folders are not followed. A folder with pictures only is one video, of these frames.

    Returns:
      Files in the order given, those of a folder sorted; each once. What cannot be searched, or
      is called like media and is no file, is reported as a fault.

    Raises:
      MediaError: for a path that does not exist or a folder without media.
    """
    found = {}
    for path in map(os.fspath, paths):
        if path.startswith(box.URL_SCHEMES):
            found[path] = None
            continue
        if path == "-":
            raise MediaError("-: standard input is not supported, give a file")
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            raise MediaError(f"{path}: no such file or folder") from None
        except (OSError, ValueError) as error:
            raise MediaError(f"{path}: {box.reason(error)}") from None
        if not stat.S_ISDIR(mode):
            found[pathlib.Path(path)] = None
            continue
        inside = _search(pathlib.Path(path))
        if not inside:
            raise MediaError(f"{path}: no media files in this folder")
        found |= dict.fromkeys(inside)
    return list(found)


def _search(folder: pathlib.Path) -> list[pathlib.Path]:
    files = []

    def complain(error: OSError) -> None:
        box.report_fault(error.filename, f"cannot be searched ({box.reason(error)})")

    for place, folders, names in os.walk(folder, onerror=complain):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = pathlib.Path(place, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            try:
                regular = stat.S_ISREG(os.stat(path).st_mode)
                why = "is not a file"
            except OSError as error:
                regular, why = False, box.reason(error)
            if regular:
                files.append(path)
            else:
                box.report_fault(str(path), why)
    if not files and os.access(folder, os.R_OK | os.X_OK):
        return [folder] if images.find_frames(folder) else []
    files.sort()
    videos = {p.with_suffix("") for p in files if p.suffix.lower() in VIDEO_SUFFIXES}
    return [
        path
        for path in files
        if path.suffix.lower() not in SIBLING_SUFFIXES
        or path.with_suffix("") not in videos
    ]
