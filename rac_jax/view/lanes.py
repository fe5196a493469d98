"""The lanes of a plot: each draws one thing that a result holds, on the common time axis.

Every lane is drawn into axes whose limits along x are already the counted part of the file.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.ticker import MaxNLocator

from rac_jax.counting.result import CountResult, Curve, RepetitionSet, Stream
from rac_jax.view import preview
from rac_jax.view.cues import Cue
from rac_jax.view.material import Material
from rac_jax.view.style import (
    FAINT,
    GREY,
    INK,
    OTHER_COLOURS,
    SMALL,
    STREAM_COLOURS,
    TEXT,
    amount,
    drawable,
    label,
    share,
)

RANGE_DB = 75.0  # at most, from the loudest down to black
LEAST_RANGE_DB = 30.0  # so that an even hum looks even
NARROWEST_LABEL = 0.045  # share of the axes under which a span gets no number
LEAST_LABEL = 0.05  # a smaller count would be written as 0
MOST_EDGES = 60  # drawn with their full strength; more of them are drawn fainter
LONG_PACE = (
    4.0  # times the typical pace, from which a span counts as a pause or is cut off
)
LASTING = 0.98  # of the time in which there is a pace, decides its scale
TRUSTED = 0.1  # weight from which a stream's own rate decides the scale of all
NOTHING = 0.5  # repetitions below which a stream has counted nothing


def frames(axes: Axes, material: Material, row: float) -> None:
    """Frames along time, each at its own; `row` is the width of the axes over their height."""
    axes.set_yticks([])
    axes.tick_params(bottom=False)
    axes.spines["bottom"].set_visible(False)
    low, high = axes.get_xlim()
    slot = (high - low) / len(material.frames)
    for time_s, frame in material.frames:
        width = frame.shape[1] / frame.shape[0] * (high - low) / row
        # A single wide frame would be wider than its part of the time: shrink it then.
        scale = min(1.0, slot * 0.985 / width)
        half = scale * width / 2
        extent = (time_s - half, time_s + half, 0.5 - scale / 2, 0.5 + scale / 2)
        axes.imshow(frame, extent=extent, aspect="auto", interpolation="antialiased")
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1)


def running_count(axes: Axes, result: CountResult) -> None:
    """How many repetitions were done by when.

    A step at the end of every cycle where cycles are known, and the rate's integral elsewhere.
    """
    low, high = axes.get_xlim()
    ends = [end for one in result.sets or () for _, end in one.cycles]
    if ends:
        times, style = np.array([low, *ends, max(high, ends[-1])]), "steps-post"
    else:
        edges = np.clip(result.rate.edges_s, low, high)
        times, style = np.array([low, *edges, high]), "default"
    done = result.rate.done(times)
    if ends:
        done[0] = 0.0
    axes.plot(times, done, color=INK, lw=1.8, drawstyle=style, clip_on=False)
    fill_step = "post" if ends else None
    axes.fill_between(times, done, step=fill_step, color=INK, alpha=0.08, lw=0)

    # The number at the end, above the line so that it covers nothing.
    axes.annotate(
        amount(result.count),
        (times[-2] if ends else high, done[-1]),
        (0, 3),
        textcoords="offset points",
        ha="right" if not ends or times[-2] > 0.9 * high + 0.1 * low else "left",
        va="bottom",
        size=TEXT,
        weight="bold",
        color=INK,
        annotation_clip=False,
    )
    axes.set_xlim(low, high)
    axes.set_ylim(0, max(1.0, result.count) * 1.22)
    _few_numbers(axes)
    label(axes, "count so far")


def paces(result: CountResult) -> list[tuple[float, float, float]]:
    """(start_s, end_s, seconds per repetition) of each cycle, or of each span of the rate.

    Spans of the rate in which next to nothing is counted are left out: there is no pace.
    """
    if result.sets:
        cycles = [cycle for one in result.sets for cycle in one.cycles]
        return [(a, b, b - a) for a, b in cycles if b > a]
    edges = result.rate.edges_s
    spans = zip(edges, edges[1:], result.rate.per_s)
    moving = [(a, b, per_s) for a, b, per_s in spans if per_s > 0]
    if not moving:
        return []
    typical = result.rate.integral / sum(b - a for a, b, _ in moving)
    return [(a, b, 1 / per_s) for a, b, per_s in moving if per_s * LONG_PACE >= typical]


def pace(axes: Axes, found: list[tuple[float, float, float]], mean_s: float) -> None:
    """Seconds per repetition over time: a bar per cycle, as wide and as high as it is long.

    Args:
      found: from `paces`, not empty.
      mean_s: the mean, for the label.
    """
    # Up to the longest pace that lasts, so that neither a moment nor one pause squashes the rest.
    by_length = sorted(found, key=lambda span: span[2])
    lengths = np.array([length for *_, length in by_length])
    passed = np.cumsum([b - a for a, b, _ in by_length])
    lasting = lengths[np.searchsorted(passed, LASTING * passed[-1])]
    top = min(lasting, LONG_PACE * float(np.median(lengths)))
    corners = [((a, 0), (a, s), (b, s), (b, 0)) for a, b, s in found]
    edge = "white" if len(found) <= MOST_EDGES else "none"
    bars = PolyCollection(corners, facecolors="#A9A9A9", edgecolors=edge, linewidths=1)
    axes.add_collection(bars, autolim=False)
    axes.axhline(mean_s, color=INK, lw=0.8, ls=(0, (4, 3)))
    axes.set_ylim(0, 1.2 * top)
    _few_numbers(axes, whole=False)
    digits = 2 if mean_s < 10 else 1
    label(axes, "seconds each", f"mean {mean_s:.{digits}f} s")


def speaks(stream: Stream, result: CountResult) -> bool:
    """Whether a stream has something to show: it counted, and so did the result."""
    return stream.count >= NOTHING and bool(result.rounded) and bool(stream.windows)


def colours(streams: tuple[Stream, ...]) -> dict[str, str]:
    """A colour for each stream's name."""
    others = [one.name for one in streams if one.name not in STREAM_COLOURS]
    rest = {
        name: OTHER_COLOURS[k % len(OTHER_COLOURS)] for k, name in enumerate(others)
    }
    return STREAM_COLOURS | rest


