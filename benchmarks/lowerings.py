"""What every convolution of a sight encoder costs, by each lowering that it can have.

    python -m benchmarks.lowerings [--encoder s3d] [--batch N] [--dtype float32|bfloat16]

On the default device. `ops.conv` chooses by the table that this prints: over three axes as it
stands, folded to two, a matmul per tap, minimal filtering, and last what `ops.conv` takes.
"""

import argparse
import collections
import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from rac_jax.counting.programs import abstract_variables
from rac_jax.encoders import Encoder, layers
from rac_jax.ops import compiling, conv, native
from rac_jax.ops.cpu import winograd

LOWERINGS = ("3-D", "2-D", "taps", "filtering", "chosen")
GRADIENTS = ("forward", "input", "filter")


@dataclasses.dataclass(frozen=True)
class Convolution:
    """Of clips [B, T, H, W, C] with a kernel [kt, kh, kw, C, O]."""

    x: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: conv.Padding

    def __str__(self):
        _, *size, depth = self.x
        taps, channels = self.kernel[:3], self.kernel[-1]
        strides = "" if set(self.strides) == {1} else f" / {times(self.strides)}"
        return f"{times(size)}, {depth} to {channels}, {times(taps)}{strides}"


def times(sizes) -> str:
    """Sizes as one writes them: 7x7x7."""
    return "x".join(map(str, sizes))


def convolutions(encoder: str, clips: tuple[int, ...]) -> dict[Convolution, int]:
    """An encoder's convolutions of clips [B, T, H, W, 3], and how often each is in it."""
    maker = Encoder(encoder)
    network = maker.network()
    found = collections.Counter()

    def record(call, args, kwargs, context):
        layer = context.module
        if isinstance(layer, layers.Conv):
            x = args[0].shape
            kernel = (*layer.size, x[-1], layer.channels)
            padding = tuple((pad, pad) for pad in layer.padding)
            found[Convolution(x, kernel, tuple(layer.strides), padding)] += 1
        return call(*args, **kwargs)

    variables = abstract_variables(network, maker.example_inputs(network))
    with nn.intercept_methods(record):
        jax.eval_shape(
            lambda variables, clips: network.apply(variables, clips),
            variables,
            jax.ShapeDtypeStruct(clips, jnp.float32),
        )
    return dict(found)


def lowerings(c: Convolution) -> dict[str, Callable]:
    """Name -> function of (clips, kernel), for every lowering that this convolution has."""
    found = {"3-D": lambda x, kernel: native.convolve(x, kernel, c.strides, c.padding)}
    folded = fold(c)
    if folded:
        found["2-D"] = within(
            c,
            folded,
            lambda x, k: native.convolve(x, k, folded.strides, folded.padding),
        )
    found["taps"] = lambda x, kernel: by_taps(x, kernel, c.strides, c.padding)
    if (
        folded
        and set(folded.strides) == {1}
        and winograd.fits(folded.kernel[:2], folded.padding)
    ):
        found["filtering"] = within(c, folded, winograd.convolve)
    found["chosen"] = lambda x, kernel: conv.conv_video(x, kernel, c.strides, c.padding)
    return found


def fold(c: Convolution) -> Convolution | None:
    """The same over images, if the kernel spans only space or only time."""
    (batch, frames, height, width, depth), (kt, kh, kw, *channels) = c.x, c.kernel
    if kt == 1 and c.strides[0] == 1:
        images = (batch * frames, height, width, depth)
        return Convolution(images, (kh, kw, *channels), c.strides[1:], c.padding[1:])
    if kh == kw == 1 and c.strides[1:] == (1, 1):
        columns = (batch, frames, height * width, depth)
        padding = (c.padding[0], (0, 0))
        return Convolution(columns, (kt, 1, *channels), (c.strides[0], 1), padding)
    return None


