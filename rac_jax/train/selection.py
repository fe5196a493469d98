"""Trains the stride rankers (Eq. 8-9) and the reliability module (Eq. 10-11) on records.

Where the paper fuses "empirical predictions", means over training epochs, because its streams
overfit the videos that they were trained on, the final streams' predictions do here: every
scene is a fresh one.
"""

import functools
import logging
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rac_jax.models.sight_sound import Ranker, Reliability, SoloRanker, fuse
from rac_jax.train import losses
from rac_jax.train.scene_records import Cuts, Records, sound_counts, stride_sums

LOG = logging.getLogger("rac_jax.train")
MOMENTUM = 0.95
CLIP_FRAMES = 64


def modules(config: Any, momentum: float = MOMENTUM) -> dict:
    """The three modules, as `SightSound` builds them in the paper's form."""
    model, shared = config.model, {"momentum": momentum, "dtype": "float32"}
    return {
        "ranker": Ranker(
            model.sight_encoder,
            model.sight_width,
            model.sound_width,
            units=1,
            norm=None,
            **shared,
        ),
        "solo_ranker": SoloRanker(model.sight_encoder, model.sight_width, **shared),
        "reliability_head": Reliability(False, model.sound_width, **shared),
    }


def start(variables: dict, streams: dict) -> dict:
    """First variables of the modules: their stages begin as the trained encoders' own.

    Args:
      variables: first variables of the whole model.
      streams: the trained streams.

    Returns:
      {"params", "batch_stats"} with the modules' groups.
    """
    names = ("ranker", "solo_ranker", "reliability_head")
    chosen = {
        kind: {name: dict(variables[kind][name]) for name in names}
        for kind in ("params", "batch_stats")
    }
    sources = {
        "params": {s: streams[s]["params"]["encoder"]["stage4"] for s in streams},
        "batch_stats": {s: streams[s]["stats"]["stage4"] for s in streams},
    }
    for kind, groups in chosen.items():
        for group in groups.values():
            for stream in ("sight", "sound"):
                if stream in group:
                    group[stream] = {"stage4": sources[kind][stream]}
    return chosen


