"""Depthwise convolutions of paper 3's networks, as XLA has them, as we do, and as PyTorch does.

    python -m benchmarks.depthwise [--network sien|simn] [--size 256] [--no-xla]

Milliseconds for the four frames that make an output, on the default device and on PyTorch's CPU;
below them the whole network, with the seconds of video at 16 per second that it looks at in one.
"""

import argparse
import collections
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

from benchmarks.torch_reference import strided_inflated as reference
from rac_jax.encoders.strided_inflated import STRIDE, StridedInflated
from rac_jax.models.sien import FAMILY, RELEASES
from rac_jax.ops import compiling, conv
from rac_jax.ops.cpu import depthwise

FPS = 16


def timed(function: Callable, repeats: int) -> float:
    """Median seconds of a call; the first one does not count."""
    spent = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        function()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent[1:])


def shapes(module: StridedInflated, size: int) -> dict[tuple[int, ...], int]:
    """(images, side, channels, taps, stride) of every depthwise convolution, and how often."""
    found: collections.Counter = collections.Counter()
    frames, side = STRIDE, -(-size // 2)
    for block in module.blocks:
        frames //= 2 if block.halves else 1
        wide = block.inputs * block.expand
        found[frames, side, wide, block.taps, block.stride] += 1
        side = -(-side // block.stride)
    return dict(found)


def convolutions(
    images: int, side: int, channels: int, taps: int, stride: int, *, xla: bool
) -> dict[str, Callable]:
    """Name to a call of the convolution, waited for."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, side, side, channels)).astype(np.float32)
    kernel = rng.normal(size=(taps, taps, 1, channels)).astype(np.float32)
    around, steps = ((taps // 2, taps // 2),) * 2, (stride, stride)
    found = {}
    ways = {"xla": depthwise.grouped} if xla else {}
    for name, function in (ways | {"chosen": conv.conv_depthwise}).items():
        program = compiling.jit(
            lambda x, k, function=function: function(x, k, steps, around)
        )
        arrays = jnp.asarray(x), jnp.asarray(kernel)
        found[name] = lambda program=program, arrays=arrays: jax.block_until_ready(
            program(*arrays)
        )
    # Channels last, as PyTorch's fastest.
    images = torch.from_numpy(x).permute(0, 3, 1, 2)
    weight = torch.from_numpy(kernel).permute(3, 2, 0, 1).contiguous()

    def by_torch():
        with torch.inference_mode():
            return functional.conv2d(
                images, weight, None, stride, taps // 2, groups=channels
            )

    return found | {"torch": by_torch}


def whole_networks(name: str, size: int) -> dict[str, Callable]:
    """The step of four frames, ours and the reference's of as many frames at once."""
    network = FAMILY.network(**RELEASES[name])
    variables = jax.device_put(FAMILY.initialise(network, jax.random.key(0)))
    state = network.start(1, size, size)
    frames = np.random.default_rng(0).uniform(size=(1, STRIDE, size, size, 3))
    frames = jnp.asarray(frames, jnp.float32)
    step = compiling.jit(
        lambda variables, state, frames: network.apply(
            variables, state, frames, method="step"
        )
    )
    theirs = reference.StridedInflated(reference.TABLES[name], name == "simn").eval()
    theirs = theirs.to(memory_format=torch.channels_last)
    images = torch.from_numpy(np.array(frames[0])).permute(0, 3, 1, 2)

    def by_torch():
        with torch.inference_mode():
            return theirs(images)

    return {
        "chosen": lambda: jax.block_until_ready(step(variables, state, frames)),
        "torch": by_torch,
    }


def main() -> None:
    """Prints a table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="sien", choices=tuple(RELEASES))
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--no-xla", action="store_true", help="it takes long")
    args = parser.parse_args()
    fields = RELEASES[args.network]
    module = StridedInflated(fields["kind"], fields["width"], fields["depth"])
    ways = ("chosen", "torch") if args.no_xla else ("xla", "chosen", "torch")
    print(
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}, torch "
        f"{torch.__version__} with {torch.get_num_threads()} threads, {args.network} at "
        f"{args.size}; ms, medians of {args.repeats}\n"
    )
    print(f"| depthwise | times | {' | '.join(ways)} |")
    print("|---" * (len(ways) + 2) + "|")
    totals: collections.Counter = collections.Counter()
    for shape, number in shapes(module, args.size).items():
        images, side, channels, taps, stride = shape
        calls = convolutions(*shape, xla=not args.no_xla)
        spent = {name: timed(calls[name], args.repeats) for name in ways}
        for name, seconds in spent.items():
            totals[name] += number * seconds
        cells = " | ".join(f"{1e3 * spent[name]:.2f}" for name in ways)
        what = f"{taps}x{taps} / {stride}, {images}x{side}x{side}, {channels}"
        print(f"| {what} | {number} | {cells} |", flush=True)
    cells = " | ".join(f"{1e3 * totals[name]:.1f}" for name in ways)
    print(f"| all of them | | {cells} |")
    for name, call in whole_networks(args.network, args.size).items():
        seconds = timed(call, args.repeats)
        print(
            f"\nwhole network, {name}: {1e3 * seconds:.1f} ms for {STRIDE} frames, "
            f"{STRIDE / FPS / seconds:.2f} seconds of video in one"
        )


if __name__ == "__main__":
    main()
