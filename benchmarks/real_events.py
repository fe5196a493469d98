"""Events marked in real clips, beside the onsets of their own sound, which no model hears.

    python -m benchmarks.real_events [--labels FILE ...] [--model NAME_OR_FOLDER ...]

The clips are those whose labels say that their sound carries the repetitions (sound_useful = yes),
in the folder of the labels, from start_s to end_s. Onsets are local maxima of the half-wave rectified
spectral flux (Dixon, "Onset detection revisited", DAFx 2006: magnitudes, flux standardised, maximum
of three neighbours each way, above their mean and above the trace that decays); its constants are
set here once, for all clips. A file's sound may come late: every method may shift all its events by
one offset per file, the one of the highest F1 (`OFFSETS_S`). That flatters all alike, the blind grid
(of one period for all files, the best) as well: compare rows. A model without events is taken at the
ends of its cycles, and listens to nothing.
"""

import argparse
import dataclasses
import os
import pathlib

import numpy as np

import rac_jax
from benchmarks.live_delay import by_sight, clip_rows
from rac_jax import media
from rac_jax.counting.counter import Counter
from rac_jax.counting.event_scores import Found, one_to_one
from rac_jax.counting.instants import instants

RATE, WINDOW, HOP = 44_100, 2048, 441
# Neighbours each way; how far before the mean goes back, in neighbours; deviations above the mean;
# what is left of the trace after a frame.
NEAR, BACK, ABOVE, DECAY = 3, 3, 1.0, 0.9
# Onsets nearer than this are one.
APART_S = 0.1
TOLERANCES_S = (0.04, 0.08)
OFFSETS_S = np.arange(-0.3, 0.301, 0.02)
PERIODS_S = np.arange(0.12, 1.21, 0.04)
# Events are in milliseconds where the scores count frames: no two of them follow one another.
MS = 1000.0


@dataclasses.dataclass(frozen=True)
class Clip:
    """A labelled clip: its file, what is looked at of it, how often it repeats, and its onsets."""

    path: pathlib.Path
    start_s: float
    end_s: float
    count: float
    onsets_s: np.ndarray


def onsets(sound: np.ndarray) -> np.ndarray:
    """Times in seconds at which a sound begins, [k] rising; of mono sound at `RATE`."""
    padded = np.pad(sound, WINDOW // 2)
    if len(padded) < WINDOW:
        return np.zeros(0)
    views = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    size = np.abs(np.fft.rfft(views * np.hanning(WINDOW).astype(np.float32)))
    flux = np.maximum(np.diff(size, axis=0, prepend=size[:1]), 0).sum(1)
    flux = (flux - flux.mean()) / max(float(flux.std()), 1e-9)
    found, trace = [], -np.inf
    for place, value in enumerate(flux):
        near = flux[max(0, place - NEAR) : place + NEAR + 1]
        mean = flux[max(0, place - BACK * NEAR) : place + NEAR + 1].mean()
        high = value >= near.max() and value >= mean + ABOVE and value >= trace
        time_s = place * HOP / RATE
        if high and (not found or time_s - found[-1] >= APART_S):
            found.append(time_s)
        trace = value if trace == -np.inf else max(value, DECAY * trace + 0.1 * value)
    return np.asarray(found)


def read_clips(labels: pathlib.Path) -> list[Clip]:
    """The clips of a table whose sound is useful, with their onsets."""
    clips = []
    for row in clip_rows(labels):
        if row["sound_useful"] != "yes":
            continue
        path = pathlib.Path(row["file"])
        start_s, end_s = float(row["start_s"]), float(row["end_s"])
        parts = media.stream_audio(path, rate=RATE, start_s=start_s, end_s=end_s)
        times_s = start_s + onsets(np.concatenate([np.zeros(0, np.float32), *parts]))
        clips.append(Clip(path, start_s, end_s, float(row["count"]), times_s))
    return clips


def by_model(counter: Counter, clip: Clip) -> np.ndarray:
    """Times in seconds of what a model marks; where it could listen, it does not."""
    options = by_sight(counter)
    result = counter.count(clip.path, start_s=clip.start_s, end_s=clip.end_s, **options)
    times_s = instants(result, "events" if result.events is not None else "ends")
    return np.asarray(times_s, np.float64)


def shifted(times_s: np.ndarray, clip: Clip, tolerance_s: float) -> tuple[Found, float]:
    """(score, offset in seconds) with the file's best offset, of equals the smallest."""

    def score(offset_s: float) -> Found:
        moved = MS * (times_s + offset_s)
        return one_to_one(moved, MS * clip.onsets_s, MS * tolerance_s)

    best = max(OFFSETS_S, key=lambda offset: (score(offset).f1, -abs(offset)))
    return score(best), float(best)


def grid(clip: Clip, period_s: float) -> np.ndarray:
    """Times from half a period after the start on."""
    return np.arange(clip.start_s + period_s / 2, clip.end_s, period_s)


def line(name: str, clips: list[Clip], times: list[np.ndarray]) -> str:
    """A row: F1 within each tolerance, then recall, precision and offsets within the last."""
    cells = []
    for tolerance_s in TOLERANCES_S:
        found = [
            shifted(one, clip, tolerance_s)
            for one, clip in zip(times, clips, strict=True)
        ]
        cells.append(f"{np.mean([score.f1 for score, _ in found]):.3f}")
    cells.append(f"{np.mean([score.recall for score, _ in found]):.3f}")
    cells.append(f"{np.mean([score.precision for score, _ in found]):.3f}")
    cells.append(f"{sum(map(len, times))}")
    offsets = " ".join(f"{MS * offset:.0f}" for _, offset in found)
    return f"{name:24}" + "".join(f"{cell:>10}" for cell in cells) + f"   {offsets}"


def default_labels() -> pathlib.Path:
    """Of RAC_REAL_CLIPS, or of the folder beside the repository."""
    beside = pathlib.Path(__file__).parents[2] / "shared" / "real_clips"
    return pathlib.Path(os.environ.get("RAC_REAL_CLIPS", beside)) / "labels.csv"


def main() -> None:
    """Prints the clips' onsets, then the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", nargs="+", type=pathlib.Path)
    parser.add_argument("--model", nargs="*", default=["ta2net-small", "compact"])
    args = parser.parse_args()
    tables = args.labels or [default_labels()]
    clips = [clip for table in tables for clip in read_clips(table)]
    for clip in clips:
        span = clip.end_s - clip.start_s
        print(
            f"{clip.path.name:24} {span:5.1f} s  labelled {clip.count:4g}  "
            f"onsets {len(clip.onsets_s):3}"
        )
    names = ["F1 40 ms", "80 ms", "recall", "precision", "events"]
    print(f"{'':24}" + "".join(f"{name:>10}" for name in names) + "   offsets, ms")

    def f1(period_s: float) -> float:
        found = [
            shifted(grid(clip, period_s), clip, TOLERANCES_S[-1]) for clip in clips
        ]
        return float(np.mean([score.f1 for score, _ in found]))

    best = max(PERIODS_S, key=f1)
    blind = [grid(clip, best) for clip in clips]
    print(line(f"every {best:.2f} s", clips, blind), flush=True)
    for name in args.model:
        counter = rac_jax.load(name)
        print(
            line(name[-23:], clips, [by_model(counter, clip) for clip in clips]),
            flush=True,
        )


if __name__ == "__main__":
    main()
