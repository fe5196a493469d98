"""Trains the first default weights, stage by stage, on scenes rendered inside the steps.

A plain script's worth of training: one process, one device, AdamW. What a stage leaves for the
next is a file in the output folder; a finished stage or phase is not run again.
"""

import functools
import logging
import pathlib
import time
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rac_jax.models import registry
from rac_jax.models.heads import RepetitionHead
from rac_jax.models.resnet import ResNet18
from rac_jax.models.s3d import S3D
from rac_jax.ops import spectrogram
from rac_jax.scenes import SceneConfig
from rac_jax.train import first_evaluation, losses, scene_batches, selection
from rac_jax.train.scene_records import record_scenes
from rac_jax.train.stage_files import load_tree, save_tree

LOG = logging.getLogger("rac_jax.train")
MOMENTUM = (
    0.95  # of running statistics while training; they are measured anew at the end
)
LOG_STEPS = 50


def stage_key(seed: int, name: str) -> jax.Array:
    """The key of a stage, of the run's seed and the stage's name."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


def build(config: Any):
    """The model of a config."""
    return registry.build_model("sight_sound", **config.model.to_dict())


def scene_config(fields: Any, **changes: Any) -> SceneConfig:
    """The scenes of a stage."""
    return SceneConfig(**(dict(fields) | changes))


def start(config: Any, stream: str, encoder: str) -> tuple[dict, dict]:
    """First parameters of one stream, and its first statistics.

    The counts of the repetition classes start spread over the range of counts, so that the
    class softmax can tell few from many at once; from equal ones it takes far longer.
    """
    variables = registry.init_variables(build(config), stage_key(config.seed, "init"))
    head = variables["params"][f"{stream}_head"]
    classes = head["counts"]["bias"].size
    spread = jnp.linspace(0.0, config[stream].highest, classes)
    head["counts"]["bias"] = spread
    params = {"encoder": variables["params"][encoder], "head": head}
    return params, variables["batch_stats"][encoder]


def counting_loss(
    config: Any, output: Any, cells: jax.Array, local: dict, batch: Any, mask: jax.Array
) -> tuple[jax.Array, dict]:
    """Eq. 6 or 7, and the rate along time.

    Args:
      config: weights of the terms.
      output: `RepetitionOutput` of the stream.
      cells: [B, T', C] stage-3 features, pooled over all but time.
      local: kernel [C, 1] and bias [1] of the linear layer on them.
      batch: counts [B] and rate [B, n], n a multiple of T' or cut to one.
      mask: [B] bool.

    Returns:
      Scalar loss, and its terms.
    """
    weights = config.loss
    size = mask.shape[0]
    relative = jnp.mean(losses.relative_error(output.count, batch.counts, mask))
    squared = jnp.mean(losses.squared_error(output.count, batch.counts, mask))
    diversity = losses.DIVERSITIES[weights.diversity](output.classes, mask) / size**2
    steps = cells.shape[1]
    total = batch.rate.shape[1]
    # Cell j stands for the columns [j total / steps, (j + 1) total / steps).
    edges = jnp.linspace(0, total, steps + 1)
    done = jnp.cumsum(jnp.pad(batch.rate, ((0, 0), (1, 0))), axis=1)
    places = jnp.arange(total + 1.0)
    done = jax.vmap(lambda row: jnp.interp(edges, places, row))(done)  # [B, T' + 1]
    target = jnp.diff(done, axis=1) * steps  # in repetitions per clip
    rate = (cells @ local["kernel"] + local["bias"][None, None])[..., 0]  # [B, T']
    along = jnp.mean(jnp.abs(rate - target) * mask[:, None])
    loss = (
        weights.squared * squared
        + weights.relative * relative
        + weights.diversity_weight * diversity
        + weights.local * along
    )
    return loss, {"relative": relative, "squared": squared, "local": along}


def _sight_batch(config: Any, phase: Any, key: jax.Array):
    size, batch, _ = phase
    scenes = scene_config(config.sight.scenes, height=size, width=size)
    clips = scene_batches.render_clips(key, scenes, batch, config.sight.padded)
    return clips.clips, clips, jnp.ones(batch, bool)


def _sound_batch(config: Any, phase: Any, key: jax.Array):
    _, batch, _ = phase
    scenes = scene_config(config.sound.scenes)
    cut = scene_batches.render_spectrograms(key, scenes, batch, config.sound.highest)
    return cut.spectrograms[..., None], cut, cut.mask


# Per stream: encoder class, parameter group, batch, axes of stage 3 to pool for the cells.
STREAMS = {
    "sight": (S3D, "sight_encoder", _sight_batch, (2, 3)),
    "sound": (ResNet18, "sound_encoder", _sound_batch, (1,)),
}


def make_step(config: Any, stream: str, phase: Any, optimiser: Any) -> Callable:
    """A training step of one stream: (state, key) -> (state, metrics)."""
    encoder, _, make_batch, axes = STREAMS[stream]
    network = encoder(width=config.model[f"{stream}_width"], momentum=MOMENTUM)
    head = RepetitionHead(config.model[f"{stream}_classes"])

    def loss(params, stats, key):
        inputs, batch, mask = make_batch(config, phase, key)
        encoded, updates = network.apply(
            {"params": params["encoder"], "batch_stats": stats},
            inputs,
            train=True,
            mutable=["batch_stats"],
        )
        output = head.apply({"params": params["head"]}, encoded.features)
        cells = jnp.mean(encoded.stage3, axis=axes)  # [B, T', C]
        value, terms = counting_loss(
            config, output, cells, params["local"], batch, mask
        )
        metrics = terms | {
            "loss": value,
            "predicted": output.count,
            "true": batch.counts,
            "mask": mask,
        }
        return value, (updates["batch_stats"], metrics)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, key):
        (_, (stats, metrics)), grads = jax.value_and_grad(loss, has_aux=True)(
            state["params"], state["stats"], key
        )
        updates, optimiser_state = optimiser.update(
            grads, state["optimiser"], state["params"]
        )
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "stats": stats, "optimiser": optimiser_state}, metrics

    return step


def make_optimiser(config: Any, learning_rate: float, steps: int):
    """AdamW with warm-up, cosine decay and gradient clipping."""
    settings = config.optimiser
    warmup = min(settings.warmup, max(1, steps // 4))
    schedule = optax.warmup_cosine_decay_schedule(0.0, learning_rate, warmup, steps)
    return optax.chain(
        optax.clip_by_global_norm(settings.clip),
        optax.adamw(schedule, weight_decay=settings.weight_decay),
    )


def report(name: str, step: int, steps: int, began: float, rows: list[dict]) -> None:
    """Logs what the last steps gave: means of terms, and how counts go with the truth."""
    rows = jax.device_get(rows)
    terms = [k for k in rows[0] if np.ndim(rows[0][k]) == 0]
    means = {k: float(np.mean([row[k] for row in rows])) for k in terms}
    if not np.isfinite(means["loss"]):
        raise FloatingPointError(f"{name}: the loss is not finite by step {step}")
    mask = np.concatenate([row["mask"] for row in rows])
    predicted = np.concatenate([row["predicted"] for row in rows])[mask]
    true = np.concatenate([row["true"] for row in rows])[mask]
    correlation = np.corrcoef(predicted, true)[0, 1]
    constant = np.mean(np.abs(np.median(true) - true) / np.maximum(true, 1))
    LOG.info(
        "%s %d/%d  %s  correlation %.3f  constant %.3f  %.0f s",
        name,
        step,
        steps,
        "  ".join(f"{k} {v:.3f}" for k, v in means.items()),
        correlation,
        constant,
        time.monotonic() - began,
    )


def recalibrate(config: Any, stream: str, params: dict, stats: dict) -> dict:
    """Statistics as means over fresh batches at the last phase's size."""
    encoder, _, make_batch, _ = STREAMS[stream]
    # Without momentum the statistics that come out are the batch's own.
    network = encoder(width=config.model[f"{stream}_width"], momentum=0.0)
    phase = config[stream].phases[-1]
    key = stage_key(config.seed, f"{stream} statistics")

    @jax.jit
    def measure(index):
        inputs, _, _ = make_batch(config, phase, jax.random.fold_in(key, index))
        _, updates = network.apply(
            {"params": params["encoder"], "batch_stats": stats},
            inputs,
            train=True,
            mutable=["batch_stats"],
        )
        return updates["batch_stats"]

    total = config[stream].recalibrate
    measured = [jax.device_get(measure(index)) for index in range(total)]
    return jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *measured)


