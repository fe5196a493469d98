"""What a sharded training step sends between devices, read from the compiled program.

    python -m benchmarks.communication [--size 112] [--batch 64] [--width 1.0]

Compiles the sight stage's step of configs/sight_sound.py for 8 simulated devices in several
meshes and adds up the results of its collectives. Nothing runs, so nothing is timed.
"""

import argparse
import collections
import importlib.util
import pathlib
import re

import jax

DEVICES = 8
MESHES = ((8, 1), (4, 2), (2, 4), (1, 8))
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")
BYTES = {"f32": 4, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "pred": 1, "u8": 1}


def collective_bytes(text: str) -> dict[str, tuple[int, int]]:
    """Adds up the collectives of an optimised HLO module.

    Args:
      text: of the module.

    Returns:
      Kind to (how many, bytes of their results on one device).
    """
    found = collections.defaultdict(lambda: [0, 0])
    kinds = "|".join(COLLECTIVES)
    # Long tuples are numbered: /*index=5*/.
    text = re.sub(r"/\*.*?\*/", "", text)
    for result, kind in re.findall(rf"= (\(?[^=]*?\)?) ({kinds})(?:-start)?\(", text):
        found[kind][0] += 1
        for dtype, shape in re.findall(r"(\w+)\[([\d,]*)\]", result):
            size = BYTES.get(dtype, 0)
            for axis in filter(None, shape.split(",")):
                size *= int(axis)
            found[kind][1] += size
    return {kind: tuple(value) for kind, value in found.items()}


def compile_step(mesh, config):
    """The optimised program of one sight step."""
    from jax.sharding import NamedSharding

    from rac_jax.counting.programs import abstract_variables
    from rac_jax.models import find_family
    from rac_jax.models.sight_sound.sight_task import SightTask
    from rac_jax.train import mesh as meshes
    from rac_jax.train import state as states
    from rac_jax.train.run import Run
    from rac_jax.train.step import make_train_step

    family = find_family("sight_sound")
    network = family.network(**config.model.to_dict())
    workdir = pathlib.Path()
    task = SightTask(Run(config, workdir, family, family.recipe(), network, mesh))
    shapes = abstract_variables(network, family.example_inputs(network))
    labels = states.trained_paths(shapes["params"], task.trained)
    optimiser = states.make_optimiser(config.sight.optimiser, 10, labels)
    state = jax.eval_shape(
        lambda: states.first_state(
            jax.tree.map(lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), shapes),
            optimiser,
            jax.random.key(0),
            False,
        )
    )
    blank = task.examples.sampler.blank()
    batch = {
        name: jax.ShapeDtypeStruct((config.sight.batch, *value.shape), value.dtype)
        for name, value in blank.items()
    }
    batch["mask"] = jax.ShapeDtypeStruct((config.sight.batch,), bool)
    shardings = meshes.state_shardings(state, mesh)
    step = jax.jit(
        make_train_step(task, optimiser, labels),
        in_shardings=(shardings, NamedSharding(mesh, meshes.BATCH)),
        out_shardings=(shardings, NamedSharding(mesh, meshes.REPLICATED)),
        donate_argnums=0,
    )
    return step.lower(state, batch).compile()


def load_config():
    """The base config."""
    path = pathlib.Path(__file__).parents[1] / "configs" / "sight_sound.py"
    spec = importlib.util.spec_from_file_location("sight_sound", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def main() -> None:
    """Prints a line per mesh."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=float, default=1.0)
    args = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", DEVICES)

    from rac_jax.train import mesh as meshes

    config = load_config()
    config.data.size, config.sight.batch = args.size, args.batch
    config.model.sight_width = args.width
    print(
        f"S3D x {args.width}, batch {args.batch}, {args.size} pixels, jax {jax.__version__}"
    )
    print("data fsdp  " + "  ".join(f"{f'{kind}: n, MB':>22}" for kind in COLLECTIVES))
    for data, fsdp in MESHES:
        compiled = compile_step(meshes.make_mesh(data, fsdp), config)
        found = collective_bytes(compiled.as_text())
        cells = [
            f"{number} , {size / 1e6:.2f}" if number else "-"
            for number, size in (found.get(kind, (0, 0)) for kind in COLLECTIVES)
        ]
        print(
            f"{data:4} {fsdp:4}  " + "  ".join(f"{cell:>22}" for cell in cells),
            flush=True,
        )


if __name__ == "__main__":
    main()
