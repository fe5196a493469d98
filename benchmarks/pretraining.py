"""Clips per second of pre-training, beside PyTorch's DataLoader and a plain loop on the same files.

    python -m benchmarks.pretraining [--videos 16] [--batch 8] [--steps 6] [--workers 2]
    python -m benchmarks.pretraining --size 112 --width 1 --batch 64 --workers 16   # on a GPU

Writes H.264 videos in folders of two classes, and trains an R(2+1)D-18 on clips of 16 frames.
Three things are timed on each side, each by itself: the input pipeline alone (its ceiling), the
step alone on one batch that stays where it is, and both as training runs them. Ours reads the
input once from the media files and once from the cache of decoded videos that `rac train` makes;
PyTorch decodes with PyAV in its workers, up to the last frame that a clip needs. The sides run
one after the other in processes of their own. Beside clips per second stand clips per second of
processor time, of the workers', too, which say more on a machine that others use; where cores are
taken, PyTorch's threads use some of it to wait.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.cpu_time import cpu_seconds

FPS, SECONDS = 25, 8
HEIGHT, WIDTH = 256, 340  # as Kinetics is commonly stored
FRAMES, STRIDE = 16, 2
CLASSES = ("fast", "slow")


def make_videos(folder: pathlib.Path, number: int) -> None:
    """Writes videos of a textured square that moves at one of two speeds over a texture."""
    from rac_jax.media import encode

    for index in range(number):
        rng = np.random.default_rng(index)
        name = CLASSES[index % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        ground = rng.integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), np.uint8)
        ground = ground.repeat(4, 0).repeat(4, 1)
        square = rng.integers(0, 256, (64, 64, 3), np.uint8)

        frames = np.repeat(ground[None], FPS * SECONDS, 0)
        period = 10 if name == "fast" else 40
        for t, picture in enumerate(frames):
            left = int(130 * (1 + np.sin(2 * np.pi * t / period)))
            picture[96:160, left : left + 64] = square
        encode.write_video(folder / name / f"{index}.mp4", frames, FPS)


Rates = tuple[float, float]


def clips_per_s(batch: int, steps: int, once: Callable[[], None]) -> Rates:
    """Clips per second of `steps` calls, and per second of processor time; two calls before."""
    for _ in range(2):
        once()
    began, used = time.perf_counter(), cpu_seconds()
    for _ in range(steps):
        once()
    spent = time.perf_counter() - began, cpu_seconds() - used
    # Processor time is told in hundredths.
    return batch * steps / spent[0], batch * steps / max(spent[1], 0.01)


def ours(args: argparse.Namespace) -> dict[str, Rates]:
    """Our side."""
    import jax

    from rac_jax.cli.train import load_config
    from rac_jax.data import clip_cache, pipeline
    from rac_jax.models.classifier import FAMILY
    from rac_jax.ops import compiling
    from rac_jax.train import splits, training
    from rac_jax.train.state import first_state, make_optimiser, trained_paths
    from rac_jax.train.step import make_train_step

    config = load_config("pretrain:r2plus1d")
    config.classes, config.model.classes = CLASSES, len(CLASSES)
    config.model.width = args.width
    config.clips.size, config.data.size = args.size, args.size * 8 // 7
    for split in ("train", "val", "test"):
        config.data[split].update({"kind": "folder", "path": str(args.folder)})
    config.classify.batch = args.batch
    run = training.checked_run(FAMILY, config, args.folder / "run")
    variables = FAMILY.initialise(run.network, jax.random.key(0))
    (stage,) = run.stages
    task = stage.task(run, variables)

    # The step, as the loop compiles it for one device.
    labels = trained_paths(variables["params"], task.trained)
    optimiser = make_optimiser(config.classify.optimiser, 1000, labels)
    step = compiling.jit(make_train_step(task, optimiser, labels), donate_argnums=0)
    state = first_state(variables, optimiser, jax.random.key(1), False)

    def batches(source: pipeline.Source) -> Iterator[dict[str, jax.Array]]:
        found = pipeline.make_batches(
            source,
            task.examples.sampler,
            seed=0,
            batch=args.batch,
            batches=10**6,
            workers=args.workers,
        )
        hidden = ("index", "broken")
        for batch in found:
            shown = {name: batch[name] for name in batch if name not in hidden}
            yield jax.device_put(shown)

    decoded = splits.open_source(config.data, "train")
    cache = clip_cache.cache_source(args.folder / "cache", decoded, "bench", None)
    result = {}
    one = next(batches(cache))

    def stepped(batch: dict[str, jax.Array]) -> None:
        nonlocal state
        state, metrics = step(state, batch)
        jax.block_until_ready(metrics)

    result["step"] = clips_per_s(args.batch, args.steps, lambda: stepped(one))
    for name, source in (("files", decoded), ("cache", cache)):
        alone = batches(source)
        waited = clips_per_s(
            args.batch,
            args.steps,
            lambda alone=alone: jax.block_until_ready(next(alone)),
        )
        result[f"input, {name}"] = waited
        both = batches(source)
        result[f"training, {name}"] = clips_per_s(
            args.batch, args.steps, lambda both=both: stepped(next(both))
        )
    return result


def torch_side(args: argparse.Namespace) -> dict[str, Rates]:
    """PyTorch's side."""
    import torch

    from benchmarks.torch_reference.clip_loader import augmented, make_loader
    from benchmarks.torch_reference.r2plus1d import R2Plus1D18
    from rac_jax.encoders.layers import scaled

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = R2Plus1D18(
        len(CLASSES), scaled(64, args.width), scaled(45, args.width)
    ).to(device)
    network.train()
    optimiser = torch.optim.SGD(
        network.parameters(), 0.1, momentum=0.9, weight_decay=5e-5
    )
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return iter(
            make_loader(
                args.folder,
                CLASSES,
                frames=FRAMES,
                stride=STRIDE,
                size=args.size * 8 // 7,
                batch=args.batch,
                workers=args.workers,
            )
        )

    def stepped(clips: torch.Tensor, labels: torch.Tensor) -> None:
        pixels = augmented(clips.to(device), args.size)
        logits = network.fc(network(pixels).features)
        loss = loss_of(logits, labels.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        loss.item()

    one = next(batches())
    result = {"step": clips_per_s(args.batch, args.steps, lambda: stepped(*one))}
    alone = batches()
    result["input, files"] = clips_per_s(args.batch, args.steps, lambda: next(alone))
    both = batches()
    result["training, files"] = clips_per_s(
        args.batch, args.steps, lambda: stepped(*next(both))
    )
    return result


def main() -> None:
    """Prints a table, and how busy the machine was."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int, default=56, help="of crops, in pixels")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--side", choices=("ours", "torch"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps((ours if args.side == "ours" else torch_side)(args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_videos(pathlib.Path(folder) / "videos", args.videos)
        found = {}
        for side in ("ours", "torch"):
            command = [sys.executable, "-m", "benchmarks.pretraining", *sys.argv[1:]]
            command += ["--side", side, "--folder", f"{folder}/videos"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[side] = json.loads(done.stdout.splitlines()[-1])
    print("| clips/s (per CPU s) | ours | PyTorch |\n|---|---|---|")
    for name in found["ours"]:
        sides = [found[side].get(name) for side in ("ours", "torch")]
        cells = ["" if one is None else f"{one[0]:.2f} ({one[1]:.2f})" for one in sides]
        print(f"| {name} | {cells[0]} | {cells[1]} |")
    busy = os.getloadavg()[0]
    print(f"load average {busy:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