def stream_words(stream: Stream) -> str:
    """What a stream that has nothing to draw says, in words."""
    found = f"{amount(stream.count)} alone"
    if stream.count < NOTHING:
        found = "no repetition alone"
    if stream.weight is not None:
        found += f", weight {share(stream.weight)}"
    return found


def largest_rate(streams: list[Stream]) -> float:
    """Repetitions per second at the top of the streams' lanes: of those that matter, if any."""
    matter = [one for one in streams if one.weight is None or one.weight >= TRUSTED]
    rates = [
        window.count / (window.end_s - window.start_s)
        for one in matter or streams
        for window in one.windows
        if window.end_s > window.start_s
    ]
    return max(rates, default=0.0) or 1.0


def stream(axes: Axes, one: Stream, largest: float, colour: str) -> None:
    """A stream's windows: areas in proportion to the counts, with the counts in them.

    Args:
      one: the stream.
      largest: repetitions per second that fill the lane; what has more is cut off and marked.
      colour: the stream's.
    """
    low, high = axes.get_xlim()
    windows = [w for w in one.windows if w.end_s > w.start_s and w.count > 0]
    heights = [w.count / (w.end_s - w.start_s) / largest for w in windows]
    # Slightly more than what matters most, which is not cut off then.
    top = 1.1
    shown = [min(height, top) for height in heights]
    corners = [
        ((w.start_s, 0), (w.start_s, h), (w.end_s, h), (w.end_s, 0))
        for w, h in zip(windows, shown, strict=True)
    ]
    edge = colour if len(windows) <= MOST_EDGES else "none"
    areas = PolyCollection(corners, facecolors=colour, edgecolors="none", alpha=0.22)
    axes.add_collection(areas, autolim=False)
    outlines = PolyCollection(
        corners, facecolors="none", edgecolors=edge, linewidths=0.9
    )
    axes.add_collection(outlines, autolim=False)

    # Its count in every window that is wide enough, and a mark on each that is cut off.
    for window, height in zip(windows, shown, strict=True):
        middle = (max(window.start_s, low) + min(window.end_s, high)) / 2
        width = min(window.end_s, high) - max(window.start_s, low)
        if window.count >= LEAST_LABEL and width / (high - low) >= NARROWEST_LABEL:
            place = {"ha": "center", "va": "center", "size": SMALL, "color": INK}
            axes.text(middle, max(height / 2, 0.2), amount(window.count), **place)
    cut = [
        (w.start_s + w.end_s) / 2
        for w, h in zip(windows, heights, strict=True)
        if h > top
    ]
    if cut:
        axes.plot(cut, [top] * len(cut), "^", ms=6, color=colour, clip_on=False)
        words = {"ha": "right", "va": "bottom", "size": SMALL, "color": GREY}
        axes.text(1, 1.02, "▲ higher than drawn", transform=axes.transAxes, **words)
    axes.set_xlim(low, high)
    axes.set_ylim(0, top)
    axes.set_yticks([])
    weight = [] if one.weight is None else [f"weight {share(one.weight)}"]
    details = [f"{amount(one.count)} alone", *weight]
    label(axes, f"by {drawable(one.name)}", *details, colour=colour)


