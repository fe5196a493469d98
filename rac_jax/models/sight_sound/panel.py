"""The family's own panel of a plot: how well each temporal stride suited the video."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rac_jax.counting.result import CountResult

# Okabe and Ito's blue (Color Universal Design, 2008), the colour of sight; grey for the rest.
CHOSEN, OTHERS, INK = "#0072B2", "#767676", "#222222"
LINES = 8  # at most this many strides are labelled, beside the chosen one


def draw(axes: "Axes", result: "CountResult") -> None:
    """Draws a dot per temporal stride at its score; the best one was taken.

    Args:
      axes: to draw into; they may be small.
      result: of this family, with scores of strides.
    """
    from matplotlib.ticker import MaxNLocator

    chosen = int(result.details["stride"])
    scores = {int(s): v for s, v in result.details["stride_scores"].items()}
    strides = sorted(scores)
    looked = "every frame" if chosen == 1 else f"every {_ordinal(chosen)} frame"
    axes.set_title(f"best seen at {looked}", fontsize=9, color=INK, loc="left")

    # A line per stride, so that dots can be told apart.
    for stride in strides:
        taken = stride == chosen
        colour = CHOSEN if taken else OTHERS
        axes.axhline(stride, color="#E4E4E4", lw=0.8, zorder=0)
        axes.plot([scores[stride]], [stride], "o", ms=9 if taken else 5, color=colour)
    least, most = min(scores.values()), max(scores.values())
    margin = 0.15 * (most - least) or 1.0
    axes.set_xlim(least - margin, most + margin)
    axes.set_ylim(strides[-1] + 0.6, strides[0] - 0.6)

    # Labels of a few strides and always of the chosen one.
    shown = sorted({*strides[:: max(1, len(strides) // LINES)], chosen})
    axes.set_yticks(shown, [str(stride) for stride in shown])
    for label, stride in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_color(CHOSEN if stride == chosen else OTHERS)
        label.set_weight("bold" if stride == chosen else "normal")
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelsize=8, colors=OTHERS, length=0)
    axes.set_xlabel("how well it suits (score)", fontsize=8, color=OTHERS)
    axes.set_ylabel("frames per step", fontsize=8, color=OTHERS)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _ordinal(number: int) -> str:
    """2 to "2nd", 3 to "3rd", 11 to "11th"."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
