"""The family's own panel of a plot: how surely each temporal stride sees a repetition."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rac_jax.counting.result import CountResult

# Okabe and Ito's blue (Color Universal Design, 2008), the colour of sight; grey for the rest.
BEST, OTHERS, INK = "#0072B2", "#B0B0B0", "#222222"


def draw(axes: "Axes", result: "CountResult") -> None:
    """Draws a bar per temporal stride, as long as its score.

    Args:
      axes: to draw into; they may be small.
      result: of this family, with scores of strides.
    """
    from matplotlib.ticker import MaxNLocator

    best = result.details["stride"]
    scores = {int(s): v for s, v in result.details["stride_scores"].items()}
    strides = sorted(scores)
    places = range(len(strides))
    values = [scores[stride] for stride in strides]
    colours = [BEST if stride == best else OTHERS for stride in strides]
    axes.barh(places, values, height=0.7, color=colours)

    # Scores reach 1 only if every moment has one certain period; few videos come near.
    axes.set_xlim(0, 1.1 * max(values) or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.set_yticks(list(places), [str(stride) for stride in strides])
    for label, stride in zip(axes.get_yticklabels(), strides, strict=True):
        label.set_weight("bold" if stride == best else "normal")
    axes.invert_yaxis()
    axes.tick_params(labelsize=8, colors=INK, length=0)
    axes.set_title(
        "how surely each stride sees a repetition", fontsize=9, color=INK, loc="left"
    )
    axes.set_xlabel("score: mean probability of its best period", fontsize=8, color=INK)
    axes.set_ylabel("temporal stride (frames)", fontsize=8, color=INK)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