def spectrogram(axes: Axes, material: Material, result: CountResult) -> None:
    """The sound, with a line where each cycle begins and ends."""
    image = material.spectrogram
    heard = image[image > preview.FLOOR_DB + 0.01]
    quiet, loud = np.percentile(heard, (10, 99.8))
    quiet = min(max(quiet, loud - RANGE_DB), loud - LEAST_RANGE_DB)
    low, high = axes.get_xlim()
    axes.imshow(
        image,
        extent=(low, high, 0, preview.RATE / 2000),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=quiet,
        vmax=loud,
        interpolation="antialiased",
    )
    edges = {
        edge for one in result.sets or () for cycle in one.cycles for edge in cycle
    }
    strength = min(0.85, MOST_EDGES / max(1, len(edges)))
    for edge in sorted(edges):
        axes.axvline(edge, color="white", lw=0.9, alpha=strength)
    axes.set_yticks([0, 5, 10], ["0", "5", "10 kHz"])
    axes.set_xlim(low, high)
    marked = ["lines: cycles"] if edges else []
    label(axes, "sound", *marked)


def sets(axes: Axes, found: tuple[RepetitionSet, ...]) -> None:
    """A bracket per set with its count above it."""
    low, high = axes.get_xlim()
    for one in found:
        axes.plot([one.start_s, one.end_s], [0.3, 0.3], color=INK, lw=1.4)
        if (one.end_s - one.start_s) / (high - low) >= NARROWEST_LABEL / 2:
            middle = (one.start_s + one.end_s) / 2
            place = {"ha": "center", "va": "bottom", "size": TEXT, "color": INK}
            axes.text(middle, 0.42, amount(one.count), **place)
    walls = [edge for one in found for edge in (one.start_s, one.end_s)]
    axes.vlines(walls, 0.1, 0.5, color=INK, lw=1.4)
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    label(axes, "1 set" if len(found) == 1 else f"{len(found)} sets")


def events(axes: Axes, found: Sequence[Cue]) -> None:
    """A mark at each event, the longer the stronger it is."""
    clear = min(1.0, 3 * MOST_EDGES / max(1, len(found)))
    times_s = [cue.time_s for cue in found]
    tops = [0.1 + 0.8 * cue.strength for cue in found]
    axes.vlines(times_s, 0.1, tops, color=INK, lw=1.2, alpha=clear)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    label(axes, "1 event" if len(found) == 1 else f"{len(found)} events")


def curve(axes: Axes, found: Curve, name: str, top: float | None = None) -> None:
    """A value along time as a filled line.

    Args:
      found: the curve.
      name: of the lane.
      top: the largest value that there can be; None for the largest one that there is.
    """
    colour = OTHER_COLOURS[0]
    axes.fill_between(found.times_s, found.values, color=colour, alpha=0.2, lw=0)
    axes.plot(found.times_s, found.values, color=colour, lw=1.2)
    most = max(found.values, default=0.0) if top is None else top
    axes.set_ylim(0, 1.08 * most or 1.0)
    _few_numbers(axes, whole=False)
    label(axes, name)


def _few_numbers(axes: Axes, *, whole: bool = True) -> None:
    """At most four numbers at the left, with faint lines through the lane."""
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=whole))
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.set_axisbelow(True)
