"""A picture of a `CountResult` that a person understands at a glance.

From top to bottom, on one time axis: the count in words, frames, the running count, the pace,
what each stream counts by itself, the sound with the cycles marked, the sets, and what else the
result holds. At the right stands the family's own panel. Only what there is takes room.
"""

import dataclasses
import functools
import io
import os
import pathlib
import textwrap
from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from rac_jax import drafts
from rac_jax.counting.result import CountResult, Panel
from rac_jax.view import lanes
from rac_jax.view.cues import cues_of
from rac_jax.view.material import Material, gather
from rac_jax.view.style import (
    FAINT,
    GREY,
    INK,
    MARGIN,
    SMALL,
    TEXT,
    clock,
    drawable,
    label,
    say,
    share,
    time_ticks,
)

# All in inches: the figure and its margins, then the heights of lanes.
WIDTH, DPI = 11.0, 110
LEFT, HEADER, FOOTER = 1.75, 1.2, 0.35
GAP = 0.17  # between lanes
PANEL_WIDTH, PANEL_LEFT, PANEL_HEIGHT = 2.0, 0.75, 2.7
PANEL_TITLE, PANEL_AXIS = 0.4, 0.45  # above and below it
PANEL_LETTERS = 30  # in a line of its title
FRAMES, RUNNING, PACE, STREAM, SOUND = 0.98, 1.15, 0.8, 0.62, 0.95
SETS, EVENTS, CURVE, WORDS = 0.42, 0.28, 0.6, 0.17


@dataclasses.dataclass(frozen=True)
class _Lane:
    """A part of the picture.

    Attributes:
      height: in inches.
      draw: draws it into axes on the common time axis.
    """

    height: float
    draw: Callable[[Axes], None]


def plot_result(result: CountResult, path: str | os.PathLike | None = None) -> Figure:
    """Draws a result, with frames and spectrogram from its file if that is still there.

    Args:
      result: what was counted.
      path: a .png or .svg file to write; nothing is written when it is None.

    Returns:
      The figure. It belongs to no window and no global state; it needs no closing.

    Raises:
      ValueError: if the path ends in anything else.
      OSError: if it cannot be written.
    """
    suffix = _checked_suffix(path) if path is not None else None
    # A panel about a count that is none would only raise questions.
    panel = result.panel if result.rounded else None
    side = PANEL_LEFT + PANEL_WIDTH if panel is not None else 0.0
    main = WIDTH - LEFT - MARGIN - side
    material = gather(result, main / FRAMES)
    found = _lanes(result, material, main)

    # The height follows from the lanes, and from the panel beside them.
    needed = sum(lane.height + GAP for lane in found)
    if panel is not None:
        needed = max(needed, PANEL_HEIGHT)
    height = HEADER + needed + FOOTER
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    _draw_header(figure, result)
    top = height - HEADER
    for lane in found:
        axes = _time_axes(figure, result, top - lane.height, lane.height, main)
        lane.draw(axes)
        top -= lane.height + GAP
    axes.tick_params(axis="x", bottom=True, labelbottom=True, length=3)
    axes.spines["bottom"].set_visible(True)
    if panel is not None:
        _draw_panel(figure, result, panel, LEFT + main + PANEL_LEFT)
    if path is not None:
        with drafts.draft_file(path) as draft:
            draft.write_bytes(FORMATS[suffix](figure))
    return figure


