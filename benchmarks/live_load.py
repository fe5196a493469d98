"""What counting live costs: latency of a step, real-time factor, memory, frames that are dropped.

    python -m benchmarks.live_load [--model NAME|DIR | --network simn [--size 256]] [--minutes 60]
        [--together S]
    python -m benchmarks.live_load --paced 120 [--busy 1] ...

The stream is the sample video at 640 x 480, again and again. In the first form it comes as fast as
it is counted: frames are decoded once and held; each is shrunk and fed by itself to what `rac
live` counts with, and no reading is left out; or, `--together`, so many seconds of frames at once
with one reading for all, as `rac live` does with what came while it was busy. In the second form
`rac live`'s own session plays it at its own pace, decoding included, while other processes
multiply numbers without end; it drops what is late. `--network` is a SI-EN of random weights in
its authors' layout, which takes as long as a trained one.
"""

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

import av
import jax
import jax.numpy as jnp
import numpy as np

import rac_jax
from benchmarks.memory import resident_mb
from rac_jax import media
from rac_jax.counting import Counter, enable_compilation_cache
from rac_jax.counting.live import LiveCount, live_counter
from rac_jax.counting.live_session import LiveSession, Snapshot, prepare
from rac_jax.counting.source import FrameLayout
from rac_jax.encoders.strided_inflated import STRIDE
from rac_jax.media import encode
from rac_jax.media.frames import Shrink
from rac_jax.models.sien import FAMILY as SIEN
from rac_jax.models.sien import RELEASED, RELEASES
from rac_jax.shipped import SAMPLE, find_shipped
from rac_jax.weights import DEFAULT_MODEL

SIZE = (480, 640)
PHASES, SCHEME = 3, "halves"
WARM_MINUTES = 2  # of stream, after which memory should stay


def write_sample(path: pathlib.Path, seconds: float | None = None) -> None:
    """Writes the sample at `SIZE`, once, or again and again until there are so many seconds."""
    sample = find_shipped(*SAMPLE)
    about = media.probe(sample)
    frames = round((about.duration_s if seconds is None else seconds) * about.fps)
    with encode.VideoWriter(path, fps=about.fps, size=SIZE) as writer:
        while frames > 0:
            for chunk in media.stream_frames(sample, size=SIZE):
                part = chunk.frames[: max(frames, 0)]
                writer.write(part)
                frames -= len(part)


def random_counter(name: str, size: int) -> Counter:
    """A SI-EN of random weights that counts, of frames of `size` pixels a side."""
    arguments = RELEASES[name] | {"phases": PHASES}
    network = SIEN.network(**arguments)
    config = {
        "name": name,
        "family": SIEN.name,
        "arguments": arguments,
        "preprocessing": RELEASED | {"size": size},
        "scheme": SCHEME,
    }
    variables = SIEN.initialise(network, jax.random.key(0))
    return Counter(SIEN, network, variables, config)


def gmac_per_s(counter: Counter) -> float:
    """Multiplications and additions of a SI-EN, in billions, for a second of video."""
    network, size = counter.network, counter.config["preprocessing"]["size"]
    frames = jnp.zeros((1, STRIDE, size, size, 3))
    step = jax.jit(lambda *args: network.apply(*args, method="step"))
    lowered = step.lower(counter.variables, network.start(1, size, size), frames)
    operations = lowered.cost_analysis()["flops"] / 2
    return operations * RELEASED["fps"] / STRIDE / 1e9


def percentiles(seconds: Sequence[float]) -> str:
    """Median, 90th and 99th percentile and the most, in ms."""
    values = [*np.quantile(seconds, (0.5, 0.9, 0.99)), np.max(seconds)]
    return " / ".join(f"{1e3 * one:.1f}" for one in values)


