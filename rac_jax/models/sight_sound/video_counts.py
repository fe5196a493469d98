"""Trained streams over whole videos: counts by clip, stride and segment, scores, reliability.

Videos are cut as the counter cuts them (paper 1, appendix A). Clips of all videos run in batches
of one size, split over the devices.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sight_sound import clips as clip_index
from rac_jax.models.sight_sound import samplers as examples
from rac_jax.models.sight_sound.clips import CLIP_FRAMES, SEGMENT_COLUMNS
from rac_jax.models.sight_sound.network import SightSound
from rac_jax.models.sight_sound.reliability_task import FUSION_HEAD, fusion_head
from rac_jax.models.sight_sound.scene_batches import normalise
from rac_jax.ops import compiling
from rac_jax.train import mesh as meshes

SQUEEZES = (1, 2, 4)  # columns of sound per column of a segment, in the order tried
LEAST_REPETITIONS = 2.0  # per segment; below, more sound is squeezed into one


@dataclasses.dataclass(frozen=True)
class Row:
    """One clip, or one segment of sound.

    Attributes:
      video: index of its video.
      group: stride of a clip, squeeze of a segment.
      positions: of frames or of columns, see `clips`.
      weight: real frames.
    """

    video: int
    group: int
    positions: np.ndarray
    weight: int


def clip_rows(lengths: Sequence[int], strides: Iterable[Sequence[int]]) -> list[Row]:
    """The clips that cover videos at given strides.

    Args:
      lengths: frames of each video.
      strides: of each video, those wanted.

    Returns:
      Rows, video by video.
    """
    return [
        Row(video, stride, tile, int(np.sum(tile >= 0)))
        for video, (length, wanted) in enumerate(zip(lengths, strides, strict=True))
        for stride in wanted
        for tile in clip_index.tile_clips(length, stride)
    ]


def segment_rows(columns: Sequence[int]) -> list[Row]:
    """The segments of sound that cover videos at every squeeze.

    Args:
      columns: of each video's spectrogram, 0 without sound.

    Returns:
      Rows, video by video.
    """
    rows = []
    for video, available in enumerate(columns):
        for squeeze in SQUEEZES:
            step = SEGMENT_COLUMNS * squeeze
            for first in range(0, available, step):
                span = clip_index.span_columns(first, first + step, available)
                rows.append(Row(video, squeeze, span, SEGMENT_COLUMNS))
    return rows


class VideoCounts:
    """Runs a model over the videos of a source."""

    def __init__(self, model: SightSound, mesh: Any, batch: int):
        """Prepares the jitted functions; nothing is compiled before it is used.

        Args:
          model: the whole system.
          mesh: devices.
          batch: clips at a time; raised to a multiple of the devices.
        """
        self._mesh, self._batch = mesh, -(-batch // mesh.size) * mesh.size
        replicated = jax.sharding.NamedSharding(mesh, meshes.REPLICATED)
        compiled = functools.partial(compiling.jit, out_shardings=replicated)

        def normalised(batch):
            return normalise(batch["clip"]) * batch["real"][..., None, None, None]

        @compiled
        def sight(variables, batch):
            output = model.apply(variables, normalised(batch), method="sight")
            return {"count": jnp.maximum(output.count, 0.0)}

        @compiled
        def sound(variables, batch):
            output = model.apply(variables, batch["spectrogram"], method="sound")
            return {"count": jnp.maximum(output.count, 0.0)}

        @compiled
        def everything(variables, batch):
            output = model.apply(variables, normalised(batch), batch["spectrogram"])
            result = {
                "count": jnp.maximum(output.sight.count, 0.0),
                "solo_ranker": output.sight.solo_score,
                "ranker": output.score,
                "gamma": output.reliability,
            }
            if FUSION_HEAD in variables["params"]:
                both = [output.sight.features, output.sound.features]
                head = {"params": variables["params"][FUSION_HEAD]}
                joined = fusion_head().apply(head, jnp.concatenate(both, axis=-1))
                result["joined"] = jnp.maximum(joined.count, 0.0)
            return result

        self._functions = {"sight": sight, "sound": sound, "everything": everything}

    def clips(
        self,
        variables: dict,
        source: Any,
        rows: Sequence[Row],
        everything: bool = False,
    ) -> dict[str, np.ndarray]:
        """Runs clips.

        Args:
          variables: of the model, host arrays.
          source: of the videos.
          rows: of `clip_rows`.
          everything: also score strides and weigh the sound under each clip.

        Returns:
          "count" [len(rows)], and with `everything` "solo_ranker", "ranker", "gamma", and
          "joined" if the variables hold the head of Table 9's alternative.
        """

        def load(video: LabelledVideo, row: Row) -> dict[str, np.ndarray]:
            example = {
                "clip": examples.cut_clip(video, row.positions),
                "real": row.positions >= 0,
            }
            if everything:
                start = int(row.positions[0])
                end = start + CLIP_FRAMES * row.group
                example["spectrogram"] = examples.sound_under(video, start, end)
            return example

        function = self._functions["everything" if everything else "sight"]
        return self._run(function, variables, source, rows, load)

    def segments(
        self, variables: dict, source: Any, rows: Sequence[Row]
    ) -> dict[str, np.ndarray]:
        """Runs segments of sound, rows of `segment_rows`: "count" [len(rows)]."""

        def load(video: LabelledVideo, row: Row) -> dict[str, np.ndarray]:
            columns = examples.gather_columns(video.columns, row.positions)
            return {"spectrogram": columns}

        return self._run(self._functions["sound"], variables, source, rows, load)

    def _run(
        self,
        function: Callable,
        variables: dict,
        source: Any,
        rows: Sequence[Row],
        load: Callable,
    ) -> dict[str, np.ndarray]:
        local = meshes.local_rows(self._mesh, self._batch)
        own = local.stop - local.start
        variables = meshes.put(variables, meshes.state_shardings(variables, self._mesh))
        held, video, results = None, None, []
        for first in range(0, len(rows), self._batch):
            here = rows[first + local.start : first + local.stop]
            # A process without rows of its own in the last batch repeats some row.
            loaded = []
            for row in here or rows[:1]:
                if row.video != held:
                    held, video = row.video, source[row.video]
                loaded.append(load(video, row))
            loaded += [loaded[-1]] * (own - len(loaded))
            batch = {
                name: np.stack([one[name] for one in loaded]) for name in loaded[0]
            }
            results.append(function(variables, meshes.put_batch(batch, self._mesh)))
        results = jax.device_get(results)
        if not results:
            return {"count": np.zeros(0)}
        return {
            name: np.concatenate([one[name] for one in results])[: len(rows)]
            for name in results[0]
        }


def sums(rows: Sequence[Row], values: np.ndarray, videos: int) -> dict[int, np.ndarray]:
    """Counts of whole videos by group: sums over a video's rows; not a number without rows."""
    groups = np.array([row.group for row in rows])
    index = np.array([row.video for row in rows], int)
    result = {}
    for group in np.unique(groups):
        here = groups == group
        total = np.bincount(index[here], values[here], videos)
        seen = np.bincount(index[here], minlength=videos) > 0
        result[int(group)] = np.where(seen, total, np.nan)
    return result


def means(
    rows: Sequence[Row], values: np.ndarray, videos: int
) -> dict[int, np.ndarray]:
    """Means over a video's rows by group, weighted by their real frames."""
    weights = np.array([row.weight for row in rows], float)
    totals, by = sums(rows, values * weights, videos), sums(rows, weights, videos)
    return {group: totals[group] / by[group] for group in totals}


def sound_counts(
    rows: Sequence[Row], counts: np.ndarray, columns: Sequence[int]
) -> np.ndarray:
    """Counts of whole videos by sound, squeezed until segments hold two repetitions.

    Args:
      rows: of `segment_rows`.
      counts: of the rows.
      columns: of each video's spectrogram.

    Returns:
      [N]; 0 for a video without sound.
    """
    columns = np.asarray(columns)
    totals = sums(rows, counts, len(columns))
    result = np.zeros(len(columns))
    undecided = columns > 0
    for squeeze, total in totals.items():
        result = np.where(undecided, total, result)
        span = SEGMENT_COLUMNS * squeeze
        enough = total * span / np.maximum(columns, 1) >= LEAST_REPETITIONS
        undecided &= ~enough & (columns > span)
    return result
