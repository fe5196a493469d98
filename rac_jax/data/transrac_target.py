"""The ground truth of TransRAC's evaluator, which is not the number of labelled cycles.

Its code scores against the sum of the density that it makes for training: 64 bins of a whole video,
where a cycle that falls on the bins of another takes them over instead of being added. Published
numbers of TransRAC and of what grew from it (IVAC-P2L, the retrained RepNet, most likely LMRL) are
so; a counter that is always right does not get 0 under it.
"""

from collections.abc import Sequence

import numpy as np
import scipy.special

from rac_jax.data.annotations import Annotation
from rac_jax.data.repcount_a import FRAMES

BINS = 64
ADDED = 0.1  # to the label that errors are divided by


def transrac_target(cycles: np.ndarray, frames: float) -> np.ndarray:
    """The target of one video.

    Args:
      cycles: [K, 2] starts and ends in frames, in the order of the file.
      frames: of the video.

    Returns:
      float64 [64].
    """
    target = np.zeros(BINS)
    scaled = np.ceil(np.asarray(cycles, np.float64) * (BINS / frames))
    edges = np.sort(np.minimum(scaled, BINS - 1).reshape(-1)).astype(int)
    for first, last in edges.reshape(-1, 2):
        if first == last:
            target[first] = 1.0
            continue
        middle, sigma = (first + last) / 2, (last - first) / 6
        place = np.arange(first, last + 1)
        upper, lower = ((place + d - middle) / sigma for d in (0.5, -0.5))
        target[place] = scipy.special.ndtr(upper) - scipy.special.ndtr(lower)
    return target


def transrac_scores(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """MAE and OBO as TransRAC's code takes them.

    Args:
      predicted: [N] counts, not rounded.
      targets: [N] sums of targets.

    Returns:
      {"n", "mae", "obo"}: of whole counts, halves to the even one; the error is divided by the
      label and a tenth.
    """
    counts, labels = np.rint(predicted), np.rint(targets)
    error = np.abs(counts - labels)
    return {
        "n": len(counts),
        "mae": float(np.mean(error / (labels + ADDED))),
        "obo": float(np.mean(error <= 1)),
    }


def compared(
    records: Sequence[Annotation], predicted: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Counts under TransRAC's evaluator, beside what the labels themselves get under it.

    Args:
      records: with cycles, fps and the group `FRAMES`; those that count 0 are left out.
      predicted: a count of each.

    Returns:
      {"counted", "perfect counter"}: as `transrac_scores` gives them.

    Raises:
      ValueError: naming a record that lacks what the target is made of; if all count 0.
    """
    counts, labels, targets = [], [], []
    for record, count in zip(records, predicted, strict=True):
        if not record.count:
            continue
        frames = record.groups.get(FRAMES, "")
        if record.cycles_s is None or not record.fps or not frames:
            raise ValueError(
                f"{record.video_id}: TransRAC's scorer needs cycles, fps and {FRAMES}"
            )
        counts.append(count)
        labels.append(record.count)
        target = transrac_target(record.cycles_s * record.fps, float(frames))
        targets.append(target.sum())
    if not counts:
        raise ValueError("no labelled part has a repetition")
    return {
        "counted": transrac_scores(np.array(counts), np.array(targets)),
        "perfect counter": transrac_scores(np.array(labels), np.array(targets)),
    }
