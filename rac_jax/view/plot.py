"""A picture of a `CountResult` that a person understands at a glance.

From top to bottom: the count, with the scale on which reliability weighs sight against sound
(paper 1, Eq. 10); frames along time; the spectrogram; what each stream counted in each window.
All four share one time axis. At the right, how the temporal stride was chosen and the totals.
Colours are Okabe and Ito's (Color Universal Design, 2008): blue is sight, vermilion sound.
"""

import dataclasses
import functools
import math
import os
import pathlib

import matplotlib.font_manager
import matplotlib.ft2font
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rac_jax import media
from rac_jax.counting.result import CountResult, WindowCount
from rac_jax.counting.source import ARRAY_NAME
from rac_jax.view import preview

FORMATS = {".png": "png", ".svg": "svg"}

SIGHT = "#0072B2"
SOUND = "#D55E00"
INK = "#222222"
GREY = "#767676"  # 4.5:1 against white
FAINT = "#E4E4E4"

WIDTH, HEIGHT, DPI = 12.0, 7.6, 110  # inches
LEFT, MAIN, SIDE, SIDE_WIDTH = 0.062, 0.735, 0.835, 0.148  # shares of the width
ROW_HEIGHT, LANE_HEIGHT = 0.112, 0.145  # shares of the height: frames, counts
THUMBNAIL_HEIGHT = 150  # pixels
RANGE_DB = 75.0  # at most, from the loudest down to black
NARROWEST_LABEL = 0.034  # share of the main axes under which a window gets no number
LONGEST_NAME = 64  # characters


@dataclasses.dataclass(frozen=True)
class _Material:
    """What the file adds to the result; a note stands where something is missing."""

    frames: list[tuple[float, np.ndarray]]  # time in seconds, uint8 [H, W, 3]
    frames_note: str
    spectrogram: np.ndarray | None  # [F, n], decibels
    sound_note: str


def plot_result(result: CountResult, path: str | os.PathLike | None = None) -> Figure:
    """Draws a result, with frames and spectrogram from its file if that is still there.

    Args:
      result: what was counted.
      path: a .png or .svg file to write; nothing is written when it is None.

    Returns:
      The figure. It belongs to no window and no global state; it needs no closing.

    Raises:
      ValueError: if the path ends in anything else.
    """
    suffix = _checked_suffix(path) if path is not None else None
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    material = _gather(result)
    _draw_header(figure, result)
    _draw_frames(_main_axes(figure, result, 0.695, ROW_HEIGHT), material)
    heard = _main_axes(figure, result, 0.46, 0.215)
    _draw_spectrogram(heard, material)
    _draw_cycles(heard, result)
    lanes = [
        (
            "sight",
            "seen",
            result.sight,
            SIGHT,
            0.27,
            material.frames_note,
            "no picture",
        ),
        ("sound", "heard", result.sound, SOUND, 0.08, material.sound_note, "no sound"),
    ]
    tallest = max(
        (w.count for _, _, stream, *_ in lanes if stream for w in stream.windows),
        default=0,
    )
    for name, verb, stream, colour, bottom, note, missing in lanes:
        axes = _main_axes(figure, result, bottom, LANE_HEIGHT)
        if stream is None:
            absent = note == missing or result.file == ARRAY_NAME
            _say(axes, missing if absent else f"{name} was not counted")
            axes.set_yticks([])
        else:
            _draw_windows(axes, stream.windows, colour, tallest)
            _draw_total(figure, bottom, name, stream.count, colour)
        axes.set_ylabel(f"by {name}", color=colour, fontsize=10)
        axes.set_title(f"{verb} in each window", size=9, color=GREY, loc="left", pad=3)
        if name == "sound":
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("time", fontsize=9, color=GREY)
    _draw_strides(figure.add_axes((SIDE, 0.50, SIDE_WIDTH, 0.28)), result)
    if path is not None:
        _save(figure, pathlib.Path(path), FORMATS[suffix])
    return figure


def _checked_suffix(path: str | os.PathLike) -> str:
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in FORMATS:
        known = " or ".join(FORMATS)
        raise ValueError(
            f"{os.fspath(path)}: a plot ends in {known}, not {suffix or 'nothing'}"
        )
    return suffix