def roles(
    records: Records, cuts: Cuts, config: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positive and negative strides of every scene, and counts at each.

    Returns:
      positive [S], negatives [S, strides] bool, counts [S, strides].
    """
    strides = np.asarray(config.selection.strides)
    counts = stride_sums(records.sight_counts, cuts, strides)
    covered = CLIP_FRAMES * strides[None] / records.period[:, None]
    positive, negatives = losses.stride_roles(
        jnp.asarray(counts), jnp.asarray(covered), config.selection.threshold
    )
    return np.asarray(positive), np.asarray(negatives), counts


def _fit(name: str, loss, variables: dict, config: Any, batches, total: int) -> dict:
    """AdamW over batches: loss(params, stats, batch) -> (value, stats)."""
    settings = config.selection
    schedule = optax.cosine_decay_schedule(settings.learning_rate, total)
    optimiser = optax.chain(
        optax.clip_by_global_norm(config.optimiser.clip),
        optax.adamw(schedule, weight_decay=config.optimiser.weight_decay),
    )
    params, stats = variables["params"], variables["batch_stats"]
    state = optimiser.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params, stats, state, batch):
        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(
            params, stats, batch
        )
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), stats, state, value

    params, stats = jax.tree.map(jnp.array, (params, stats))
    began, values = time.monotonic(), []
    for index, batch in enumerate(batches):
        params, stats, state, value = step(params, stats, state, batch)
        values.append(value)
        if (index + 1) % max(1, total // 6) == 0:
            mean = float(np.mean(jax.device_get(values)))
            if not np.isfinite(mean):
                raise FloatingPointError(f"{name}: the loss is not finite")
            spent = time.monotonic() - began
            LOG.info("%s %d/%d  loss %.3f  %.0f s", name, index + 1, total, mean, spent)
            values = []
    return {"params": params, "batch_stats": stats}


def _draw_clip(rng: np.random.Generator, cuts: Cuts, strides, wanted) -> np.ndarray:
    """A clip of each wanted stride (an index), likelier the more real frames it has."""
    drawn = []
    for index in wanted:
        weights = cuts.valid * (cuts.strides == strides[index])
        drawn.append(rng.choice(len(weights), p=weights / weights.sum()))
    return np.array(drawn)


def _pairs(records: Records, cuts: Cuts, config: Any, rng: np.random.Generator):
    """Batches of clips [2 B, ...]: first the positive ones, then a negative of each scene."""
    positive, negatives, _ = roles(records, cuts, config)
    usable = np.flatnonzero(negatives.any(1) & (records.picture_damage == 0))
    batch = min(config.selection.batch, len(usable))
    for _ in range(config.selection.epochs):
        order = rng.permutation(usable)
        for at in range(0, len(order) - batch + 1, batch):
            chosen = order[at : at + batch]
            bad = [rng.choice(np.flatnonzero(negatives[i])) for i in chosen]
            strides = config.selection.strides
            first = _draw_clip(rng, cuts, strides, positive[chosen])
            second = _draw_clip(rng, cuts, strides, bad)
            scene = np.concatenate([chosen, chosen])
            clip = np.concatenate([first, second])
            yield {
                "sight": records.sight_stage3[scene, clip].astype(np.float32),
                "sound": records.sound_stage3[scene, clip].astype(np.float32),
            }


def _pair_loss(scores: jax.Array, margin: float) -> jax.Array:
    """Eq. 8 over a batch of positives followed by their negatives."""
    half = scores.shape[0] // 2
    mask = jnp.ones(half, bool)
    return jnp.mean(losses.margin_ranking(scores[half:], scores[:half], mask, margin))


def train_rankers(
    config: Any, variables: dict, records: Records, cuts: Cuts, seed: int
) -> dict:
    """Trains both rankers.

    Args:
      config: of the run.
      variables: of the modules, as `start` gives them.
      records: of the training scenes.
      cuts: theirs.
      seed: of the order and the pairs.

    Returns:
      Variables with the rankers trained.
    """
    settings, built = config.selection, modules(config)
    _, negatives, _ = roles(records, cuts, config)
    usable = int((negatives.any(1) & (records.picture_damage == 0)).sum())
    total = settings.epochs * (usable // min(settings.batch, usable))
    LOG.info(
        "rankers: %d of %d scenes have a negative stride", usable, len(records.count)
    )

    def solo(params, stats, batch):
        scores, updates = built["solo_ranker"].apply(
            {"params": params, "batch_stats": stats},
            batch["sight"],
            train=True,
            mutable=["batch_stats"],
        )
        return _pair_loss(scores, settings.margin), updates["batch_stats"]

    def both(params, stats, batch):
        def call(module):
            sight = module.sight_vector(batch["sight"], train=True)
            sound = module.sound_vector(batch["sound"], train=True)
            return module(sight, sound)[:, 0]

        scores, updates = built["ranker"].apply(
            {"params": params, "batch_stats": stats},
            method=call,
            mutable=["batch_stats"],
        )
        return _pair_loss(scores, settings.margin), updates["batch_stats"]

    result = {kind: dict(groups) for kind, groups in variables.items()}
    for name, loss in (("solo_ranker", solo), ("ranker", both)):
        batches = _pairs(records, cuts, config, np.random.default_rng(seed))
        own = {kind: variables[kind][name] for kind in variables}
        trained = _fit(name, loss, own, config, batches, total)
        for kind, tree in trained.items():
            result[kind][name] = tree
    return result


def train_reliability(
    config: Any, variables: dict, records: Records, cuts: Cuts, seed: int
) -> dict:
    """Trains the reliability module on the positive strides' clips.

    Args:
      config: of the run.
      variables: of the modules.
      records: of the training scenes, with damaged pictures and sounds among them.
      cuts: theirs.
      seed: of the order and the clips.

    Returns:
      Variables with the module trained.
    """
    settings, module = config.selection, modules(config)["reliability_head"]
    positive, _, counts = roles(records, cuts, config)
    sight = np.take_along_axis(counts, positive[:, None], axis=1)[:, 0]
    sound = sound_counts(records.segment_counts, cuts)
    usable = np.flatnonzero(records.count > 0)
    batch = min(settings.batch, len(usable))

    def batches():
        rng = np.random.default_rng(seed)
        for _ in range(settings.epochs):
            order = rng.permutation(usable)
            for at in range(0, len(order) - batch + 1, batch):
                scene = order[at : at + batch]
                clip = _draw_clip(rng, cuts, settings.strides, positive[scene])
                yield {
                    "stage3": records.sound_stage3[scene, clip].astype(np.float32),
                    "features": records.sight_features[scene, clip],
                    "sight": sight[scene].astype(np.float32),
                    "sound": sound[scene].astype(np.float32),
                    "count": records.count[scene],
                }

    def loss(params, stats, batch):
        def call(module):
            vector = module.sound_vector(batch["stage3"], train=True)
            return module(vector, batch["features"], train=True)

        gamma, updates = module.apply(
            {"params": params, "batch_stats": stats},
            method=call,
            mutable=["batch_stats"],
        )
        fused = fuse(batch["sight"], batch["sound"], gamma)
        mask = jnp.ones(fused.shape, bool)
        error = losses.relative_error(fused, batch["count"], mask)  # Eq. 11
        return jnp.mean(error), updates["batch_stats"]

    name = "reliability_head"
    own = {kind: variables[kind][name] for kind in variables}
    total = settings.epochs * (len(usable) // batch)
    trained = _fit(name, loss, own, config, batches(), total)
    return {
        kind: dict(groups) | {name: trained[kind]} for kind, groups in variables.items()
    }