def train_stream(config: Any, stream: str, out: pathlib.Path) -> dict:
    """Trains sight or sound through its phases.

    Args:
      config: of `configs/first_weights.py`.
      stream: "sight" or "sound".
      out: folder for the stage's files.

    Returns:
      {"params": {"encoder", "head"}, "stats"}.

    Raises:
      FloatingPointError: if the loss is not finite any more.
    """
    _, group, _, _ = STREAMS[stream]
    settings = config[stream]
    params, stats = start(config, stream, group)
    finished = out / f"{stream}.safetensors"
    if finished.exists():
        return load_tree(finished, {"params": params, "stats": stats})
    channels = {"sight": 832, "sound": 256}[stream]
    channels = round(channels * config.model[f"{stream}_width"])
    params["local"] = {"kernel": jnp.zeros((channels, 1)), "bias": jnp.zeros(1)}
    total = sum(steps for _, _, steps in settings.phases)
    optimiser = make_optimiser(config, settings.learning_rate, total)
    state = {"params": params, "stats": stats, "optimiser": optimiser.init(params)}
    key, done, began = stage_key(config.seed, stream), 0, time.monotonic()
    for number, phase in enumerate(settings.phases):
        saved = out / f"{stream}_phase{number}.safetensors"
        if saved.exists():
            state = load_tree(saved, state)
            done += phase[2]
            continue
        step, rows = make_step(config, stream, phase, optimiser), []
        for _ in range(phase[2]):
            state, metrics = step(state, jax.random.fold_in(key, done))
            done += 1
            rows.append(metrics)
            if done % LOG_STEPS == 0:
                report(stream, done, total, began, rows)
                rows = []
        save_tree(saved, state)
    params = {name: state["params"][name] for name in ("encoder", "head")}
    stats = recalibrate(config, stream, params, state["stats"])
    result = {"params": params, "stats": stats}
    save_tree(finished, result)
    LOG.info("%s: %.0f s", stream, time.monotonic() - began)
    return result


