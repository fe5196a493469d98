"""Every way of counting a set of videos, side by side: the rows of paper 1's tables."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from rac_jax.models.sight_sound import video_counts
from rac_jax.models.sight_sound.network import fuse
from rac_jax.models.sight_sound.video_counts import VideoCounts
from rac_jax.train import metrics

NO_CHALLENGE = "no challenge"
ANY_CHALLENGE = "any challenge"


@dataclasses.dataclass(frozen=True)
class VideoFacts:
    """What counting needs to know of a video before it is read.

    Attributes:
      video_id: unique in its set.
      frames: its length.
      columns: of its spectrogram, 0 without sound.
      count: true repetitions.
      period: frames per repetition.
      label: what is repeated.
      challenges: what makes it hard.
    """

    video_id: str
    frames: int
    columns: int
    count: float
    period: float
    label: str
    challenges: tuple[str, ...]


def describe(source: Any) -> list[VideoFacts]:
    """Facts of all videos of a source: from its index where it has one, else by reading them."""
    fields = [field.name for field in dataclasses.fields(VideoFacts)]
    known = getattr(source, "index", None)
    if isinstance(known, list):
        return [
            VideoFacts(**{name: _plain(entry[name]) for name in fields})
            for entry in known
        ]
    facts = []
    for index in range(len(source)):
        video = source[index]
        columns = 0 if video.columns is None else video.columns.shape[1]
        facts.append(
            VideoFacts(
                video_id=video.video_id,
                frames=len(video.frames),
                columns=columns,
                count=video.count,
                period=video.period,
                label=video.label,
                challenges=video.challenges,
            )
        )
    return facts


def _plain(value: Any) -> Any:
    if value is None:  # JSON has no infinity
        return float("inf")
    return tuple(value) if isinstance(value, list) else value


def error_of(counts: np.ndarray, facts: Sequence[VideoFacts]) -> dict[str, float]:
    """MAE and OBO of counts [N]; "error" is the MAE, which chooses checkpoints."""
    true = jnp.asarray([video.count for video in facts], jnp.float32)
    counts = jnp.asarray(counts, jnp.float32)
    everything = jnp.ones(true.shape, bool)
    mae = float(metrics.mae(counts, true, everything).value())
    obo = float(metrics.obo(counts, jnp.round(true), everything).value())
    return {"error": mae, "mae": mae, "obo": obo}


@dataclasses.dataclass(frozen=True)
class ClipCounts:
    """What the clips of N videos at S strides say.

    Attributes:
      by_stride: outputs of `VideoCounts.clips`, each [N, S].
      chosen: [N] index of the stride that counts.
      solo: [N] index of the stride that the sight-only ranker chooses.
    """

    by_stride: dict[str, np.ndarray]
    chosen: np.ndarray
    solo: np.ndarray


def count_clips(
    counter: VideoCounts,
    variables: dict,
    source: Any,
    facts: Sequence[VideoFacts],
    strides: Sequence[int],
    with_solo: bool,
) -> ClipCounts:
    """Counts every video by sight at every stride, and chooses strides.

    Args:
      counter: of the model.
      variables: trained.
      source: the videos.
      facts: of the videos.
      strides: rising, to choose from.
      with_solo: whether the model has a sight-only ranker.

    Returns:
      The counts. The sight-only ranker decides where there is no sound.
    """
    number = len(facts)
    rows = video_counts.clip_rows(
        [video.frames for video in facts], [tuple(strides)] * number
    )
    found = counter.clips(variables, source, rows, everything=True)
    by_stride = {}
    for name, values in found.items():
        whole = name in ("count", "joined")  # of a video: the sum of its clips
        reduce = video_counts.sums if whole else video_counts.means
        table = reduce(rows, values, number)
        by_stride[name] = np.stack([table[stride] for stride in strides], axis=1)
    both = by_stride["ranker"].argmax(1)
    solo = by_stride["solo_ranker"].argmax(1) if with_solo else both
    audible = np.array([video.columns > 0 for video in facts])
    return ClipCounts(by_stride, np.where(audible, both, solo), solo)


def count_ways(
    counter: VideoCounts,
    variables: dict,
    source: Any,
    facts: Sequence[VideoFacts],
    strides: Sequence[int],
    with_solo: bool,
) -> dict[str, np.ndarray]:
    """Counts every video in every way; arguments of `count_clips`.

    Returns:
      Way to counts [N]: "sight" (stride by the sight-only ranker, by the other one in a model
      without), "sound", "sight_ranker", "average", "fused", "stride_1" and so on; and
      "stride" chosen by the ranker, "gamma" the weight of the sound. Without sound the
      sight-only ranker decides and sight counts alone.
    """
    clips = count_clips(counter, variables, source, facts, strides, with_solo)
    columns = [video.columns for video in facts]
    segments = video_counts.segment_rows(columns)
    heard = counter.segments(variables, source, segments)
    sound = video_counts.sound_counts(segments, heard["count"], columns)
    sight, gamma = clips.by_stride["count"], clips.by_stride["gamma"]
    every = np.arange(len(facts))
    chosen = sight[every, clips.chosen]
    audible = np.array(columns) > 0
    weight = np.where(audible, gamma[every, clips.chosen], 0.0)
    if "joined" in clips.by_stride:
        fused = clips.by_stride["joined"][every, clips.chosen]
    else:
        fused = np.asarray(fuse(chosen, sound, weight))
    result = {
        "sight": sight[every, clips.solo],
        "sound": sound,
        "sight_ranker": chosen,
        "average": np.where(audible, (chosen + sound) / 2, chosen),
        "fused": fused,
    }
    for index, stride in enumerate(strides):
        result[f"stride_{stride}"] = sight[:, index]
    return result | {"stride": np.array(strides)[clips.chosen], "gamma": weight}


def report(
    counts: Mapping[str, np.ndarray], facts: Sequence[VideoFacts]
) -> dict[str, Any]:
    """The scores of every way, over all videos and by challenge.

    Args:
      counts: as `count_ways` gives them.
      facts: of the same videos.

    Returns:
      {"ways": {way: {"n", "mae", "obo"}}, "challenges": {name: the same of ways}, "videos":
      [{"video_id", "count", ...}]}; n is the number of videos with repetitions. Where there
      are challenges, `NO_CHALLENGE` and `ANY_CHALLENGE` are among their names.
    """
    ways = [name for name in counts if name not in ("stride", "gamma")]
    names = sorted({name for video in facts for name in video.challenges})

    def scores(mask):
        part = [video for video, here in zip(facts, mask, strict=True) if here]
        return {way: _score(counts[way][mask], part) for way in ways}

    everything = np.ones(len(facts), bool)
    hard = np.array([len(video.challenges) > 0 for video in facts])
    challenges = {}
    if hard.any():
        challenges = {NO_CHALLENGE: scores(~hard), ANY_CHALLENGE: scores(hard)} | {
            name: scores(np.array([name in video.challenges for video in facts]))
            for name in names
        }
    videos = [
        {"video_id": video.video_id, "count": video.count}
        | {name: round(float(values[i]), 4) for name, values in counts.items()}
        for i, video in enumerate(facts)
    ]
    return {"ways": scores(everything), "challenges": challenges, "videos": videos}


def _score(counts: np.ndarray, facts: Sequence[VideoFacts]) -> dict[str, Any]:
    number = sum(video.count > 0 for video in facts)
    if not number:
        return {"n": 0, "mae": None, "obo": None}
    found = error_of(counts, facts)
    return {"n": number, "mae": round(found["mae"], 4), "obo": round(found["obo"], 4)}
