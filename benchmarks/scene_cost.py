"""What rendering procedural scenes costs beside the training step that it feeds.

    python -m benchmarks.scene_cost [--variant scenes|small] [--batch N] [--size PIXELS]

The sight stage of `configs/sight_sound.py` on the default device: one step as it is trained,
scenes rendered inside it, and the rendering alone, in turn.
"""

import argparse
import pathlib
import statistics
import time

import jax
import numpy as np

from rac_jax.cli.train import load_config
from rac_jax.models import find_family
from rac_jax.models.sight_sound.sight_task import SightTask
from rac_jax.ops import compiling
from rac_jax.train import mesh, splits
from rac_jax.train.run import Run
from rac_jax.train.state import first_state, make_optimiser, trained_paths
from rac_jax.train.step import make_train_step

CONFIG = pathlib.Path(__file__).resolve().parents[1] / "configs" / "sight_sound.py"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="scenes", choices=("scenes", "small"))
    parser.add_argument("--batch", type=int, help="(default: the config's)")
    parser.add_argument("--size", type=int, help="pixels (default: the config's)")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    config = load_config(f"{CONFIG}:{args.variant}")
    batch, size = args.batch or config.sight.batch, args.size or config.data.size
    dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    family = find_family("sight_sound")
    network = family.network(dtype=dtype, **config.model.to_dict())
    fields = config.sight.scenes.to_dict()
    scenes = splits.scene_config(fields, frames=64, height=size, width=size)
    devices = mesh.make_mesh(devices=jax.devices()[:1])
    workdir = pathlib.Path()
    run = Run(config, workdir, family, family.recipe(), network, devices)
    task = SightTask(run, scenes, scenes.kinds)
    variables = task.first(family.initialise(network, jax.random.key(0)))
    labels = trained_paths(variables["params"], task.trained)
    optimiser = make_optimiser(config.sight.optimiser, 1, labels)
    state = first_state(variables, optimiser, jax.random.key(1), False)
    rows = {"row": np.arange(batch)}
    prepare = compiling.jit(task.prepare)
    step = compiling.jit(make_train_step(task, optimiser, labels), donate_argnums=0)
    times = {"rendering": [], "whole step": []}
    # The first one compiles.
    for index in range(args.repeats + 1):
        began = time.perf_counter()
        jax.block_until_ready(prepare(rows, jax.random.key(index)))
        middle = time.perf_counter()
        state, metrics = step(state, rows)
        jax.block_until_ready(metrics)
        times["rendering"].append(middle - began)
        times["whole step"].append(time.perf_counter() - middle)
    medians = {name: statistics.median(spent[1:]) for name, spent in times.items()}
    rest = medians["whole step"] - medians["rendering"]
    print(
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}: {args.variant}, "
        f"{batch} clips of 64 x {size} x {size}\n\n| part | ms |\n|---|---|\n"
        f"| rendering | {1e3 * medians['rendering']:.0f} |\n"
        f"| whole step | {1e3 * medians['whole step']:.0f} |\n\n"
        f"Rendering is {medians['rendering'] / rest:.2f} of the rest of the step."
    )


if __name__ == "__main__":
    main()
