"""What decoding in a worker costs: `python -m benchmarks.decoder_process [VIDEO]`.

Reads a video's frames and sound in this process and in a worker, by turns.
"""

import pathlib
import platform
import statistics
import sys
import time
from collections.abc import Callable

import av

from rac_jax import media
from rac_jax.media import audio, files, frames, isolation

SAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "sample.mp4"
ROUNDS = 15
SIZE, MOST_FPS = (64, 64), 15


def milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """Prints the table."""
    path = sys.argv[1] if len(sys.argv) > 1 else str(SAMPLE)
    wanted = {"size": SIZE, "most_fps": MOST_FPS}
    rows = {
        "probe": (
            lambda: (files.look(path), files.listen(path)),
            lambda: media.probe(path),
        ),
        "frames": (
            lambda: list(frames.stream_frames(path, **wanted)),
            lambda: list(media.stream_frames(path, **wanted)),
        ),
        "sound": (
            lambda: list(audio.stream_audio(path)),
            lambda: list(media.stream_audio(path)),
        ),
    }
    start = statistics.median(
        milliseconds(lambda: isolation._Worker().kill()) for _ in range(5)
    )
    first = milliseconds(lambda: media.probe(path))
    print(
        f"{platform.machine()}, Python {platform.python_version()}, PyAV {av.__version__}"
    )
    print(
        f"a process started and stopped: {start:.0f} ms; the first answer: {first:.0f} ms"
    )
    print("\n| | here, ms | in a worker, ms | difference |\n|---|---|---|---|")
    for name, ways in rows.items():
        spent = ([], [])
        for _ in range(ROUNDS):
            for times, way in zip(spent, ways, strict=True):
                times.append(milliseconds(way))
        here, there = map(statistics.median, spent)
        print(f"| {name} | {here:.1f} | {there:.1f} | {there - here:+.1f} |")


if __name__ == "__main__":
    main()