def _checked_suffix(path: str | os.PathLike) -> str:
    """The suffix of a path in small letters.

    Raises:
      ValueError: if it is not that of a format.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in FORMATS:
        known = " or ".join(FORMATS)
        raise ValueError(
            f"{os.fspath(path)}: a plot ends in {known}, not {suffix or 'nothing'}"
        )
    return suffix


def png(figure: Figure) -> bytes:
    """A figure as a PNG file of at most 256 colours, a third of the size of one of all colours."""
    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    file = io.BytesIO()
    image.quantize(256).save(file, "PNG", optimize=True, dpi=(DPI, DPI))
    return file.getvalue()


def _svg(figure: Figure) -> bytes:
    """A figure as an SVG file; the same result gives the same file."""
    file = io.BytesIO()
    # Its parts are named by a random salt unless one is given, and it would hold the date.
    with matplotlib.rc_context({"svg.hashsalt": "rac_jax"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


FORMATS = {".png": png, ".svg": _svg}


def _lanes(result: CountResult, material: Material, main: float) -> list[_Lane]:
    """The lanes of a result from top to bottom; `main` is their width in inches."""
    found = []
    if material.frames:
        row = main / FRAMES
        draw = functools.partial(lanes.frames, material=material, row=row)
        found.append(_Lane(FRAMES, draw))
    else:
        found.append(_words("picture", material.frames_note))
    if result.rounded:
        draw = functools.partial(lanes.running_count, result=result)
        found.append(_Lane(RUNNING, draw))
        paces = lanes.paces(result)
        if paces:
            mean_s = result.period_s
            draw = functools.partial(lanes.pace, found=paces, mean_s=mean_s)
            found.append(_Lane(PACE, draw))
    found += _stream_lanes(result)
    if material.spectrogram is not None:
        draw = functools.partial(lanes.spectrogram, material=material, result=result)
        found.append(_Lane(SOUND, draw))
    elif material.sound_note != material.frames_note:
        found.append(_words("sound", material.sound_note))
    if result.rounded and result.sets:
        found.append(_Lane(SETS, functools.partial(lanes.sets, found=result.sets)))
    cues = cues_of(result)
    if cues:
        found.append(_Lane(EVENTS, functools.partial(lanes.events, found=cues)))
    curves = (
        (result.density, "density", None),
        (result.foreground, "foreground", 1.0),
    )
    for one, name, top in curves:
        if one is not None and one.times_s:
            draw = functools.partial(lanes.curve, found=one, name=name, top=top)
            found.append(_Lane(CURVE, draw))
    return found


def _stream_lanes(result: CountResult) -> list[_Lane]:
    """Lanes of the streams that counted something, and lines of words of the others."""
    speaking = [one for one in result.streams if lanes.speaks(one, result)]
    silent = [one for one in result.streams if one not in speaking]
    largest = lanes.largest_rate(speaking)
    colours = lanes.colours(result.streams)
    found = []
    for one in speaking:
        colour = colours[one.name]
        draw = functools.partial(lanes.stream, one=one, largest=largest, colour=colour)
        found.append(_Lane(STREAM, draw))
    return found + [_words(f"by {one.name}", lanes.stream_words(one)) for one in silent]


def _words(name: str, words: str) -> _Lane:
    """A thin lane of words in place of a drawing."""

    def draw(axes: Axes) -> None:
        label(axes, drawable(name), colour=GREY)
        say(axes, words)
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(bottom=False)

    return _Lane(WORDS, draw)


def _draw_panel(figure: Figure, result: CountResult, panel: Panel, left: float) -> None:
    """The family's own panel beside the upper lanes, `left` inches from the edge."""
    top = figure.get_size_inches()[1] - HEADER - PANEL_TITLE
    up = PANEL_HEIGHT - PANEL_TITLE - PANEL_AXIS
    axes = figure.add_axes(_shares(figure, (left, top - up, PANEL_WIDTH, up)))
    panel(axes, result)
    # A title that is wider than the panel would run out of the picture.
    for side in ("left", "center", "right"):
        words = axes.get_title(loc=side)
        if len(words) > PANEL_LETTERS:
            # Setting it by `set_title` would give it its usual size again.
            title = next(t for t in axes.get_children() if _says(t, words))
            title.set_text(textwrap.fill(words, PANEL_LETTERS))
            title.set_size(min(title.get_size(), TEXT))


def _says(artist: Artist, words: str) -> bool:
    return isinstance(artist, Text) and artist.get_text() == words


def _shares(figure: Figure, place: tuple[float, ...]) -> tuple[float, ...]:
    """(left, bottom, width, height) in shares of the figure, from inches."""
    width, height = figure.get_size_inches()
    left, bottom, across, up = place
    return left / width, bottom / height, across / width, up / height


def _time_axes(
    figure: Figure, result: CountResult, bottom: float, height: float, width: float
) -> Axes:
    """Axes on the common time axis, without a frame; lengths in inches."""
    axes = figure.add_axes(_shares(figure, (LEFT, bottom, width, height)))
    axes.set_xlim(result.start_s, result.start_s + max(result.duration_s, 1e-6))
    ticks, names = time_ticks(*axes.get_xlim())
    axes.set_xticks(ticks, names)
    axes.tick_params(labelbottom=False, labelsize=SMALL, colors=GREY, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    return axes


def _draw_header(figure: Figure, result: CountResult) -> None:
    """The count as a large number, the sentence beside it, and under it what was counted."""
    height = figure.get_size_inches()[1]
    words = {"va": "baseline", "parse_math": False, "color": INK}
    lines = [1 - inches / height for inches in (0.62, 0.86, 1.05)]
    left = MARGIN / WIDTH
    if result.rounded:
        number, _, sentence = result.sentence.partition(" ")
        figure.text(left, lines[1], number, size=42, weight="bold", **words)
        # Digits of DejaVu Sans Bold are 0.696 em wide.
        left += (len(number) * 0.696 * 42 / 72 + 0.16) / WIDTH
    else:
        sentence = result.sentence[:1].upper() + result.sentence[1:]
    figure.text(left, lines[0], sentence, size=16, **words)
    name = drawable(os.path.basename(result.file))
    span = f"{result.duration_s:.{2 if result.duration_s < 1 else 1}f} s"
    if result.duration_s >= 120:
        span = clock(result.duration_s, result.duration_s)
    if result.start_s:
        span += f" from {clock(result.start_s, result.start_s)} on"
    about = [name, span, f"model {drawable(result.model)}"]
    if result.confidence is not None:
        about.append(f"{share(result.confidence)} sure to be within one repetition")
    words["color"] = GREY
    figure.text(left, lines[1], "  ·  ".join(about), size=9.5, **words)
    if result.faults:
        fault = f"read in part: {drawable(result.faults[0].rpartition(': ')[2])}"
        figure.text(left, lines[2], fault, size=SMALL, **words)
