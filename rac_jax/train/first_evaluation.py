"""Measures the first weights on fresh scenes: every way of counting, side by side."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.models.sight_sound import fuse
from rac_jax.train import metrics, selection
from rac_jax.train.scene_records import Cuts, Records, sound_counts


def stride_scores(
    config: Any, variables: dict, records: Records, cuts: Cuts
) -> dict[str, np.ndarray]:
    """Mean scores of every scene's strides, and the weight of the sound for every clip.

    Args:
      config: of the run.
      variables: of the modules.
      records: of the scenes.
      cuts: theirs.

    Returns:
      "ranker" and "solo_ranker" [S, strides], "gamma" [S, N].
    """
    built = selection.modules(config)

    def of(name):
        return {kind: variables[kind][name] for kind in variables}

    @jax.jit
    def one(sight, sound, features):
        def rank(module):
            return module(
                module.sight_vector(sight, train=False),
                module.sound_vector(sound, train=False),
            )[:, 0]

        def weigh(module):
            vector = module.sound_vector(sound, train=False)
            return module(vector, features, train=False)

        return (
            built["ranker"].apply(of("ranker"), method=rank),
            built["solo_ranker"].apply(of("solo_ranker"), sight, train=False),
            built["reliability_head"].apply(of("reliability_head"), method=weigh),
        )

    rows = [
        one(
            records.sight_stage3[i].astype(np.float32),
            records.sound_stage3[i].astype(np.float32),
            records.sight_features[i],
        )
        for i in range(len(records.count))
    ]
    ranker, solo, gamma = (np.stack(jax.device_get(part)) for part in zip(*rows))
    return {
        "ranker": _stride_means(ranker, cuts, config),
        "solo_ranker": _stride_means(solo, cuts, config),
        "gamma": gamma,
    }


def _stride_means(values: np.ndarray, cuts: Cuts, config: Any) -> np.ndarray:
    """Means over the clips of each stride, by their real frames. [S, strides]"""
    columns = []
    for stride in config.selection.strides:
        weights = cuts.valid * (cuts.strides == stride)
        columns.append(values @ (weights / weights.sum()))
    return np.stack(columns, axis=1)


def predictions(
    config: Any, variables: dict, records: Records, cuts: Cuts, constant: float
) -> dict[str, np.ndarray]:
    """Counts of every scene by every way of counting, [S] each.

    Args:
      config: of the run.
      variables: of the modules.
      records: of the scenes.
      cuts: theirs.
      constant: what the constant baseline answers.

    Returns:
      Name to counts.
    """
    scored = stride_scores(config, variables, records, cuts)
    positive, _, by_stride = selection.roles(records, cuts, config)
    gamma = _stride_means(scored["gamma"], cuts, config)
    rows = np.arange(len(positive))
    chosen = scored["ranker"].argmax(1)
    solo = scored["solo_ranker"].argmax(1)
    sight, sound = by_stride[rows, chosen], sound_counts(records.segment_counts, cuts)
    result = {
        "sight, true stride": by_stride[rows, positive],
        "sight, ranker": sight,
        "sight, sight-only ranker": by_stride[rows, solo],
        "sound": sound,
        "fused": np.asarray(fuse(sight, sound, gamma[rows, chosen])),
        "plain average": (sight + sound) / 2,
        "constant": np.full(len(positive), constant),
    }
    for index, stride in enumerate(config.selection.strides):
        result[f"sight, stride {stride}"] = by_stride[:, index]
    return result


def _rounded(mean: metrics.Mean, digits: int) -> float | None:
    """A mean for JSON, which knows no not-a-number."""
    return round(float(mean.value()), digits) if mean.weight > 0 else None


def table(counts: dict[str, np.ndarray], records: Records) -> dict:
    """MAE and OBO of every way of counting, over all scenes and by damage.

    Args:
      counts: as `predictions` gives them.
      records: of the same scenes.

    Returns:
      Condition to {"scenes", ways: {"mae", "obo"}}; "no repetition" to mean counts.
    """
    true = np.round(records.count)
    seen, heard = records.picture_damage == 0, records.sound_damage == 0
    repeats = true > 0
    conditions = {
        "all": repeats,
        "undamaged": repeats & seen & heard,
        "picture damaged": repeats & ~seen & heard,
        "sound damaged": repeats & seen & ~heard,
    }
    result = {}
    for condition, mask in conditions.items():
        rows: dict[str, Any] = {"scenes": int(mask.sum())}
        for name, predicted in counts.items():
            arrays = [jnp.asarray(x) for x in (predicted, true, mask)]
            rows[name] = {
                "mae": _rounded(metrics.mae(*arrays), 3),
                "obo": _rounded(metrics.obo(*arrays), 3),
            }
        result[condition] = rows
    still = {"scenes": int((~repeats).sum())}
    for name, predicted in counts.items():
        mean = metrics.mean_count(jnp.asarray(predicted), jnp.asarray(~repeats))
        still[name] = _rounded(mean, 2)
    result["no repetition, mean count"] = still
    return result


def text(rows: dict) -> str:
    """The table in lines, MAE / OBO."""
    names = [name for name in rows["all"] if name != "scenes"]
    conditions = [name for name in rows if not name.startswith("no repetition")]
    lines = ["".join([f"{'':26}", *(f"{c:>18}" for c in conditions), f"{'still':>10}"])]
    still = rows["no repetition, mean count"]
    for name in names:
        cells = [f"{rows[c][name]['mae']} / {rows[c][name]['obo']}" for c in conditions]
        lines.append(
            f"{name:26}" + "".join(f"{c:>18}" for c in cells) + f"{still[name]!s:>10}"
        )
    return "\n".join(lines)
