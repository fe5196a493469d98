"""Clips per second from media files, decoded each time, and from the cache of decoded videos.

    python -m benchmarks.decoded_clips [--videos 16] [--seconds 8] [--rounds 3]

Renders procedural videos of 640 x 360 pixels with sound as .mp4 into a temporary folder, builds
the cache, and reads every video from both in turn, in one process: a clip is one example of the
sight stage (64 frames of 112 x 112) with its sound. Both sides give the same clips.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import av
import jax
import numpy as np

from rac_jax.data import clip_cache
from rac_jax.data.annotations import Annotation
from rac_jax.data.sources import MediaSource
from rac_jax.media import encode
from rac_jax.models.sight_sound.samplers import SightSampler
from rac_jax.scenes import SceneConfig, render_scene

FPS = 25
SIZE = 112
RATE = 22050


def make_videos(folder: pathlib.Path, number: int, seconds: float) -> list[Annotation]:
    """Writes videos and says what is in them."""
    config = SceneConfig(
        frames=round(seconds * FPS), height=360, width=640, fps=FPS, rate=RATE
    )
    render = jax.jit(lambda key: render_scene(key, config))
    labels = []
    for index in range(number):
        scene = jax.device_get(render(jax.random.key(index)))
        path = folder / f"{index}.mp4"
        encode.write_video(path, scene.frames, FPS, scene.waveform, config.rate)
        labels.append(
            Annotation(str(index), str(path), count=max(1.0, float(scene.count)))
        )
    return labels


def read_all(source, sampler: SightSampler) -> tuple[float, list[np.ndarray]]:
    """Seconds for a clip of every video, and the clips."""
    began, clips = time.perf_counter(), []
    for index in range(len(source)):
        example = sampler(source[index], np.random.default_rng(index))
        clips.append(example["clip"])
    return time.perf_counter() - began, clips


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    sampler = SightSampler(size=SIZE, largest=8)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        labels = make_videos(folder, args.videos, args.seconds)
        media = MediaSource(labels, SIZE, RATE)
        began = time.perf_counter()
        key = clip_cache.source_key(labels, SIZE, RATE)
        cached = clip_cache.cache_source(folder / "cache", media, key)
        built = time.perf_counter() - began
        stored = sum(path.stat().st_size for path in (folder / "cache").iterdir())
        times = {"decoded each time": [], "from the cache": []}
        for _ in range(args.rounds):
            slow, one = read_all(media, sampler)
            fast, two = read_all(cached, sampler)
            if not all(map(np.array_equal, one, two)):
                raise SystemExit("the cache gives other clips than the files")
            times["decoded each time"].append(slow)
            times["from the cache"].append(fast)
        original = sum((folder / f"{i}.mp4").stat().st_size for i in range(args.videos))
    print(
        f"{args.videos} videos of {args.seconds:g} s, 640 x 360, {FPS} frames/s with sound;"
        f" jax {jax.__version__}, PyAV {av.__version__}, one process"
    )
    print(
        f"cache built in {built:.1f} s: {stored / 1e6:.0f} MB of {original / 1e6:.0f} MB"
    )
    for name, seconds in times.items():
        rates = [args.videos / each for each in seconds]
        print(
            f"{name:20} {statistics.median(rates):8.1f} clips/s "
            f"({min(rates):.1f} to {max(rates):.1f})"
        )
    ratios = [slow / fast for slow, fast in zip(*times.values(), strict=True)]
    print(f"ratio, round by round: median {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
