"""Whole videos counted during training, by the family's own estimator and nothing else.

Validation, the counts that later stages learn from and the final measurement are all made of
`Counter.count` of the model in training, so what is measured is what `rac count` will say.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from rac_jax.counting.counter import Counter
from rac_jax.counting.result import CountResult
from rac_jax.data.labelled import LabelledVideo
from rac_jax.models.sight_sound import epoch_records
from rac_jax.models.sight_sound.strides import positive_stride
from rac_jax.train import report
from rac_jax.train.recipe import Variables
from rac_jax.train.run import Run, count_video


def counted_strides(run: Run) -> tuple[int, ...]:
    """The strides that training asks for: 1 to S_K, and all that counting chooses from."""
    config = run.config
    largest = max(*config.stride.strides, config.counting.max_stride)
    return tuple(range(1, largest + 1))


def validation_scores(run: Run, counts: np.ndarray, split: str) -> dict[str, float]:
    """Scores of counts [N], see `report.validation_scores`.

    Models that count as the release does are chosen by rounded counts, as it rounds them.
    """
    scores = report.validation_scores(counts, run.videos(split))
    if run.config.counting.protocol == "released":
        scores["error"] = scores["mae_rounded"]
    return scores


def positive_strides(run: Run, split: str) -> list[int]:
    """S* of every video of a split."""
    settings = run.config.stride
    return [
        positive_stride(video.period, max(settings.strides), settings.positive)
        for video in run.videos(split)
    ]


def _measure_all(
    run: Run,
    variables: Variables,
    split: str,
    measure: Callable[[Counter, LabelledVideo, int], Sequence[float]],
    indices: Sequence[int] | None = None,
) -> np.ndarray:
    """Numbers of a split's videos, float64 [N, K], see `Run.measure`."""
    counter = run.counter(variables)
    return run.measure(
        split, lambda video, index: measure(counter, video, index), indices
    )


def sight_counts(
    run: Run,
    variables: Variables,
    split: str,
    indices: Sequence[int] | None = None,
) -> np.ndarray:
    """Counts by sight alone, each video at its own stride S*: float64 [N], of all or some."""
    strides = positive_strides(run, split)

    def measure(counter: Counter, video: LabelledVideo, index: int) -> list[float]:
        return [count_video(counter, video, stride=strides[index], sound=False).count]

    return _measure_all(run, variables, split, measure, indices)[:, 0]


def sight_counts_by_stride(run: Run, variables: Variables, split: str) -> np.ndarray:
    """Counts by sight alone at every stride: float64 [N, S], see `counted_strides`."""
    strides = counted_strides(run)

    def measure(counter: Counter, video: LabelledVideo, index: int) -> list[float]:
        del index
        return _each_stride(run, counter, video, strides)

    return _measure_all(run, variables, split, measure)


def _each_stride(
    run: Run, counter: Counter, video: LabelledVideo, strides: Sequence[int]
) -> list[float]:
    """Counts of a video by sight at given strides."""
    if run.config.counting.protocol == "paper":
        # All of them in one reading.
        options = {"sound": False, "max_stride": max(strides)}
        known = count_video(counter, video, **options).details["stride_counts"]
        return [known[str(stride)] for stride in strides]
    return [
        count_video(counter, video, stride=stride, sound=False).count
        for stride in strides
    ]


def solo_counts(run: Run, variables: Variables, split: str) -> np.ndarray:
    """Counts by sight at the strides of the sight-only ranker: float64 [N].

    By the paper's procedure also where the model counts as the release does, which has none.
    """

    def measure(counter: Counter, video: LabelledVideo, index: int) -> list[float]:
        del index
        return [count_video(counter, video, protocol="paper", sound=False).count]

    return _measure_all(run, variables, split, measure)[:, 0]


def sound_counts(
    run: Run,
    variables: Variables,
    split: str,
    indices: Sequence[int] | None = None,
) -> np.ndarray:
    """Counts by sound alone, of all or some: float64 [N], 0 for a video without sound."""

    def measure(counter: Counter, video: LabelledVideo, index: int) -> list[float]:
        del index
        if video.waveform is None or not len(video.waveform):
            return [0.0]
        return [count_video(counter, video, sight=False).count]

    return _measure_all(run, variables, split, measure, indices)[:, 0]


@dataclasses.dataclass(frozen=True)
class AudiovisualCounts:
    """What a model says of N videos by sight and sound.

    Attributes:
      by_stride: [N, S] counts by sight of the whole video, see `counted_strides`; nan at those
        that nobody asked for.
      stride: int [N], chosen by the ranker in use: the one with sound, or the sight-only one
        where there is no sound.
      solo_stride: int [N], chosen by the sight-only ranker; `stride` in a model without.
      sound: [N] counts by sound, 0 without.
      audible: bool [N], whether there is any sound.
      reliability: [N] weight of the sound, 0 without.
      fused: [N] the model's count.
    """

    by_stride: np.ndarray
    stride: np.ndarray
    solo_stride: np.ndarray
    sound: np.ndarray
    audible: np.ndarray
    reliability: np.ndarray
    fused: np.ndarray

    def at(self, strides: np.ndarray) -> np.ndarray:
        """[N] counts by sight at one stride of each video."""
        return self.by_stride[np.arange(len(strides)), strides - 1]


