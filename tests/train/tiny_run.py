"""A program that trains the tiny family: `python -m tests.train.tiny_run FOLDER [options]`.

Writes the final state's parameters to FOLDER/final.npz. For tests that kill it, run it on
several devices or as several processes.
"""

import argparse
import pathlib
import time

import jax
import numpy as np

from rac_jax import train
from rac_jax.train import hosts, loop, stages
from rac_jax.train import mesh as meshes
from tests.train.tiny_family import TinyFamily, tiny_config, tiny_sources


def show_batches(pause_s: float) -> None:
    """Lets a run say where it begins, and each batch that it takes; and take its time."""
    made = stages.device_batches

    def device_batches(run, task, settings, steps, start):
        print("begins at", start, flush=True)
        for batch in made(run, task, settings, steps, start):
            time.sleep(pause_s)
            print("batch", flush=True)
            yield batch

    stages.device_batches = device_batches


def save_state(path: pathlib.Path) -> None:
    """Lets a run leave its final state, more than what its stage leaves."""
    fit = loop.fit

    def fit_and_save(*arguments):
        state = fit(*arguments)
        found = meshes.to_host((state.params, state.batch_stats, state.average))
        if jax.process_index() == 0:
            leaves = {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(found))}
            np.savez(path, **leaves)
        return state

    loop.fit = fit_and_save


def check_shares() -> None:
    """Asserts that rows are the same in every process, whoever computed them."""
    own = jax.process_index()
    for number in (0, 1, 4, 5):
        rows = hosts.share_out(
            number, lambda places: [np.array([row / 3, own]) for row in places]
        )
        expected = [row / 3 for row in range(number)]
        np.testing.assert_array_equal(rows[:, :1].ravel(), expected)
        assert set(rows[:, 1:].ravel()) == set(range(min(number, jax.process_count())))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--fsdp", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--coordinator")
    args = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", args.devices)
    if args.processes > 1:
        jax.distributed.initialize(args.coordinator, args.processes, args.process)
        check_shares()
    show_batches(args.pause)
    save_state(args.folder / "final.npz")
    config = tiny_config(average_decay=0.9, log_steps=4)
    config.mesh.fsdp, config.data.workers = args.fsdp, args.workers
    try:
        train.train(
            TinyFamily(),
            config,
            args.folder,
            stop=train.StopSignal().listen(),
            sources=tiny_sources(broken=(3,)),
        )
    except train.Stopped as stopped:
        print(stopped, flush=True)
        return
    print("done", flush=True)


if __name__ == "__main__":
    main()
