"""Decoding in another process, so that a file that kills its decoder kills nothing else.

Every stream is decoded by a worker (`worker`), which is used again for the next one. A worker
takes a quarter of a second to start, once and while JAX is imported, and a few milliseconds per
stream (`benchmarks/decoder_process.py`). A whole `rac count` takes as long as without, so every
file is read this way, and none has to look suspicious first.
"""

import atexit
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from rac_jax.media.audio import check_audio
from rac_jax.media.container import MediaError, pass_on_fault, report_fault
from rac_jax.media.files import MediaInfo, make_info
from rac_jax.media.frames import check_frames
from rac_jax.media.pixels import FrameChunk
from rac_jax.media.worker import LENGTH_BYTES

STALL_S = 60.0  # without a packet decoded: the decoder hangs
PACKAGE = pathlib.Path(__file__).parents[2]


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


class DecoderCrashed(MediaError):
    """The process that decoded a stream has died, or hung and was stopped."""


class _Worker:
    """One process."""

    def __init__(self):
        path = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from rac_jax.media import worker; worker.main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What the C library says when it gives a process up.
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
            # Ctrl-C is for the process that counts; it ends this one.
            start_new_session=True,
        )
        self._stalled = False

    def ask(self, request: dict[str, Any]) -> bool:
        """Sends a request; false if the process is no longer there."""
        try:
            self._process.stdin.write((json.dumps(request) + "\n").encode())
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def receive(self) -> tuple[dict[str, Any], bytearray] | None:
        """The next message, None where the process has died."""
        watch = threading.Timer(STALL_S, self._stop_stalled)
        watch.daemon = True
        watch.start()
        try:
            head = self._read(LENGTH_BYTES)
            if head is None:
                return None
            header = self._read(int.from_bytes(head, "little"))
            if header is None:
                return None
            header = json.loads(header)
            payload = self._read(header["bytes"])
            return None if payload is None else (header, payload)
        finally:
            watch.cancel()

    def _read(self, size: int) -> bytearray | None:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            got = self._process.stdout.readinto(view)
            if not got:
                return None
            view = view[got:]
        return data

    def _stop_stalled(self) -> None:
        self._stalled = True
        self._process.kill()

    def end(self) -> str:
        """Ends the process, and says how it ended."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._process.poll() is None:
            try:
                # Time to die by itself of what it is dying of.
                self._process.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.stdout.close()
        code = self._process.wait()
        if self._stalled:
            return f"no answer for {STALL_S:.0f} s"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self.end()


class _Pool:
    """Workers that wait for a request; they belong to the process that started them."""

    def __init__(self):
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._owner = os.getpid()

    def take(self) -> _Worker:
        with self._lock:
            if self._owner != os.getpid():
                self._idle, self._owner = [], os.getpid()
            if self._idle:
                return self._idle.pop()
        return _Worker()

    def give(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        if self._owner == os.getpid():
            for worker in idle:
                worker.kill()


_pool = _Pool()
atexit.register(_pool.close)


def start_worker() -> None:
    """Starts a worker ahead of the first file."""
    _pool.give(_pool.take())


def answers(path: str, request: dict[str, Any]) -> Iterator[tuple[dict, bytearray]]:
    """The messages of a worker to a request; faults are reported, errors raised.

    Raises:
      DecoderCrashed: if it dies.
      MediaError: if it says so.
    """
    worker = _pool.take()
    finished = False
    try:
        # One that was killed while it waited is no fault of this file.
        request = request | {"path": path, "folder": os.getcwd()}
        while not worker.ask(request):
            worker.end()
            worker = _Worker()
        while True:
            message = worker.receive()
            if message is None:
                finished = True
                raise DecoderCrashed(f"{path}: its decoder crashed ({worker.end()})")
            header, payload = message
            match header["kind"]:
                case "alive":
                    continue
                case "fault":
                    pass_on_fault(header["text"])
                case "end" | "error":
                    finished = True
                    _pool.give(worker)
                    if header["kind"] == "error":
                        raise MediaError(header["text"])
                    return
                case _:
                    yield header, payload
    finally:
        # Whoever stops in the middle leaves a worker that is still sending.
        if not finished:
            worker.kill()


def probe(path: str | os.PathLike) -> MediaInfo:
    """Looks into a file; decodes at most a frame of its picture and the start of its sound.

    Args:
      path: a media file.

    Returns:
      What it holds that can be decoded; of a stream that cannot, the reason is reported as a
      fault.

    Raises:
      MediaError: if it cannot be read, or neither picture nor sound can be decoded.
    """
    path = os.fspath(path)
    found: dict[str, dict[str, Any]] = {}
    for request in ("probe", "listen"):
        try:
            for header, _ in answers(path, {"do": request}):
                found[header["kind"]] = header["found"]
            break
        except DecoderCrashed as error:
            crash = str(error).removeprefix(f"{path}: ")
            if "look" in found:
                found["listen"] = {
                    "fault": f"nothing of its sound can be read: {crash}"
                }
                break
            found["look"] = {"fault": f"nothing of its picture can be read: {crash}"}
    faults = [part["fault"] for part in found.values() if part.get("fault")]
    info = make_info(path, found["look"], found.get("listen", {}))
    if not (info.has_video or info.has_audio):
        raise MediaError(
            f"{path}: {'; '.join(faults) or 'has neither picture nor sound'}"
        )
    for fault in faults:
        report_fault(path, fault)
    return info


def stream_frames(
    path: str | os.PathLike,
    *,
    size: tuple[int, int] | None = None,
    interpolation: str = "area",
    start_s: float = 0.0,
    end_s: float | None = None,
    chunk: int = 32,
    most_fps: float | None = None,
    keyframes: bool = False,
) -> Iterator[FrameChunk]:
    """Decodes frames in chunks; see `rac_jax.media.frames.stream_frames`.

    Raises:
      MediaError: while iterating, if the file cannot be read, has no picture, yields no frame or
        kills its decoder.
      ValueError: for arguments out of range.
    """
    size = check_frames(size, interpolation, start_s, end_s, chunk, most_fps)
    request = {
        "do": "frames",
        "size": size,
        "interpolation": interpolation,
        "start_s": start_s,
        "end_s": end_s,
        "chunk": chunk,
        "most_fps": most_fps,
        "keyframes": keyframes,
    }
    return _frames(os.fspath(path), request)


def _frames(path: str, request: dict[str, Any]) -> Iterator[FrameChunk]:
    for header, payload in answers(path, request):
        pixels = np.frombuffer(payload, np.uint8).reshape(header["shape"])
        yield FrameChunk(pixels, np.array(header["times_s"], np.float64))


def stream_audio(
    path: str | os.PathLike,
    *,
    rate: int = 22050,
    start_s: float = 0.0,
    end_s: float | None = None,
    origin_s: float | None = None,
    rough: bool = False,
) -> Iterator[np.ndarray]:
    """Decodes sound in chunks; see `rac_jax.media.audio.stream_audio`.

    Raises:
      MediaError: while iterating, if the file cannot be read, has no sound or kills its decoder.
      ValueError: for arguments out of range.
    """
    check_audio(rate, start_s, end_s)
    request = {
        "do": "audio",
        "rate": int(rate),
        "start_s": start_s,
        "end_s": end_s,
        "origin_s": origin_s,
        "rough": rough,
    }
    return _samples(os.fspath(path), request)


def _samples(path: str, request: dict[str, Any]) -> Iterator[np.ndarray]:
    for _, payload in answers(path, request):
        yield np.frombuffer(payload, np.float32)


def read_audio(
    path: str | os.PathLike,
    *,
    rate: int = 22050,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> np.ndarray:
    """All of `stream_audio` in one array.

    Returns:
      float32 [S].

    Raises:
      MediaError, ValueError: as `stream_audio`.
    """
    chunks = list(stream_audio(path, rate=rate, start_s=start_s, end_s=end_s))
    return np.concatenate([np.zeros(0, np.float32), *chunks])


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