def _save(figure: Figure, path: pathlib.Path, form: str) -> None:
    """Writes beside the target, then renames, so that no half-written plot is ever seen."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # Without the date the same result gives the same file.
    metadata = {"Date": None} if form == "svg" else None
    try:
        figure.savefig(temporary, format=form, metadata=metadata)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _gather(result: CountResult) -> _Material:
    """Opens the file once more; whatever cannot be had is replaced by a note."""
    if result.file == ARRAY_NAME:
        return _Material(
            [], "counted from arrays: no frames to show", None, "no file, no sound"
        )
    try:
        info = media.probe(result.file)
    except media.MediaError:
        return _Material(
            [],
            "the file cannot be read any more",
            None,
            "the file cannot be read any more",
        )
    frames, frames_note = [], "no picture"
    if info.has_video:
        times = _thumbnail_times(result, info.width / info.height)
        frames_note = "the picture cannot be read any more"
        try:
            images = preview.thumbnails(
                result.file, times, height=THUMBNAIL_HEIGHT, info=info
            )
        except media.MediaError:
            images = []
        frames = [(t, f) for t, f in zip(times, images, strict=False) if f is not None]
    heard = result.file if info.has_audio else media.sibling_sound(result.file)
    image, sound_note = None, "no sound"
    if heard is not None:
        sound_note = "the sound cannot be read any more"
        start_s, end_s = result.start_s, result.start_s + result.duration_s
        try:
            chunks = media.stream_audio(
                heard, rate=preview.RATE, start_s=start_s, end_s=end_s
            )
            image = preview.spectrogram(chunks, round(result.duration_s * preview.RATE))
        except media.MediaError:
            image = None
    return _Material(frames, frames_note, image, sound_note)


def _thumbnail_times(result: CountResult, aspect: float) -> np.ndarray:
    """Centres of as many equal parts of the time as frames fit side by side."""
    row = WIDTH * MAIN / (HEIGHT * ROW_HEIGHT)  # width over height of the row of frames
    n = int(np.clip(round(row / (aspect * 1.04)), 1, 18))
    return result.start_s + (np.arange(n) + 0.5) / n * max(result.duration_s, 1e-6)


def _main_axes(
    figure: Figure, result: CountResult, bottom: float, height: float
) -> Axes:
    """Axes on the common time axis, without a frame."""
    axes = figure.add_axes((LEFT, bottom, MAIN, height))
    axes.set_xlim(result.start_s, result.start_s + max(result.duration_s, 1e-6))
    ticks, labels = _time_ticks(*axes.get_xlim())
    axes.set_xticks(ticks, labels)
    axes.tick_params(labelbottom=False, labelsize=8.5, colors=GREY, length=3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    return axes


def _clock(seconds: float, end_s: float) -> str:
    """A time as people write it: seconds in a short video, minutes or hours in a long one."""
    if end_s < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if end_s < 3600:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _time_ticks(start_s: float, end_s: float) -> tuple[np.ndarray, list[str]]:
    """Round times between two others, at most 12 of them, with labels."""
    rough = (end_s - start_s) / 12
    decade = 10 ** math.floor(math.log10(rough))
    steps = (1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)
    if rough < 1:
        step = next(s * decade for s in (1, 2, 5, 10) if s * decade >= rough)
    else:
        step = next((s for s in steps if s >= rough), 3600 * math.ceil(rough / 3600))
    ticks = (
        np.arange(math.ceil(start_s / step - 1e-9), math.floor(end_s / step + 1e-9) + 1)
        * step
    )
    return ticks, [_clock(t, end_s) for t in ticks]


@functools.cache
def _charmap() -> frozenset[int]:
    """Code points that matplotlib's own font can draw."""
    font = matplotlib.font_manager.findfont("DejaVu Sans")
    return frozenset(matplotlib.ft2font.FT2Font(font).get_charmap())


def _drawable(name: str) -> str:
    """A file name cut in its middle, with a square for what the font does not have."""
    if len(name) > LONGEST_NAME:
        half = (LONGEST_NAME - 1) // 2
        name = f"{name[:half]}…{name[-half:]}"
    return "".join(c if ord(c) in _charmap() else "□" for c in name)


