"""A program that trains the tiny task: `python -m tests.train.tiny_run FOLDER [options]`.

Writes the final parameters to FOLDER/final.npz. For tests that kill it, run it on several
devices or as several processes.
"""

import argparse
import functools
import pathlib
import time

import jax
import numpy as np

from rac_jax.data import pipeline
from rac_jax.train import loop
from rac_jax.train import mesh as meshes
from tests.train import tiny_task

STEPS = 60
EPOCH = 12


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--fsdp", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--coordinator")
    args = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", args.devices)
    if args.processes > 1:
        jax.distributed.initialize(args.coordinator, args.processes, args.process)
    stop = loop.StopSignal().listen()
    devices = meshes.make_mesh(fsdp=args.fsdp)
    settings = tiny_task.settings(average_decay=0.9, log_steps=4)
    source = tiny_task.TinyVideos(broken=(3,))

    def batches(start):
        print("begins at", start, flush=True)
        read = pipeline.make_batches(
            source,
            tiny_task.TinyCut(),
            seed=5,
            batch=settings.batch,
            batches=args.steps,
            start=start,
            rows=meshes.local_rows(devices, settings.batch),
            workers=args.workers,
        )
        for batch in pipeline.prefetch(
            ({k: v for k, v in b.items() if k in ("x", "y", "mask")} for b in read),
            functools.partial(meshes.put_batch, mesh=devices),
        ):
            time.sleep(args.pause)
            print("batch", flush=True)
            yield batch

    def evaluate(variables, epoch):
        weight = np.abs(variables["params"]["last"]["kernel"]).mean()
        return {"error": float(weight) + 0.01 * epoch}

    try:
        state = loop.fit(
            tiny_task.TinyTask(),
            settings,
            tiny_task.variables(),
            steps=args.steps,
            epoch_steps=EPOCH,
            batches=batches,
            evaluate=evaluate,
            mesh=devices,
            folder=args.folder,
            identity={"seed": 5},
            key=jax.random.key(5),
            stop=stop,
        )
    except loop.Stopped as stopped:
        print(stopped, flush=True)
        return
    found = meshes.to_host((state.params, state.batch_stats, state.average))
    if jax.process_index() == 0:
        leaves = {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(found))}
        np.savez(args.folder / "final.npz", **leaves)
    print("done", flush=True)


if __name__ == "__main__":
    main()
