"""What all parts of a plot share: colours, words for times and numbers, text of any file name."""

import functools
import math

import matplotlib.font_manager
import matplotlib.ft2font
import numpy as np
from matplotlib.axes import Axes

INK = "#222222"
# 4.5:1 against white, and a shade for what should not draw the eye.
GREY, FAINT = "#767676", "#E4E4E4"

# Okabe and Ito (Color Universal Design, 2008), told apart by all kinds of colour vision. Sight
# and sound have theirs in every plot, other streams take the rest in turn.
STREAM_COLOURS = {"sight": "#0072B2", "sound": "#D55E00"}
OTHER_COLOURS = ("#009E73", "#8C4C72", "#8A6100", "#56B4E9")

TEXT, SMALL = 9.5, 8.5  # points
MARGIN = 0.35  # inches at the left and at the right
LONGEST_NAME = 48  # characters
MOST_TICKS = 12  # of the time axis
TICK_STEPS_S = (1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)


@functools.cache
def _charmap() -> frozenset[int]:
    """Code points that matplotlib's own font can draw."""
    font = matplotlib.font_manager.findfont("DejaVu Sans")
    return frozenset(matplotlib.ft2font.FT2Font(font).get_charmap())


def drawable(name: str) -> str:
    """A name cut in its middle, with a square for what the font does not have."""
    if len(name) > LONGEST_NAME:
        half = (LONGEST_NAME - 1) // 2
        name = f"{name[:half]}…{name[-half:]}"
    return "".join(c if ord(c) in _charmap() else "□" for c in name)


def amount(count: float) -> str:
    """A count that need not be whole: "6.9", "7" for 7.0, "102" for 102.3."""
    if count >= 99.95:
        return f"{count:.0f}"
    return f"{count:.1f}".removesuffix(".0")


def share(value: float) -> str:
    """A number in [0, 1] in percent; never "100 %" or "0 %" for what is only nearly so."""
    if 0 < value < 0.01:
        return "under 1 %"
    if 0.99 < value < 1:
        return "99 %"
    return f"{100 * value:.0f} %"


def clock(seconds: float, end_s: float) -> str:
    """A time as people write it: seconds in a short video, minutes or hours in a long one."""
    if end_s < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if end_s < 3600:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def time_ticks(start_s: float, end_s: float) -> tuple[np.ndarray, list[str]]:
    """Round times between two others, at most 13 of them, with labels."""
    rough = (end_s - start_s) / MOST_TICKS
    if rough < 1:
        decade = 10 ** math.floor(math.log10(rough))
        step = next(s * decade for s in (1, 2, 5, 10) if s * decade >= rough)
    else:
        longest = 3600 * math.ceil(rough / 3600)
        step = next((s for s in TICK_STEPS_S if s >= rough), longest)
    first, last = math.ceil(start_s / step - 1e-9), math.floor(end_s / step + 1e-9)
    ticks = np.arange(first, last + 1) * step
    return ticks, [clock(tick, end_s) for tick in ticks]


def label(axes: Axes, name: str, *details: str, colour: str = INK) -> None:
    """Writes a lane's name at the figure's left margin, and grey details under it."""
    figure = axes.figure
    across = axes.get_position().x0 * figure.get_size_inches()[0] - MARGIN  # inches
    place = {
        "xy": (0, 0.5),
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "center",
        "annotation_clip": False,
        "parse_math": False,
    }
    step = 12.5  # points from line to line
    top = step * len(details) / 2
    name_style = {"color": colour, "size": TEXT, "weight": "bold"}
    axes.annotate(name, xytext=(-72 * across, top), **name_style, **place)
    for k, detail in enumerate(details, 1):
        at = (-72 * across, top - k * step)
        axes.annotate(detail, xytext=at, color=GREY, size=SMALL, **place)


def say(axes: Axes, words: str) -> None:
    """One grey line of words in place of a drawing."""
    axes.text(
        0, 0.5, words, transform=axes.transAxes, va="center", size=SMALL, color=GREY
    )