def _draw_header(figure: Figure, result: CountResult) -> None:
    noun = "repetition" if result.rounded == 1 else "repetitions"
    words = {"family": "DejaVu Sans", "va": "baseline", "parse_math": False}
    number = str(result.rounded)
    figure.text(LEFT, 0.912, number, size=40, weight="bold", color=INK, **words)
    # Digits of DejaVu Sans Bold are 0.696 em wide.
    beside = LEFT + (len(number) * 0.696 * 40 / 72 + 0.12) / WIDTH
    figure.text(beside, 0.912, noun, size=20, color=INK, **words)
    name = _drawable(os.path.basename(result.file))
    facts = f"model {_drawable(result.model)}, {result.protocol} protocol"
    if result.confidence is not None:
        facts += f"  ·  right to one with {100 * result.confidence:.0f} %"
    span = _clock(result.duration_s, result.duration_s)
    if result.start_s:
        span += f" from {_clock(result.start_s, result.start_s)}"
    figure.text(LEFT, 0.868, name, size=11, weight="bold", color=INK, **words)
    figure.text(LEFT, 0.838, f"{span}  ·  {facts}", size=9.5, color=GREY, **words)
    _draw_gauge(figure.add_axes((0.50, 0.845, SIDE + SIDE_WIDTH - 0.50, 0.13)), result)


def _draw_gauge(axes: Axes, result: CountResult) -> None:
    """The scale from sight to sound, with the reliability γ on it (Eq. 10)."""
    axes.set_axis_off()
    axes.set_xlim(-0.34, 1.34)
    axes.set_ylim(0, 1)
    streams = ((result.sight, "sight", SIGHT, 0.0), (result.sound, "sound", SOUND, 1.0))
    for stream, name, colour, x in streams:
        side = "right" if x == 0 else "left"
        edge = x + (0.035 if x else -0.035)
        text = "—" if stream is None else f"{stream.count:.1f}"
        shade = GREY if stream is None else colour
        axes.text(
            edge, 0.56, text, size=19, weight="bold", color=shade, ha=side, va="center"
        )
        axes.text(edge, 0.20, f"by {name}", size=9, color=shade, ha=side, va="center")
    gamma = result.reliability
    if gamma is None:
        axes.plot([0, 1], [0.56, 0.56], color=FAINT, lw=7, solid_capstyle="butt")
        alone = [name for stream, name, *_ in streams if stream is not None]
        axes.text(
            0.5,
            0.20,
            f"{' and '.join(alone)} alone",
            size=9,
            color=GREY,
            ha="center",
            va="center",
        )
        return
    # The knob lies nearer to the stream that is trusted more, where Eq. 10 puts the count.
    axes.plot([0, 1], [0.56, 0.56], color=FAINT, lw=7, solid_capstyle="round", zorder=1)
    axes.plot([gamma], [0.56], "o", ms=15, color=INK, mec="white", mew=1.5, zorder=2)
    share = round(100 * gamma)
    trust = f"trusts sight {100 - share} %, sound {share} % (γ = {gamma:.2f})"
    middle = {"ha": "center", "va": "center"}
    axes.text(
        gamma, 0.92, f"{result.count:.2f}", size=11, weight="bold", color=INK, **middle
    )
    axes.text(0.5, 0.20, trust, size=9, color=INK, **middle)


def _say(axes: Axes, note: str) -> None:
    """A short grey note where there is nothing to draw."""
    axes.set_facecolor("#F7F7F7")
    axes.text(
        0.5,
        0.5,
        note,
        transform=axes.transAxes,
        ha="center",
        va="center",
        size=10,
        color=GREY,
    )


def _draw_frames(axes: Axes, material: _Material) -> None:
    axes.set_yticks([])
    axes.tick_params(bottom=False)
    axes.spines["bottom"].set_visible(False)
    if not material.frames:
        _say(axes, material.frames_note)
        return
    low, high = axes.get_xlim()
    room = WIDTH * MAIN / (HEIGHT * ROW_HEIGHT)
    slot = (high - low) / len(material.frames)
    for time_s, frame in material.frames:
        aspect = frame.shape[1] / frame.shape[0]
        # A single wide frame would be wider than its share of the time: shrink it then.
        scale = min(1.0, slot * 0.985 / (aspect * (high - low) / room))
        half = scale * aspect * (high - low) / room / 2
        extent = (time_s - half, time_s + half, 0.5 - scale / 2, 0.5 + scale / 2)
        axes.imshow(frame, extent=extent, aspect="auto", interpolation="antialiased")
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1)


def _draw_spectrogram(axes: Axes, material: _Material) -> None:
    image = material.spectrogram
    if image is None or not image.size:
        _say(axes, material.sound_note)
        axes.set_yticks([])
        return
    heard = image[image > preview.FLOOR_DB + 0.01]  # not silence
    quiet, loud = (
        np.percentile(heard, (10, 99.8)) if heard.size else (preview.FLOOR_DB, 0.0)
    )
    # At least 30 dB, so that an even hum looks even.
    quiet = min(max(quiet, loud - RANGE_DB), loud - 30)
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
    axes.set_yticks([0, 5, 10])
    axes.set_ylabel("kHz", fontsize=9, color=GREY)
    axes.set_xlim(low, high)