def describe_result(result: CountResult, strides: Sequence[int]) -> list[float]:
    """The numbers of a result, in the order of `AudiovisualCounts`."""
    details = result.details
    known = details["stride_counts"]
    by_stride = [known.get(str(stride), math.nan) for stride in strides]
    solo = details["solo_stride_scores"]
    solo_stride = int(max(solo, key=solo.get)) if solo else details["stride"]
    sound, reliability = result.stream("sound"), details["reliability"]
    return [
        *by_stride,
        details["stride"],
        solo_stride,
        0.0 if sound is None else sound.count,
        sound is not None,
        0.0 if reliability is None else reliability,
        result.count,
    ]


def audiovisual_counts(
    run: Run, variables: Variables, split: str, every_stride: bool = False
) -> AudiovisualCounts:
    """Counts every video of a split as `rac count` does.

    Args:
      run: the run.
      variables: of the model in training.
      split: of the config's data.
      every_stride: count also at the strides that were not counted for the choice.

    Returns:
      The counts.
    """
    strides = counted_strides(run)

    def measure(counter: Counter, video: LabelledVideo, index: int) -> list[float]:
        del index
        row = describe_result(count_video(counter, video), strides)
        left = [one for one in strides if math.isnan(row[one - 1])]
        if every_stride and left:
            counts = _each_stride(run, counter, video, left)
            for one, count in zip(left, counts, strict=True):
                row[one - 1] = count
        return row

    rows = _measure_all(run, variables, split, measure)
    stride, solo_stride, sound, audible, reliability, fused = rows[:, len(strides) :].T
    return AudiovisualCounts(
        by_stride=rows[:, : len(strides)],
        stride=stride.astype(int),
        solo_stride=solo_stride.astype(int),
        sound=sound,
        audible=audible > 0,
        reliability=reliability,
        fused=fused,
    )


def estimators(counts: AudiovisualCounts) -> dict[str, np.ndarray]:
    """The rows of paper 1's tables.

    Args:
      counts: of N videos.

    Returns:
      Estimator to counts [N]: "sight" (stride by the sight-only ranker, by the other one in a
      model without), "sound", "sight_ranker" (stride by the ranker in use), "average", "fused",
      "stride_1" and so on. Without sound the sight-only ranker decides and sight counts alone.
    """
    chosen = counts.at(counts.stride)
    found = {
        "sight": counts.at(counts.solo_stride),
        "sound": counts.sound,
        "sight_ranker": chosen,
        "average": np.where(counts.audible, (chosen + counts.sound) / 2, chosen),
        "fused": counts.fused,
    }
    for place, column in enumerate(counts.by_stride.T):
        found[f"stride_{place + 1}"] = column
    return found


def validate_stream(
    run: Run,
    name: str,
    epoch: int,
    count: Callable[[str, Sequence[int] | None], np.ndarray],
) -> dict[str, float]:
    """Validates sight or sound, and records what it says of the training videos.

    Predictions for them are what the reliability stage learns from: of the last epoch, all, and
    of every epoch whose validation error is under `record_under`, a share of `record_share` of
    them, others in each epoch.

    Args:
      run: the run.
      name: of the stage.
      epoch: counted from 1.
      count: (split, indices of videos or None for all) to counts [N].

    Returns:
      {"error", "mae", "obo"}.
    """
    settings = run.config[name]
    judged = run.own_split(name, "val")
    scores = validation_scores(run, count(judged, None), judged)
    predicted = None
    if epoch == settings.epochs or scores["error"] < settings.record_under:
        number = len(run.videos("train"))
        indices = list(range(number))
        if epoch < settings.epochs:
            share = max(1, round(settings.record_share * number))
            rng = np.random.default_rng([run.config.seed, epoch])
            indices = sorted(rng.permutation(number)[:share].tolist())
        names = [run.videos("train")[index].video_id for index in indices]
        counts = count("train", indices)
        predicted = dict(zip(names, map(float, counts), strict=True))
    epoch_records.write_epoch(run.workdir / name, epoch, scores["error"], predicted)
    return scores


def by_video(run: Run, split: str, values: np.ndarray) -> dict[str, float]:
    """Numbers [N] by the videos' names."""
    names = [video.video_id for video in run.videos(split)]
    return dict(zip(names, map(float, values), strict=True))
