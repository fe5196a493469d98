"""How well frames are told to belong to a cycle or not: the metrics of temporal segmentation.

Frame accuracy, edit score and F1 as Lea et al. (CVPR 2017) and MS-TCN have them, with background
as a class of its own, which is how paper 2's numbers come out. Always to be read beside what
"everything is foreground" gets: on RepCount-A that gets the paper's numbers.
"""

import itertools
from collections.abc import Sequence

import numpy as np

OVERLAPS = (0.10, 0.25, 0.50)
LENGTH = 4 + 3 * len(OVERLAPS)

Segment = tuple[bool, int, int]  # class, first frame, end


def segments(labels: np.ndarray) -> list[Segment]:
    """Runs of frames of one class, of bool [T]."""
    edges = np.flatnonzero(np.diff(labels.astype(int))) + 1
    bounds = [0, *edges.tolist(), len(labels)]
    return [(bool(labels[a]), a, b) for a, b in itertools.pairwise(bounds)]


def edit_score(predicted: Sequence[Segment], truth: Sequence[Segment]) -> float:
    """One minus the Levenshtein distance of the classes in order over the longer one, in [0, 1]."""
    ours, theirs = ([kind for kind, *_ in one] for one in (predicted, truth))
    row = np.arange(len(theirs) + 1)
    for place, kind in enumerate(ours, start=1):
        before, row = row, np.full_like(row, place)
        for other, wanted in enumerate(theirs, start=1):
            row[other] = min(
                before[other] + 1,
                row[other - 1] + 1,
                before[other - 1] + (kind != wanted),
            )
    return 1 - float(row[-1]) / max(len(ours), len(theirs))


def matches(
    predicted: Sequence[Segment], truth: Sequence[Segment], overlap: float
) -> tuple[int, int, int]:
    """(right, false, missed) segments at an intersection over union of at least `overlap`.

    Each predicted segment is compared with the one of its class that it overlaps most; of several
    that find the same one the first is right.
    """
    found: set[int] = set()
    right = 0
    for kind, start, end in predicted:
        shares = []
        for other, first, last in truth:
            both = max(0, min(end, last) - max(start, first))
            union = max(end, last) - min(start, first)
            shares.append(both / union if other == kind else 0.0)
        best = int(np.argmax(shares))
        if shares[best] >= overlap and best not in found:
            found.add(best)
            right += 1
    return right, len(predicted) - right, len(truth) - right


def statistics(predicted: np.ndarray, truth: np.ndarray) -> list[float]:
    """What the scores of one video are made of, to be added up over videos.

    Args:
      predicted: bool [T], whether a frame belongs to a cycle.
      truth: bool [T].

    Returns:
      `LENGTH` numbers: 1, frames, right ones, the edit score, and for each of `OVERLAPS` right,
      false and missed segments.

    Raises:
      ValueError: if there are no frames, or not as many.
    """
    if len(predicted) != len(truth) or not len(truth):
        raise ValueError(
            f"localisation: {len(predicted)} predicted frames, {len(truth)} true ones"
        )
    ours, theirs = segments(predicted), segments(truth)
    right = int(np.sum(predicted == truth))
    found = [1.0, len(truth), right, edit_score(ours, theirs)]
    for overlap in OVERLAPS:
        found += matches(ours, theirs, overlap)
    return found


def scores(rows: np.ndarray) -> dict[str, float]:
    """Scores of videos by their `statistics` [N, LENGTH], N at least 1.

    Returns:
      {"accuracy", "edit", "f1@10", "f1@25", "f1@50"} in [0, 1]: accuracy over all frames, edit as
      a mean over videos, F1 from the segments of all videos together.
    """
    videos, frames, right, edit, *each = np.sum(rows, axis=0).tolist()
    found = {"accuracy": right / frames, "edit": edit / videos}
    for place, overlap in enumerate(OVERLAPS):
        hit, false, missed = each[3 * place : 3 * place + 3]
        found[f"f1@{round(100 * overlap)}"] = 2 * hit / (2 * hit + false + missed)
    return found


def inside_cycles(cycles: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Which frames lie in a cycle: bool [n] for cycles [K, 2] and places [n] in the same unit."""
    cycles = np.asarray(cycles, np.float64).reshape(-1, 2)
    within = (frames[:, None] >= cycles[None, :, 0]) & (
        frames[:, None] < cycles[None, :, 1]
    )
    return within.any(1)