def within(c: Convolution, folded: Convolution, function: Callable) -> Callable:
    """A function of images and their kernel as one of clips and theirs."""
    out = jax.eval_shape(
        lambda x, kernel: native.convolve(x, kernel, c.strides, c.padding),
        jax.ShapeDtypeStruct(c.x, jnp.float32),
        jax.ShapeDtypeStruct(c.kernel, jnp.float32),
    ).shape
    return lambda x, kernel: function(
        x.reshape(folded.x), kernel.reshape(folded.kernel)
    ).reshape(out)


def by_taps(x, kernel, strides, padding):
    """The sum over taps of a matmul over the channels."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    total = 0
    for tap in itertools.product(*map(range, kernel.shape[:-2])):
        index = [
            slice(first, size - taps + first + 1, stride)
            for first, size, taps, stride in zip(
                tap, x.shape[1:-1], kernel.shape, strides, strict=False
            )
        ]
        seen = x[(slice(None), *index)]
        total += jnp.matmul(seen, kernel[tap], preferred_element_type=jnp.float32)
    return total.astype(x.dtype)


def gradients(function: Callable) -> dict[str, Callable]:
    """The forward pass, and both gradients, each a function of (clips, kernel, cotangent)."""

    def of_input(x, kernel, g):
        return jax.vjp(lambda x: function(x, kernel), x)[1](g)

    def of_filter(x, kernel, g):
        return jax.vjp(lambda kernel: function(x, kernel), kernel)[1](g)

    passes = (lambda x, kernel, g: function(x, kernel), of_input, of_filter)
    return dict(zip(GRADIENTS, passes, strict=True))


def measure(
    c: Convolution, gradient: str, dtype: str, repeats: int
) -> dict[str, float]:
    """Lowering -> median seconds; the lowerings take turns."""
    kx, kk, kg = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(kx, c.x, dtype)
    kernel = jax.random.normal(kk, c.kernel, dtype)
    out = jax.eval_shape(
        lambda x, k: native.convolve(x, k, c.strides, c.padding), x, kernel
    )
    g = jax.random.normal(kg, out.shape, dtype)
    programs = {
        name: compiling.jit(gradients(function)[gradient])
        for name, function in lowerings(c).items()
    }
    spent = {name: [] for name in programs}
    # The first round compiles, and does not count.
    for _ in range(repeats + 1):
        for name, program in programs.items():
            began = time.perf_counter()
            jax.block_until_ready(program(x, kernel, g))
            spent[name].append(time.perf_counter() - began)
    return {name: statistics.median(each[1:]) for name, each in spent.items()}


def main() -> None:
    """Prints a table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="s3d", choices=("s3d", "r2plus1d18"))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--size", type=int, default=112, help="pixels")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument(
        "--gradients", nargs="+", default=GRADIENTS[:1], choices=GRADIENTS
    )
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    clips = (args.batch, args.frames, args.size, args.size, 3)
    # Seconds of a whole encoder: with what `ops.conv` takes, and with the best of each.
    totals = collections.Counter()
    print(
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {args.encoder}, "
        f"batch {args.batch}, {args.dtype}; ms, medians of {args.repeats}\n"
    )
    print(f"| convolution | times | pass | {' | '.join(LOWERINGS)} |")
    print("|---" * (len(LOWERINGS) + 3) + "|")
    for c, number in convolutions(args.encoder, clips).items():
        for gradient in args.gradients:
            spent = measure(c, gradient, args.dtype, args.repeats)
            cells = [
                f"{1e3 * spent[name]:.2f}" if name in spent else ""
                for name in LOWERINGS
            ]
            print(f"| {c} | {number} | {gradient} | {' | '.join(cells)} |", flush=True)
            best = min(spent[name] for name in spent if name != "chosen")
            totals[gradient, "best"] += number * best
            totals[gradient, "chosen"] += number * spent["chosen"]
    print()
    for gradient in args.gradients:
        chosen, best = totals[gradient, "chosen"], totals[gradient, "best"]
        print(
            f"{gradient}: chosen {1e3 * chosen:.0f} ms, the best of each {1e3 * best:.0f}"
        )


if __name__ == "__main__":
    main()