def flood(
    counter: Counter, minutes: float, path: pathlib.Path, together_s: float
) -> None:
    """Feeds a stream as fast as it is counted, and prints what that took."""
    began = time.process_time()
    with av.open(str(path)) as file:
        decoded = list(file.decode(video=0))
        fps = float(file.streams.video[0].average_rate)
    decoding_s = (time.process_time() - began) / len(decoded)

    live = LiveCount(counter, "stream", fps)
    needs = live.needs
    prepare(counter, needs, fps)
    layout = FrameLayout.of(needs, *SIZE)
    shrink = Shrink(decoded[0], layout.size, needs.interpolation)
    number, step = round(minutes * 60 * fps), max(1, round(together_s * fps))
    plain, with_reading, memory = [], [], []  # (seconds, of the processors) of steps
    began, used = time.perf_counter(), time.process_time()
    for first in range(0, number, step):
        before, worked = time.perf_counter(), time.process_time()
        last = live.reading
        places = np.arange(first, min(first + step, number))
        pixels = np.empty((len(places), *shrink.size, 3), np.uint8)
        for place, target in zip(places.tolist(), pixels, strict=True):
            shrink.into(decoded[place % len(decoded)], target)
        live.feed(layout.finish(pixels), places / fps, late=True)
        spent = time.perf_counter() - before, time.process_time() - worked
        (plain if live.reading is last else with_reading).append(spent)
        if (places[-1] + 1) // round(60 * fps) > len(memory):
            memory.append(resident_mb("VmRSS"))
            print(
                f"minute {len(memory)}: {memory[-1]:.0f} MB, {live.said.count} counted, "
                f"{time.perf_counter() - began:.0f} s",
                flush=True,
            )
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - used
    stream_s = number / fps
    before = time.perf_counter()
    result = live.finish()
    finish_s = time.perf_counter() - before
    print(f"\n{stream_s / 60:g} min of stream in {wall_s / 60:.1f} min ({load()})")
    print(
        f"real-time factor {stream_s / wall_s:.1f} by the clock, {stream_s / cpu_s:.1f} by the "
        f"processors' time; decoding is {1e3 * decoding_s:.1f} ms of that a frame more, "
        f"{stream_s / (cpu_s + number * decoding_s):.1f} with it"
    )
    print(
        f"steps of {step} frames; ms, median / 90 % / 99 % / most, by the clock and of the "
        "processors:"
    )
    for name, spent in (
        ("with a reading", with_reading),
        ("without one", plain),
        ("all", plain + with_reading),
    ):
        if spent:
            clock, worked = zip(*spent, strict=True)
            print(
                f"- {name} ({len(spent)}): {percentiles(clock)}; {percentiles(worked)}"
            )
    if len(memory) > WARM_MINUTES + 1:
        later = memory[WARM_MINUTES - 1 :]
        slope = np.polyfit(np.arange(len(later)) / 60, later, 1)[0]
        print(
            f"resident memory {memory[0]:.0f} MB after a minute, {later[0]:.0f} after "
            f"{WARM_MINUTES}, {memory[-1]:.0f} after {len(memory)}, {slope:.1f} MB an hour from "
            f"{WARM_MINUTES} on; the whole stream concluded in {finish_s:.2f} s "
            f"({result.count:.1f} repetitions, {live.said.count} said), then "
            f"{resident_mb('VmRSS'):.0f} MB"
        )


def load() -> str:
    """How busy the machine is, in words."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def _multiply(ready: "multiprocessing.synchronize.Event") -> None:
    values = np.random.default_rng(0).normal(size=(300, 300))
    ready.set()
    while True:
        values = values @ values
        values /= np.abs(values).max()


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """So many other processes that never rest, one thread each."""
    spawn = multiprocessing.get_context("spawn")
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    kept = {name: os.environ.get(name) for name in threads}
    os.environ.update(threads)
    others = []
    for _ in range(number):
        ready = spawn.Event()
        others.append(spawn.Process(target=_multiply, args=(ready,), daemon=True))
        others[-1].start()
        ready.wait()
    for name, value in kept.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.join()


def paced(counter: Counter, seconds: float, others: int, late_s: float) -> None:
    """Counts a stream at its own pace beside busy processes, and prints what was dropped."""
    sample = find_shipped(*SAMPLE)
    fps = media.probe(sample).fps
    graph = f"movie={sample}:loop=0,scale={SIZE[1]}:{SIZE[0]},setpts=N/{fps:g}/TB"
    readings: list[float] = []
    shown: list[Snapshot] = []

    def watch(moment: Snapshot) -> None:
        if moment.reading_s and (not shown or moment.reading_s != shown[-1].reading_s):
            readings.append(moment.reading_s)
        shown.append(moment)

    with busy(others):
        session = LiveSession(counter, f"lavfi:{graph}", late_s=late_s)
        threading.Timer(seconds, session.end).start()
        began, used = time.perf_counter(), time.process_time()
        result = session.run(watch)
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - used
    source = session.source
    print(
        f"{wall_s:.0f} s at its own pace beside {others} busy processes ({load()}): "
        f"{source.frames} frames, {source.dropped} dropped ({100 * source.drop_rate:.2f} %), "
        f"{len(readings)} readings, {100 * cpu_s / wall_s:.0f} % of a core without decoding"
    )
    print(f"a reading, ms, median / 90 % / 99 % / most: {percentiles(readings)}")
    print(f"{shown[-1].said.count} said, {result.count:.1f} in the end")


def main() -> None:
    """Prints a report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--model", default=DEFAULT_MODEL)
    model.add_argument("--network", choices=tuple(RELEASES))
    parser.add_argument("--minutes", type=float, default=60.0, help="of stream")
    parser.add_argument("--size", type=int, default=RELEASED["size"], metavar="PIXELS")
    parser.add_argument("--together", type=float, default=0.0, metavar="S")
    parser.add_argument("--paced", type=float, metavar="S", help="seconds at its pace")
    parser.add_argument("--busy", type=int, default=1, help="other processes")
    parser.add_argument("--late", type=float, default=1.0, metavar="S")
    args = parser.parse_args()
    enable_compilation_cache()
    if args.network:
        counter = random_counter(args.network, args.size)
        print(f"{args.network}: {gmac_per_s(counter):.1f} GMAC a second of video")
    else:
        counter = rac_jax.load(args.model)
        print(counter.config["name"])
    counter = live_counter(counter)
    if args.paced:
        paced(counter, args.paced, args.busy, args.late)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "sample.mp4"
        write_sample(path)
        flood(counter, args.minutes, path, args.together)


if __name__ == "__main__":
    main()
