"""The process in which media files are decoded, started by `isolation`.

FFmpeg's decoders are native code, and some files kill them. So files are opened here and not in
the process that counts: what dies is one stream of one file, and a new worker takes its place.

Reads one JSON object per line from standard input and answers with messages on standard output,
each a header (its length as four bytes, then JSON) and as many bytes as the header's "bytes"
says. The last one of an answer is "end" or "error".
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from rac_jax.media import audio, files, frames, live_frames
from rac_jax.media import container as box
from rac_jax.media.container import MediaError

LENGTH_BYTES = 4
ALIVE_S = 5.0  # how often a worker that decodes, and has nothing to send yet, says so

Message = tuple[dict[str, Any], memoryview]
NOTHING = memoryview(b"")


def probe(path: str) -> Iterator[Message]:
    """What `files.look` and then `files.listen` find; the latter may not come to an end."""
    yield {"kind": "look", "found": files.look(path)}, NOTHING
    yield from listen(path)


def listen(path: str) -> Iterator[Message]:
    """What `files.listen` finds."""
    yield {"kind": "listen", "found": files.listen(path)}, NOTHING


def stream_frames(path: str, **wanted: Any) -> Iterator[Message]:
    """Chunks of frames, see `frames.stream_frames`: times first, then pixels."""
    for chunk in frames.stream_frames(path, **wanted):
        pixels = np.ascontiguousarray(chunk.frames)
        header = {
            "kind": "frames",
            "shape": pixels.shape,
            "times_s": chunk.times_s.tolist(),
        }
        yield header, memoryview(pixels).cast("B") if pixels.size else NOTHING


def stream_audio(path: str, **wanted: Any) -> Iterator[Message]:
    """Blocks of samples, see `audio.stream_audio`."""
    for block in audio.stream_audio(path, **wanted):
        samples = np.ascontiguousarray(block, np.float32)
        yield {"kind": "samples"}, memoryview(samples).cast("B")


REQUESTS = {
    "probe": probe,
    "listen": listen,
    "frames": stream_frames,
    "audio": stream_audio,
    "live": live_frames.stream_live,
}


class Answers:
    """Where messages go; used by two threads."""

    def __init__(self, descriptor: int):
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._lock = threading.Lock()

    def send(self, header: dict[str, Any], payload: memoryview = NOTHING) -> None:
        """Sends one message whole."""
        text = json.dumps(header | {"bytes": len(payload)}).encode()
        head = len(text).to_bytes(LENGTH_BYTES, "little") + text
        with self._lock:
            for part in (memoryview(head), payload):
                while part:
                    part = part[self._file.write(part) :]


def answer(request: dict[str, Any], answers: Answers) -> None:
    """Answers one request; relative names are those of the folder in which it was asked."""
    os.chdir(request.pop("folder"))
    messages = REQUESTS[request.pop("do")](**request)
    with box.collect_faults() as faults:

        def send_faults() -> None:
            for fault in faults:
                answers.send({"kind": "fault", "text": fault})
            faults.clear()

        try:
            for header, payload in messages:
                send_faults()
                answers.send(header, payload)
            send_faults()
            answers.send({"kind": "end"})
        except MediaError as error:
            send_faults()
            answers.send({"kind": "error", "text": str(error)})
        except MemoryError:
            answers.send(
                {"kind": "error", "text": f"{request['path']}: needs too much memory"}
            )
        # Whatever else FFmpeg may say of a file is a fault of that file, too.
        except (ValueError, OSError, ArithmeticError, LookupError) as error:
            text = f"{request['path']}: cannot be decoded ({box.reason(error)})"
            answers.send({"kind": "error", "text": text})


def _say_alive(answers: Answers) -> None:
    """Tells the other side, while nothing is sent, that packets are still being decoded."""
    before = box.progress.packets
    while True:
        time.sleep(ALIVE_S)
        if box.progress.packets != before:
            before = box.progress.packets
            answers.send({"kind": "alive"})


def main() -> None:
    """Until standard input ends."""
    answers = Answers(os.dup(1))
    os.dup2(2, 1)  # what libraries print is no answer
    threading.Thread(target=_say_alive, args=(answers,), daemon=True).start()
    try:
        for line in sys.stdin:
            answer(json.loads(line), answers)
    except BrokenPipeError:
        return  # nobody reads any more
