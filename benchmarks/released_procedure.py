"""Counting one video by the released procedure: ours against plain PyTorch, side by side.

    python -m benchmarks.released_procedure --seconds 8 --repeats 3

Both sides get the same frames and samples, the same random weights (converted from the PyTorch
networks), the same two cores, and run in turn in one process. The PyTorch side is the procedure
as one writes it first: eval mode, inference mode, one batch per question. Counts are compared
before anything is timed.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time

import jax
import numpy as np
import torch

from benchmarks.torch_reference import release
from benchmarks.torch_reference.released_procedure import ReleasedProcedure
from rac_jax.counting import weights
from rac_jax.counting.counter import Counter
from rac_jax.interop import convert

FPS = 25
RATE = 22050


def rendered(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """A bar that swings over noise, and a knock per swing: frames [T,112,112,3], samples [S]."""
    rng = np.random.default_rng(0)
    frames = np.repeat(
        rng.integers(0, 150, (1, 112, 112, 3), np.uint8), round(seconds * FPS), 0
    )
    for t, frame in enumerate(frames):
        left = int(50 + 40 * np.sin(2 * np.pi * t / FPS / 0.8))
        frame[30:80, left : left + 14] = 240
    t = np.arange(round(seconds * RATE)) / RATE
    knocks = rng.normal(size=t.size) * 0.3 * np.exp(-25 * (t % 0.8))
    return frames, knocks.astype(np.float32)


def load_both(seed: int) -> tuple[release.Release, Counter]:
    """The same random weights as PyTorch networks and as our counter."""
    networks = release.Release(seed=seed).eval()
    with tempfile.TemporaryDirectory() as folder:
        files = release.save(networks, folder)
        config, variables = convert.read_release(
            files["visual_checkpoint.pt"],
            files["audio_checkpoint.pt"],
            files["sr_checkpoint.pt"],
            files["conf_checkpoint.pt"],
        )
        path = weights.save_model(os.path.join(folder, "model"), config, variables)
        return networks, Counter(*weights.load_model(path))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="length of the video"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="timed runs of each side"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    args = parser.parse_args()
    frames, waveform = rendered(args.seconds)
    networks, counter = load_both(args.seed)

    def ours():
        return counter.count(frames, fps=FPS, waveform=waveform, audio_rate=RATE)

    def theirs():
        return ReleasedProcedure(networks, frames, waveform).count()

    start = time.perf_counter()
    a = ours()
    first_s = time.perf_counter() - start
    b = theirs()
    difference = max(abs(a.sight.count - b.sight), abs(a.sound.count - b.sound))
    if a.sight.stride != b.stride or difference > 1e-3:
        raise SystemExit(f"the two sides disagree: {a} against {b}")
    times = {"ours": [], "torch": []}
    for _ in range(args.repeats):
        for name, side in (("ours", ours), ("torch", theirs)):
            start = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = [t / o for t, o in zip(times["torch"], times["ours"], strict=True)]
    print(
        f"{args.seconds:g} s of video at {FPS} frames/s, stride {a.sight.stride}, "
        f"largest difference of the counts {difference:.1e}\n"
        f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}, "
        f"jax {jax.__version__}, torch {torch.__version__}\n"
        f"first run of ours, compilation included: {first_s:.1f} s\n"
    )
    print("| side | clips encoded | segments encoded | median s | min-max s |")
    print("|---|---|---|---|---|")
    rows = (
        ("rac_jax", a.encoders["sight"]["clips"], a.encoders["sound"]["clips"], "ours"),
        ("PyTorch", b.sight_clips, b.sound_segments, "torch"),
    )
    for label, clips, segments, name in rows:
        print(
            f"| {label} | {clips} | {segments} | {medians[name]:.1f} | "
            f"{min(times[name]):.1f}-{max(times[name]):.1f} |"
        )
    print(
        f"\nPyTorch / rac_jax, pair by pair: median {statistics.median(ratios):.2f}, "
        f"{min(ratios):.2f}-{max(ratios):.2f}"
    )


if __name__ == "__main__":
    main()
