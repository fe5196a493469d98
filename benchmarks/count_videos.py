"""How long `rac count` takes: a 10-second 720p video, and a long one in how much memory.

    python -m benchmarks.count_videos [--model NAME|DIR] [--minutes 60] [--repeats 3]

Writes procedural videos into a temporary folder: one of 10 s at 1280 x 720 and 30 frames/s, and
one of many minutes at 320 x 240 (a scene again and again). The short one is counted in this
process, warm, alone and several times as if they were many files, and by whole `rac count`
processes; the long one by a process of its own, whose peak memory the system tells.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import jax
import numpy as np

import rac_jax
from benchmarks.memory import resident_mb
from rac_jax.counting import enable_compilation_cache
from rac_jax.counting.ahead import call_ahead
from rac_jax.media import encode
from rac_jax.scenes import SceneConfig, render_scene
from rac_jax.weights import DEFAULT_MODEL

# Of a folder.
FILES = 4
POLL_S = 0.05
# The scenes are noisy: at a higher quality they have many times a camera's bit rate.
CRF = 24
COMMAND = (sys.executable, "-m", "rac_jax.cli.main", "count")


def make_video(path: pathlib.Path, config: SceneConfig, times: int) -> None:
    """Writes a scene, so many times on end."""
    scene = jax.device_get(
        jax.jit(lambda key: render_scene(key, config).replace(mask=None))(
            jax.random.key(5)
        )
    )
    size = (config.height, config.width)
    with encode.VideoWriter(
        path, fps=config.fps, size=size, audio_rate=config.rate, crf=CRF
    ) as writer:
        for _ in range(times):
            writer.write(scene.frames)
            writer.write_audio(np.asarray(scene.waveform))


def run_process(*arguments: str) -> tuple[float, float | None]:
    """(seconds, peak resident memory in MB) of a whole `rac count`."""
    began, peak = time.perf_counter(), [None]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def watch() -> None:
        while process.returncode is None:
            peak[0] = resident_mb("VmHWM", process.pid) or peak[0]
            time.sleep(POLL_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    spent = time.perf_counter() - began
    watcher.join()
    if process.returncode:
        raise SystemExit(f"rac count ended with {process.returncode}")
    return spent, peak[0]


def in_mb(memory: float | None) -> str:
    """For a table; nothing where the system does not tell."""
    return "" if memory is None else f"{memory:.0f} MB"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        short, long = folder / "short.mp4", folder / "long.mp4"
        make_video(short, SceneConfig(300, 720, 1280, 30.0, period=(12.0, 60.0)), 1)
        scene = SceneConfig(600, 240, 320, 30.0, period=(12.0, 90.0), max_cycles=60)
        make_video(long, scene, max(1, round(args.minutes * 3)))
        rate = short.stat().st_size * 8 / 10 / 1e6
        enable_compilation_cache()
        counter = rac_jax.load(args.model)
        # The short one by itself, in this process: the first count compiles or loads programs.
        inside = []
        for _ in range(args.repeats + 1):
            began = time.perf_counter()
            counter.count(short)
            inside.append(time.perf_counter() - began)
        # As many files, one after the other and with the next one begun ahead, by turns.
        files = [short] * FILES
        orders = {
            "each after the last": lambda: [counter.count(x) for x in files],
            "the next begun while one is counted": lambda: [
                wait() for _, wait in call_ahead(counter.count, files)
            ],
        }
        folders = {name: [] for name in orders}
        for _ in range(args.repeats):
            for name, count in orders.items():
                began = time.perf_counter()
                count()
                folders[name].append(time.perf_counter() - began)
        # Whole processes; the first one fills the compilation cache.
        run_process(str(short), "--model", args.model)
        whole = [
            run_process(str(short), "--model", args.model)[0]
            for _ in range(args.repeats)
        ]
        long_spent, memory = run_process(str(long), "--model", args.model)
        _, small = run_process(str(short), "--model", args.model)
    print(f"The video of 10 s has {rate:.1f} Mbit/s.\n")
    print("| what | time | peak memory |\n|---|---|---|")
    print(f"| 10 s of 720p, first count of a process | {inside[0]:.2f} s | |")
    warm = statistics.median(inside[1:])
    print(f"| 10 s of 720p, warm | {warm:.2f} s | |")
    for name, spent in folders.items():
        seconds = statistics.median(spent)
        print(f"| {FILES} such files, warm, {name} | {seconds:.2f} s | |")
    median = statistics.median(whole)
    print(
        f"| 10 s of 720p, whole `rac count`, compilation cache full | {median:.2f} s "
        f"| {in_mb(small)} |"
    )
    speed = args.minutes * 60 / long_spent
    print(
        f"| {args.minutes:g} min of 240p, whole `rac count` | {long_spent:.0f} s, "
        f"{speed:.0f} times real time | {in_mb(memory)} |"
    )


if __name__ == "__main__":
    main()
