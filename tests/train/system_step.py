"""One training step of the real system: `python -m tests.train.system_step FILE [options]`.

Writes parameters, statistics and metrics after one step of a stage to FILE, an .npz.
"""

import argparse
import pathlib

import jax
import numpy as np
from jax.sharding import NamedSharding

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sight_sound.reliability_task import ReliabilityTask
from rac_jax.models.sight_sound.sight_task import SightTask
from rac_jax.models.sight_sound.sound_task import SoundTask
from rac_jax.models.sight_sound.stride_task import StrideTask
from rac_jax.ops import compiling
from rac_jax.ops.cpu import conv as cpu_conv
from rac_jax.ops.cpu import winograd
from rac_jax.ops.sound_format import RATE
from rac_jax.train import mesh as meshes
from rac_jax.train import state as states
from rac_jax.train.run import Run
from rac_jax.train.step import make_train_step
from tests.train import toy

BATCH = 8


def videos():
    rng = np.random.default_rng(0)
    starts = np.arange(8.0) * 16
    for index in range(BATCH):
        yield LabelledVideo(
            video_id=str(index),
            frames=rng.integers(0, 256, (128, 32, 32, 3), np.uint8),
            fps=25.0,
            waveform=rng.normal(0, 0.1, 5 * RATE).astype(np.float32),
            audio_rate=RATE,
            count=8.0,
            cycles=np.stack([starts, starts + 16], axis=1).astype(np.float32),
        )


def build_task(name: str, run: Run):
    if name == "sight":
        return SightTask(run)
    if name == "sound":
        return SoundTask(run)
    names = [str(index) for index in range(BATCH)]
    if name == "stride":
        return StrideTask(run, dict.fromkeys(names, 0), dict.fromkeys(names, (1,)))
    strides, sight = dict.fromkeys(names, 1), dict.fromkeys(names, 7.0)
    return ReliabilityTask(run, strides, sight, dict.fromkeys(names, 9.0))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--stage", default="sight")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--fsdp", type=int, default=1)
    parser.add_argument("--order", type=int, nargs="*", help="of the devices")
    args = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", args.devices)
    # What serves large convolutions only is to be split over devices too.
    winograd.LEAST_CHANNELS = winograd.LEAST_PRODUCTS = 0
    cpu_conv.LEAST_PLACES = 1
    config = toy.load_config("small")
    config.data.size, config.stride.strides = 32, (1, 2)
    config.model.sight_encoder = "r2plus1d18"
    # Examples come from the videos here, so that both runs see the same.
    devices = [jax.devices()[place] for place in args.order] if args.order else None
    mesh = meshes.make_mesh(fsdp=args.fsdp, devices=devices)
    run = toy.make_run(config, pathlib.Path(args.file).parent)
    task = build_task(args.stage, run)
    first = run.family.initialise(run.network, jax.random.key(0))
    variables = task.first(first)
    labels = states.trained_paths(variables["params"], task.trained)
    # Plain descent: the change is the gradient, not its sign.
    settings = config[args.stage].optimiser
    settings.update({"name": "sgd", "schedule": "constant", "warmup": 0, "clip": 0.0})
    settings.learning_rate = 1e-4  # the paper's
    optimiser = states.make_optimiser(settings, 1, labels)
    state = states.first_state(variables, optimiser, jax.random.key(1), False)
    shardings = meshes.state_shardings(state, mesh)
    split = [s for s in jax.tree.leaves(shardings) if not s.is_fully_replicated]
    assert bool(split) == (args.fsdp > 1)
    sampler = task.examples.sampler
    rows = [sampler(video, np.random.default_rng(3)) for video in videos()]
    batch = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    batch["mask"] = np.arange(BATCH) != 5
    replicated = NamedSharding(mesh, meshes.REPLICATED)
    step = compiling.jit(
        make_train_step(task, optimiser, labels),
        in_shardings=(shardings, NamedSharding(mesh, meshes.BATCH)),
        out_shardings=(shardings, replicated),
        donate_argnums=0,
    )
    state, metrics = step(
        meshes.put(state, shardings),
        meshes.put_batch(batch, mesh, np.arange(BATCH), BATCH),
    )
    assert int(state.bad_step) == -1
    values = {name: metric.value() for name, metric in metrics.items()}
    found = jax.device_get((state.params, state.batch_stats, values))
    flat = jax.tree_util.tree_flatten_with_path(found)[0]
    np.savez(args.file, **{jax.tree_util.keystr(path): leaf for path, leaf in flat})


if __name__ == "__main__":
    main()
