"""The whole of `rac events VIDEO` beside the same networks in PyTorch, on one file in one run.

    python -m benchmarks.events_run [--seconds 10] [--rounds 3] [--ways eager channels_last]

The file is the sample at 640 x 480, again and again. Both sides decode and shrink it, make flow
there and back, turn it into pictures, look at windows of 64 frames that overlap by half with a
TA2Net and a GMFlow of the published sizes, join what they say of every frame and take the peaks.
Weights are random, drawn on the PyTorch side and read by ours through the tables of `rac convert`.
Each side has a process of its own; the probabilities of all frames are compared before anything
is timed, and then the sides take turns. The flow alone, of windows that are already decoded, is
timed as well.
"""

import argparse
import dataclasses
import os
import pathlib
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.compare.run import BenchError, started
from benchmarks.events_run.sizes import Sizes
from benchmarks.live_load import SIZE, write_sample
from rac_jax import media

WORKER = "benchmarks.events_run.worker"
WAYS = ("eager", "channels_last", "compile")
# Of probabilities: how far both sides may lie apart, and how much frames have to differ at least.
TOLERANCE, SPREAD = 1e-3, 0.01
NAMES = {"ours": "ours", "reference": "PyTorch"}


def check_probabilities(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of two sides' probabilities [T].

    Raises:
      BenchError: if it is too large, the numbers of frames differ, or the frames are so much
        alike that nothing was compared.
    """
    if len(ours) != len(theirs):
        raise BenchError(f"{len(ours)} frames here, {len(theirs)} there")
    spread = float(np.std(theirs))
    if not spread > SPREAD:
        raise BenchError(f"all frames are alike: a standard deviation of {spread:.2g}")
    apart = float(np.abs(ours - theirs).max())
    if not apart <= TOLERANCE:
        raise BenchError(f"the probabilities of the two sides are {apart:.2g} apart")
    return apart


def measure(
    video: pathlib.Path,
    rounds: int,
    ways: Sequence[str],
    sizes: Sizes,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Both sides of a video.

    Returns:
      {"apart", "spread", "frames", "windows", and by side "built", "mark", "flow" (rounds) and
      "mb"}.

    Raises:
      BenchError: if a side fails or the two disagree.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        started("cpu", "torch", WORKER) as sides,
    ):
        built = {}
        for name, process in sides.items():
            report(f"{NAMES[name]}: building, and a first run")
            built[name] = process.ask(
                "build",
                side=name,
                video=str(video),
                folder=folder,
                ways=list(ways),
                sizes=dataclasses.asdict(sizes),
            )
        ours, theirs = (np.load(f"{folder}/{side}.npy") for side in sorted(sides))
        found = {
            "apart": check_probabilities(ours, theirs),
            "spread": float(np.std(theirs)),
            "frames": len(ours),
            "built": built,
            "mark": {name: [] for name in sides},
            "flow": {name: [] for name in sides},
            "mb": {},
        }
        report(f"probabilities are at most {found['apart']:.1e} apart")
        for place in range(rounds):
            for name, process in sides.items():
                report(f"{NAMES[name]}: round {place + 1} of {rounds}")
                found["mark"][name].append(process.ask("mark"))
        for name, process in sides.items():
            found["mb"][name] = process.ask("peak")["mb"]
            report(f"{NAMES[name]}: flow alone, a first run")
            found["windows"] = process.ask("hold_windows")["windows"]
        for place in range(rounds):
            for name, process in sides.items():
                report(f"{NAMES[name]}: flow alone, round {place + 1} of {rounds}")
                found["flow"][name].append(process.ask("flow"))
    return found


def span(values: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def table(found: dict[str, Any], seconds: float) -> str:
    """Markdown, a line for each side of the whole and of the flow alone."""
    heads = (
        "",
        "video s per s",
        "wall s (min-max)",
        "processor s",
        "peak MB",
        "first run s",
    )
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for kind, title in (("mark", "whole"), ("flow", "flow alone")):
        for name in ("ours", "reference"):
            wall, used = (
                [one[key] for one in found[kind][name]] for key in ("wall_s", "cpu_s")
            )
            built = found["built"][name]
            whole = kind == "mark"
            cells = (
                f"{title}, {NAMES[name]} ({built['way']})",
                f"{seconds / statistics.median(wall):.2f}",
                span(wall),
                span(used),
                f"{found['mb'][name]:.0f}" if whole else "",
                f"{built['first_s']:.0f}" if whole else "",
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of video")
    parser.add_argument("--rounds", type=int, default=3, help="timed, of each side")
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=WAYS,
        default=["eager", "channels_last"],
        help="how PyTorch may run; the fastest is compared",
    )
    args = parser.parse_args()
    if args.rounds < 1 or not args.seconds > 0:
        parser.error("--rounds and --seconds must be above 0")

    def report(line: str) -> None:
        print(f"events_run: {line}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        video = pathlib.Path(folder) / "sample.mp4"
        write_sample(video, args.seconds)
        seconds = media.probe(video).duration_s
        before = os.getloadavg()[0]
        try:
            found = measure(video, args.rounds, args.ways, Sizes(), report)
        except BenchError as error:
            raise SystemExit(f"events_run: {error}") from error
    built = found["built"]
    events = {name: runs[-1]["events"] for name, runs in found["mark"].items()}
    versions = ", ".join(one["version"] for one in built.values())
    tried = ", ".join(f"{w} {s:.1f}" for w, s in built["reference"]["way_s"].items())
    height, width = SIZE
    print(
        f"{seconds:g} s of {width} x {height} ({found['frames']} frames, {found['windows']} "
        f"windows), {platform.system()} {platform.machine()}, {os.cpu_count()} cores (load "
        f"{before:.1f} before), Python {platform.python_version()}, {versions}"
    )
    print(
        f"largest difference of probabilities {found['apart']:.1e}, their standard deviation "
        f"{found['spread']:.2f}; {events['ours']} and {events['reference']} events"
        + (f"; seconds of a window by PyTorch's ways: {tried}" if tried else "")
    )
    print("\n" + table(found, seconds))


if __name__ == "__main__":
    main()