def train(config: Any, out: pathlib.Path, command: str) -> tuple[dict, dict]:
    """Trains all stages and measures the result.

    Args:
      config: of `configs/first_weights.py`.
      out: folder for the stages' files; finished stages found there are not run again.
      command: what started the run, for the record.

    Returns:
      The whole model's variables, and its `config.json`.

    Raises:
      FloatingPointError: if a loss is not finite any more.
    """
    began = time.monotonic()
    streams = {name: train_stream(config, name, out) for name in STREAMS}
    model = build(config)
    first = registry.init_variables(model, stage_key(config.seed, "init"))
    groups = selection.start(first, streams)
    settings = config.selection
    finished = out / "selection.safetensors"
    size = {"height": settings.size, "width": settings.size}
    if finished.exists():
        groups = load_tree(finished, groups)
    else:
        scenes = scene_config(settings.scenes, **size)
        key = stage_key(config.seed, "selection")
        records, cuts = record_scenes(config, streams, scenes, settings.number, key)
        LOG.info(
            "recorded %d scenes  %.0f s", settings.number, time.monotonic() - began
        )
        groups = selection.train_rankers(config, groups, records, cuts, config.seed)
        groups = selection.train_reliability(config, groups, records, cuts, config.seed)
        save_tree(finished, groups)
        del records
    scenes = scene_config(settings.scenes, **size, **config.evaluation.scenes)
    key = stage_key(config.evaluation.seed, "evaluation")
    records, cuts = record_scenes(
        config, streams, scenes, config.evaluation.number, key
    )
    constant = float(np.median(records.count[records.count > 0]))
    counts = first_evaluation.predictions(config, groups, records, cuts, constant)
    rows = first_evaluation.table(counts, records)
    LOG.info("fresh scenes, MAE / OBO\n%s", first_evaluation.text(rows))
    variables = {
        "params": dict(groups["params"]),
        "batch_stats": dict(groups["batch_stats"]),
    }
    for name, (_, encoder, _, _) in STREAMS.items():
        variables["params"][encoder] = streams[name]["params"]["encoder"]
        variables["params"][f"{name}_head"] = streams[name]["params"]["head"]
        variables["batch_stats"][encoder] = streams[name]["stats"]
    return variables, model_config(config, rows, command)


def model_config(config: Any, rows: dict, command: str) -> dict:
    """The model's `config.json`."""
    return {
        "name": config.name,
        "family": "sight_sound",
        "arguments": config.model.to_dict(),
        "preprocessing": {
            "clip_frames": scene_batches.CLIP_FRAMES,
            "size": config.selection.size,
            "mean": list(scene_batches.MEAN),
            "std": list(scene_batches.STD),
            "audio_rate": spectrogram.RATE,
            "nperseg": spectrogram.WINDOW,
            "noverlap": spectrogram.OVERLAP,
            "columns": scene_batches.COLUMNS,
        },
        "protocol": "paper",
        "max_stride": max(config.selection.strides),
        "training": {
            "data": "procedural scenes only (rac_jax/scenes); no real video",
            "command": command,
            "seed": config.seed,
            "steps": {
                name: [list(phase) for phase in config[name].phases] for name in STREAMS
            },
            "selection_scenes": config.selection.number,
            "notes": config.notes,
        },
        "accuracy": {
            "data": "fresh procedural scenes",
            "seed": config.evaluation.seed,
            "scenes": config.evaluation.number,
            "table": rows,
        },
    }
