"""Our side: the library's own modules, its own training step, its own counter."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from benchmarks.compare import cases, lmrl_names
from benchmarks.compare.cases import Case
from benchmarks.compare.suites import SUITES
from rac_jax import encoders
from rac_jax.counting import programs, weights
from rac_jax.counting.counter import Counter
from rac_jax.counting.family import TrainableFamily, Variables
from rac_jax.encoders import initialise
from rac_jax.encoders.conversion import encoder_table
from rac_jax.interop.attention import split_attention
from rac_jax.models import find_family, loading
from rac_jax.models.repnet.conversion import torch_table
from rac_jax.models.sight_sound import conversion
from rac_jax.models.transrac import conversion as transrac
from rac_jax.ops import compiling, similarity
from rac_jax.train.metrics import Mean
from rac_jax.train.state import first_state, make_optimiser, trained_paths
from rac_jax.train.step import make_train_step

DRAWN = np.float32(0.02)  # standard deviation of what has no other rule


def find_maker(case: Case) -> TrainableFamily | encoders.Encoder:
    """What builds the network of a case that has one."""
    if case.suite in ("stride", "full"):
        return find_family("sight_sound")
    if SUITES[case.suite].outputs:
        return find_family(case.suite)
    alone = {"sight": case.encoder, "sound": "resnet18", "swin": "video_swin"}
    return encoders.Encoder(alone[case.suite])


def find_network(case: Case, maker: TrainableFamily | encoders.Encoder) -> nn.Module:
    """The network of a case that has one."""
    suite, arguments = SUITES[case.suite], {}
    if suite.narrow:
        arguments["width"] = case.width
    if suite.outputs:
        arguments["frames"] = case.frames
    if case.suite == "transrac":
        arguments["released"] = True
    return maker.network(dtype=case.dtype, **arguments)


def read_weights(
    maker: TrainableFamily | encoders.Encoder, network: nn.Module, folder: pathlib.Path
) -> Variables:
    """The variables that the other side left, or random ones."""
    path = folder / "weights.npz"
    if not path.exists():
        return drawn_variables(maker, network)
    with np.load(path) as file:
        flat = arrays_of(maker, network, dict(file))
    nested = flax.traverse_util.unflatten_dict(flat, sep="/")
    return {"batch_stats": {}} | nested


def drawn_variables(
    maker: TrainableFamily | encoders.Encoder, network: nn.Module
) -> Variables:
    """Random variables, without compiling `init`."""
    shapes = programs.abstract_variables(network, maker.example_inputs(network))
    flat = flax.traverse_util.flatten_dict(shapes, keep_empty_nodes=True)
    # Learned positions and forms, which `draw_variables` has no rule for.
    rng = np.random.default_rng(0)
    others = {
        path: DRAWN * rng.standard_normal(flat.pop(path).shape, np.float32)
        for path in list(flat)
        if path[-1] in ("positions", "weight")
    }
    known = flax.traverse_util.unflatten_dict(flat)
    drawn = initialise.draw_variables(known, jax.random.key(0))
    drawn = flax.traverse_util.flatten_dict(drawn, keep_empty_nodes=True)
    return flax.traverse_util.unflatten_dict(drawn | others)


def arrays_of(
    maker: TrainableFamily | encoders.Encoder,
    network: nn.Module,
    state: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Arrays by path of the other side's state dict."""
    if isinstance(maker, encoders.Encoder):
        return encoder_table(maker.name, network).to_jax(state)
    readers = {
        "sight_sound": lambda: conversion.whole_table(network).to_jax(state),
        "repnet": lambda: torch_table(network).to_jax(split_attention(state)),
        "transrac": lambda: transrac.arrays_of(network, state),
        "lmrl": lambda: lmrl_names.arrays_of(network, state),
    }
    return readers[maker.name]()


def learning_rate(folder: pathlib.Path) -> float:
    """What the other side chose, or a plain one."""
    path = folder / "learning_rate.npy"
    return np.load(path).item() if path.exists() else cases.LEARNING_RATE


def without_dropout(
    call: Callable, args: tuple, options: dict, context: nn.module.InterceptorContext
) -> Any:
    """Calls a module, see `nn.intercept_methods`; dropout lets everything through."""
    if isinstance(context.module, nn.Dropout) and context.method_name == "__call__":
        return args[0]
    return call(*args, **options)


def outputs_of(
    case: Case,
    network: nn.Module | None,
    variables: Variables,
    inputs: Sequence[jax.Array],
    train: bool,
) -> tuple[dict[str, jax.Array], Any]:
    """({name: array}, batch statistics), the names as on the other side."""
    if case.suite == "tsm":
        distances = similarity.relative_distances(inputs[0])
        sheared, _ = similarity.lag_shear(distances, cases.FIRST_LAG, cases.LAST_LAG)
        return {"sheared": sheared}, {}
    if case.suite == "sound":
        inputs = [inputs[0][..., None]]
    # Without chance, so that both sides' losses can be compared.
    with nn.intercept_methods(without_dropout):
        out = network.apply(
            variables, *inputs, train=train, mutable=["batch_stats"] if train else False
        )
    out, stats = out if train else (out, {})
    stats = stats.get("batch_stats", {})
    if names := SUITES[case.suite].outputs:
        return {name: getattr(out, name) for name in names}, stats
    if case.suite == "swin":
        return {"features": out}, stats
    if case.suite in ("sight", "sound"):
        return {"features": out.features}, stats
    if case.suite == "stride":
        return {"score": out.score}, stats
    return {
        "sight_count": out.sight.count,
        "sound_count": out.sound.count,
        "score": out.score,
        "solo_score": out.sight.solo_score,
        "reliability": out.reliability,
    }, stats