def _draw_cycles(axes: Axes, result: CountResult) -> None:
    """Where each repetition begins and ends, between the frames and the sound."""
    for one in result.sets or ():
        edges = [one.start_s, *(end for _, end in one.cycles)]
        place = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.plot([edges[0], edges[-1]], [1.05, 1.05], color=INK, lw=1.2, **place)
        axes.plot(edges, [1.05] * len(edges), "|", ms=9, color=INK, mew=1.2, **place)


def _draw_windows(
    axes: Axes, windows: tuple[WindowCount, ...], colour: str, tallest: float
) -> None:
    """A step per window, as high as its count, with the count in it where there is room."""
    low, high = axes.get_xlim()
    top = max(1.0, tallest) * 1.28
    corners = [
        [(w.start_s, 0), (w.start_s, h), (w.end_s, h), (w.end_s, 0)]
        for w, h in ((w, max(0.0, w.count)) for w in windows)
    ]
    axes.add_collection(
        PolyCollection(corners, facecolors=colour, edgecolors="none", alpha=0.25),
        autolim=False,
    )
    tops = [(corner[1], corner[2]) for corner in corners]
    axes.hlines(
        [t[0][1] for t in tops],
        [t[0][0] for t in tops],
        [t[1][0] for t in tops],
        colour,
        lw=2,
    )
    walls = [x for w in windows for x in (w.start_s, w.end_s)]
    if len(windows) <= 1 / NARROWEST_LABEL:
        axes.vlines(
            walls,
            0,
            [t[0][1] for t in tops for _ in range(2)],
            colour,
            lw=0.8,
            alpha=0.6,
        )
    for w in windows:
        if (min(w.end_s, high) - max(w.start_s, low)) / (high - low) >= NARROWEST_LABEL:
            centre = (w.start_s + w.end_s) / 2
            height = max(0.0, w.count) + 0.02 * top
            axes.text(
                centre,
                height,
                f"{w.count:.1f}",
                size=9,
                color=colour,
                ha="center",
                va="bottom",
            )
    axes.set_xlim(low, high)
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.set_axisbelow(True)


def _draw_total(
    figure: Figure, bottom: float, name: str, count: float, colour: str
) -> None:
    middle = bottom + LANE_HEIGHT / 2
    figure.text(
        SIDE,
        middle,
        f"= {count:.1f}",
        size=20,
        weight="bold",
        color=colour,
        va="bottom",
    )
    figure.text(SIDE, middle - 0.012, f"in all by {name}", size=9, color=GREY, va="top")


def _draw_strides(axes: Axes, result: CountResult) -> None:
    """A dot per temporal stride at the ranker's score; the best one was taken."""
    sight = result.sight
    if sight is None or not sight.stride_scores:
        note = (
            "no picture counted"
            if sight is None
            else f"stride {sight.stride} was given"
        )
        _say(axes, note)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return
    title = f"stride {sight.stride} scored best"
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    strides = sorted(sight.stride_scores)
    for stride in strides:
        chosen = stride == sight.stride
        colour = SIGHT if chosen else "#A8A8A8"
        score = sight.stride_scores[stride]
        axes.axhline(stride, color=FAINT, lw=0.8, zorder=0)
        axes.plot([score], [stride], "o", ms=11 if chosen else 7, color=colour)
        if chosen:
            axes.annotate(
                f"{score:.2f}",
                (score, stride),
                (9, 0),
                textcoords="offset points",
                va="center",
                size=9,
                color=colour,
                weight="bold",
            )
    least, most = min(sight.stride_scores.values()), max(sight.stride_scores.values())
    spread = most - least or 1.0
    axes.set_xlim(least - 0.15 * spread, most + 0.45 * spread)  # the score needs room
    axes.set_ylim(strides[-1] + 0.6, strides[0] - 0.9)
    step = max(1, len(strides) // 8)
    shown = sorted({*strides[::step], sight.stride})
    axes.set_yticks(shown, [str(s) for s in shown])
    for label, stride in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_color(SIGHT if stride == sight.stride else GREY)
        label.set_weight("bold" if stride == sight.stride else "normal")
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelsize=8.5, colors=GREY, length=0)
    axes.set_ylabel("frames apart", fontsize=9, color=GREY)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
