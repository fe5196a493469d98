"""Frames of a camera, a stream or a file at its own pace; runs in the worker that may die.

Nothing waits here: a frame that could only be shown late is left out before it is converted.
"""

import io
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from rac_jax.media import container as box
from rac_jax.media import frames
from rac_jax.media.container import MediaError
from rac_jax.media.pixels import fitted_size

CAMERA = "camera "  # before a camera's number, as a source's name
LAVFI = "lavfi:"  # before a graph of FFmpeg's, for tests
# Of addresses that come at their own pace.
LIVE_SCHEMES = (
    "rtsp://",
    "rtsps://",
    "rtmp://",
    "udp://",
    "tcp://",
    "srt://",
    "rtp://",
)

# The framework through which FFmpeg reads cameras, by operating system.
CAMERA_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}

PICTURE_WIDTH = 640  # pixels of what is shown, at most
PICTURE_S = 1 / 15  # from one picture that is shown to the next
PICTURE_QUALITY = 75  # of JPEG


def is_address(source: str) -> bool:
    """Whether a source is an address, of a stream or of a file elsewhere."""
    return source.startswith((*LIVE_SCHEMES, *box.URL_SCHEMES))


def _camera(number: int) -> tuple[str, str, dict[str, str]]:
    """Where a camera is found: (address, format, options).

    Raises:
      MediaError: if there is none of that number, or no way to read one here.
    """
    name = f"{CAMERA}{number}"
    kind = CAMERA_FORMATS.get(sys.platform)
    if kind is None:
        raise MediaError(f"{name}: no way to read cameras on {sys.platform} is known")
    if kind == "v4l2":
        address = f"/dev/video{number}"
        if not os.path.exists(address):
            raise MediaError(f"{name}: there is no {address}")
        return address, kind, {}
    if kind == "avfoundation":
        return str(number), kind, {"framerate": "30", "pixel_format": "nv12"}
    found = [
        device.name
        for device in av.enumerate_input_devices(kind)
        if "video" in device.media_types
    ]
    if number >= len(found):
        raise MediaError(f"{name}: there are {len(found)} cameras, counted from 0")
    return f"video={found[number]}", kind, {}


def open_source(source: str) -> tuple[Any, bool]:
    """Opens a source.

    Args:
      source: "camera N", "lavfi:GRAPH", an address or a file.

    Returns:
      (a context that gives the open container, whether its frames come at their own pace).

    Raises:
      MediaError: if it cannot be found.
    """
    if source.startswith(CAMERA):
        address, kind, options = _camera(int(source.removeprefix(CAMERA)))
        return box.opened(address, source, format=kind, options=options), True
    if source.startswith(LAVFI):
        graph = source.removeprefix(LAVFI)
        return box.opened(graph, source, format="lavfi"), False
    if source.startswith(LIVE_SCHEMES):
        options = {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}
        context = box.opened(source, source, timeout=box.URL_TIMEOUT_S, options=options)
        return context, True
    return box.open_media(source), False


def _timed(container, source: str) -> Iterator[tuple[av.VideoFrame, float]]:
    """Frames of a source that is no file, and seconds after the first; times rise."""
    stream = container.streams.video[0]
    frames.prepare(stream, source)
    first = last = None
    for frame in box.decode(container, stream, source):
        if frame.pts is None:
            continue
        now = box.seconds(frame.pts, frame.time_base)
        first = now if first is None else first
        if last is None or now > last:
            last = now
            yield frame, now - first
    if last is None:
        raise MediaError(f"{source}: gives no frame")


def stream_live(
    path: str,
    *,
    size: tuple[int, int] | None,
    short_side: int | None,
    aspect: str,
    interpolation: str,
    most_fps: float | None,
    picture: bool,
    late_s: float,
) -> Iterator[tuple[dict[str, Any], memoryview]]:
    """Messages of a source: first what it is, then its frames as they come.

    Args:
      path: see `open_source`.
      size, short_side, aspect: of the frames, see `pixels.fitted_size`.
      interpolation: see `frames.stream_frames`.
      most_fps: of faster pictures only every second frame is given, or fewer.
      picture: whether there are pictures to show, too.
      late_s: a frame that is late by more than this is left out.

    Yields:
      ("source": "fps", "height", "width"), then ("frame": "time_s", "shape", "picture", how many
      bytes of JPEG follow those of the frame, "left_out", how many frames so far).

    Raises:
      MediaError: if it cannot be opened, or gives no frame.
    """
    context, own_pace = open_source(path)
    with context as container:
        if not container.streams.video:
            raise MediaError(f"{path}: has no picture")
        stream = container.streams.video[0]
        whole = not own_pace and not path.startswith(LAVFI)
        timed = (frames.timed_frames if whole else _timed)(container, path)
        fps = float(stream.average_rate or stream.guessed_rate or box.DEFAULT_FPS)
        gap_s = 0.0 if most_fps is None else frames.least_gap_s(most_fps)
        shrink, left_out, last_s, shown_s = None, 0, -np.inf, -np.inf
        began = None
        for frame, time_s in timed:
            now = time.monotonic()
            began = now - time_s if began is None else began
            ahead_s = 0.0 if own_pace else began + time_s - now
            if time_s - last_s < gap_s:
                continue
            if ahead_s < -late_s:
                left_out += 1
                continue
            if ahead_s > 0:
                time.sleep(ahead_s)
            last_s = time_s
            if shrink is None:
                shown = frames.orientation(frame).stored_size(
                    (frame.height, frame.width)
                )
                fitted = fitted_size(*shown, size, short_side, aspect)
                shrink = frames.Shrink(frame, fitted, interpolation)
                fps = fps if box.LIKELY_FPS[0] <= fps <= box.LIKELY_FPS[1] else 0.0
                header = {"kind": "source", "fps": fps}
                yield header | {"height": shown[0], "width": shown[1]}, memoryview(b"")
            pixels = np.empty((*shrink.size, 3), np.uint8)
            shrink.into(frame, pixels)
            jpeg = b""
            if picture and time_s - shown_s >= PICTURE_S:
                shown_s, jpeg = time_s, _jpeg(frame)
            header = {"kind": "frame", "time_s": time_s, "shape": pixels.shape}
            header |= {"picture": len(jpeg), "left_out": left_out}
            yield header, memoryview(pixels.tobytes() + jpeg)


def _jpeg(frame: av.VideoFrame) -> bytes:
    """A frame as it is shown, at most `PICTURE_WIDTH` wide."""
    import PIL.Image  # workers that read files start without it

    orientation = frames.orientation(frame)
    height, width = orientation.stored_size((frame.height, frame.width))
    scale = min(1.0, PICTURE_WIDTH / width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    shrink = frames.Shrink(frame, size, "area")
    pixels = np.empty((*size, 3), np.uint8)
    shrink.into(frame, pixels)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "jpeg", quality=PICTURE_QUALITY)
    return file.getvalue()