@dataclasses.dataclass(frozen=True, eq=False)
class Squares:
    """The task that both sides train: the mean square of every output towards zero."""

    case: Case
    network: nn.Module

    def prepare(self, batch, key):
        """The batch as it is."""
        del key
        return batch

    def loss(self, params, stats, batch, key):
        """See `train.step.make_train_step`."""
        del key
        variables = {"params": params, "batch_stats": stats}
        out, stats = outputs_of(self.case, self.network, variables, batch, train=True)
        loss = sum(jnp.mean(jnp.square(v.astype(jnp.float32))) for v in out.values())
        return loss, (stats, {"loss": Mean(loss, jnp.ones(()))})


class Side:
    """Our side of a case; see `reference.Side`."""

    def __init__(self, case: Case, folder: pathlib.Path):
        self.case, self.version = case, jax.__version__
        self.way, self.way_ms = "jit", {}
        self.compile_s, self.flops, self.bytes = 0.0, 0.0, 0.0
        if case.mode == "count":
            self._build_procedure(folder)
            return
        network, variables = None, {}
        if case.suite != "tsm":
            maker = find_maker(case)
            network = find_network(case, maker)
            variables = jax.device_put(read_weights(maker, network, folder))
        inputs = [jax.device_put(x) for x in cases.draw_inputs(case).values()]

        def forward(variables, *arrays):
            return outputs_of(case, network, variables, arrays, train=False)[0]

        lowered = compiling.jit(forward).lower(variables, *inputs)
        # A backward pass is twice the forward one: for the inputs, and for the weights.
        passes = 3 if case.mode == "train" else 1
        # None where the compiler does not tell: XLA:GPU before it compiles.
        self.flops = passes * (lowered.cost_analysis() or {}).get("flops", 0.0)
        began = time.perf_counter()
        if case.mode == "forward":
            compiled = lowered.compile()
            self.step = lambda: jax.block_until_ready(compiled(variables, *inputs))
        else:
            compiled = self._build_train(network, variables, inputs, folder)
        self.compile_s = time.perf_counter() - began
        costs = compiled.cost_analysis() or {}
        self.bytes = float(costs.get("bytes accessed", 0.0))
        self.compiled = compiled

    def _build_procedure(self, folder: pathlib.Path) -> None:
        files = ("visual", "audio", "sr", "conf")
        paths = [folder / f"{name}_checkpoint.pt" for name in files]
        config, variables = conversion.read_release(*paths)
        path = weights.save_model(folder / "model", config, variables)
        network, variables, config = loading.load_model(path, dtype=self.case.dtype)
        family = find_family(config["family"])
        counter = Counter(family, network, variables, config)
        frames, waveform = cases.draw_video(self.case)
        self.step = lambda: counter.count(
            frames, fps=cases.FPS, waveform=waveform, audio_rate=cases.RATE
        )
        began = time.perf_counter()
        self.step()
        self.compile_s = time.perf_counter() - began

    def _build_train(self, network, variables, inputs, folder):
        task = Squares(self.case, network)
        labels = trained_paths(variables["params"], tuple(variables["params"]))
        settings = ml_collections.ConfigDict(
            {
                "name": "sgd",
                "learning_rate": learning_rate(folder),
                "momentum": cases.MOMENTUM,
                "weight_decay": 0.0,
                "clip": 0.0,
                "schedule": "constant",
                "warmup": 0,
            }
        )
        optimiser = make_optimiser(settings, 1, labels)
        run = compiling.jit(make_train_step(task, optimiser, labels), donate_argnums=0)
        self._state = first_state(variables, optimiser, jax.random.key(0), False)
        compiled = run.lower(self._state, inputs).compile()

        def step():
            self._state, metrics = compiled(self._state, inputs)
            return {"loss": jax.block_until_ready(metrics["loss"]).total}

        self.step = step
        return compiled

    def outputs(self) -> dict[str, np.ndarray]:
        """See `reference.Side.outputs`."""
        case = self.case
        if case.mode == "count":
            result = self.step()
            return {
                "sight": np.array(result.stream("sight").count),
                "sound": np.array(result.stream("sound").count),
                "stride": np.array(result.details["stride"]),
            }
        if case.mode == "train":
            return {f"loss{i}": np.asarray(self.step()["loss"]) for i in range(3)}
        out = jax.device_get(self.step())
        return {name: np.asarray(value, np.float32) for name, value in out.items()}

    def peak_mb(self) -> float | None:
        """Of the accelerator's memory; None on CPU, where the process's own peak is taken."""
        stats = jax.local_devices()[0].memory_stats()
        return stats and stats["peak_bytes_in_use"] / 2**20
