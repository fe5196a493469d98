"""Memory that a training step needs, by batch and by what is rematerialised.

    python -m benchmarks.step_memory [--encoder s3d] [--batches 8 32 128] [--size 112]

Nothing is run: the compiler's own account of its buffers, for the default device, and the
bytes that the forward pass keeps for the backward one.
"""

import argparse

import jax
import jax.numpy as jnp

from benchmarks.compare.cases import Case
from benchmarks.compare.ours import Squares, find_maker
from rac_jax.counting.programs import abstract_variables
from rac_jax.train.step import REMATERIALISE, rematerialised


def loss_of(task: Squares, what: str):
    """(parameters, batch statistics, clips) to the loss."""

    def loss(params, stats, clips):
        def scalar(params):
            return task.loss(params, stats, [clips], None)[0]

        return rematerialised(scalar, what)(params)

    return loss


def saved_bytes(loss, *arguments) -> int:
    """What the forward pass keeps for the backward one."""

    def pull(params, stats, clips):
        return jax.vjp(lambda params: loss(params, stats, clips), params)[1]

    found = jax.eval_shape(pull, *arguments)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(found))


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="s3d", choices=("s3d", "r2plus1d18"))
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32, 128, 256])
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument(
        "--compile", action="store_true", help="ask the compiler, too (slow on CPU)"
    )
    args = parser.parse_args()
    print("| batch | rematerialised | kept for the backward pass, GB | compiled, GB |")
    print("|---|---|---|---|")
    for batch in args.batches:
        case = Case("sight", "train", "cpu", batch, args.dtype, args.encoder)
        maker = find_maker(case)
        network = maker.network(dtype=case.dtype)
        task = Squares(case, network)
        variables = abstract_variables(network, maker.example_inputs(network))
        shape = (batch, args.frames, args.size, args.size, 3)
        clips = jax.ShapeDtypeStruct(shape, jnp.float32)
        arguments = (variables["params"], variables["batch_stats"], clips)
        for what in REMATERIALISE:
            loss = loss_of(task, what)
            saved, compiled = saved_bytes(loss, *arguments) / 2**30, ""
            if args.compile:
                program = jax.jit(jax.grad(loss)).lower(*arguments).compile()
                memory = program.memory_analysis().temp_size_in_bytes
                compiled = f"{memory / 2**30:.2f}"
            print(f"| {batch} | {what} | {saved:.2f} | {compiled} |")


if __name__ == "__main__":
    main()
